"""Files that declare gigabytes are refused before memory is taken for them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
MEMORY = 1 << 30  # that a process may take beyond what it has when all is imported
HANG = 300  # seconds, far beyond what refusing all of them takes

# Opens every file of one kind in a process that can take no more than a little memory.
CODE = """
import json, pathlib, re, resource, sys
sys.path.insert(0, sys.argv[1])
import hostile_files
from blemish.errors import BlemishError
from blemish.images import read_image
folder = pathlib.Path(sys.argv[2])
hostile_files.write_sound(folder)
read_image(folder / "sound.png")
exec(hostile_files.OPENERS[sys.argv[3]])
files = [file for file in hostile_files.FILES if file.kind == sys.argv[3]]
for file in files:
    file.write(folder / file.name)
try:
    opens(folder / "none")
except BlemishError:
    pass
taken = int(re.search(r"VmSize:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
resource.setrlimit(resource.RLIMIT_AS, (taken * 1024 + int(sys.argv[4]),) * 2)
said = {}
for file in files:
    try:
        opens(folder / file.name)
        said[file.name] = None
    except BlemishError as error:
        said[file.name] = str(error)
print(json.dumps(said))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does")
@pytest.mark.parametrize("kind", ["picture", "set", "split", "model"])
def test_refused_before_memory_is_taken(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import hostile_files

    done = subprocess.run(
        [sys.executable, "-c", CODE, BENCHMARKS, tmp_path, kind, str(MEMORY)],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    for file in hostile_files.FILES:
        if file.kind == kind:
            assert (said[file.name] is not None) == file.refused, file.name
            assert not file.refused or file.name in said[file.name]
            assert "\n" not in (said[file.name] or "")
