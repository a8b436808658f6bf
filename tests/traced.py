"""What a command writes, and which sockets it makes, in a process that is set up like a user's.

No variable of the person who runs the tests reaches it: `CI`, for one, turns telemetry off.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from running import Run, environment

KEPT = ("PATH", "PATHEXT", "SYSTEMROOT", "COMSPEC", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
CALLS = "%network,?open,?openat,?openat2,?creat,?mkdir,?mkdirat,?rename,?renameat,?renameat2"
SOCKETS = ("socket(", "connect(", "bind(", "sendto(", "sendmsg(", "sendmmsg(")
STRACE = shutil.which("strace")
# Semaphores of multiprocessing, which are unlinked at once, and what is no file.
NO_FILES = re.compile(r"/dev/(null|tty|shm/sem\.[^/]+)|/proc/.*")


@dataclass(frozen=True)
class Place:
    """Folders of a user that never was; `work` is where the command runs."""

    root: Path

    @property
    def work(self) -> Path:
        return self.root / "work"

    def variables(self) -> dict[str, str]:
        home, cache = self.root / "home", self.root / "cache"
        own = {
            **dict.fromkeys(("HOME", "USERPROFILE"), home),
            **{"APPDATA": home / "AppData/Roaming", "LOCALAPPDATA": home / "AppData/Local"},
            **{f"XDG_{kind}_HOME": home / kind.lower() for kind in ("CACHE", "CONFIG", "DATA")},
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), self.root / "temporary"),
            **{"BLEMISH_CACHE": cache, "BLEMISH_BACKBONES": cache / "backbones"},
        }
        for folder in (home, self.root / "temporary"):
            folder.mkdir(parents=True, exist_ok=True)
        return {
            **{name: os.environ[name] for name in KEPT if name in os.environ},
            **{name: environment()[name] for name in ("PYTHONPATH", "PYTHONIOENCODING")},
            **{name: str(folder) for name, folder in own.items()},
            **{"PYTHONDONTWRITEBYTECODE": "1", "BLEMISH_THREADS": "2"},
        }

    def strays(self) -> list[str]:
        """What there is in the home folder and among the temporary files."""
        found = [path for name in ("home", "temporary") for path in (self.root / name).rglob("*")]
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def run(self, *argv: object, code: str | None = None, before: Sequence[str] = ()) -> Run:
        """`python -m blemish ARGV`, or `python -c CODE`, after the words `before`."""
        program = ["-m", "blemish"] if code is None else ["-c", code]
        done = subprocess.run(
            [*before, sys.executable, *program, *map(str, argv)],
            env=self.variables(),
            cwd=self.work,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )
        return Run(done.returncode, done.stdout, done.stderr.splitlines())


@dataclass(frozen=True)
class Traced:
    """A command, what it wrote or made outside the folders it was given, and its sockets."""

    run: Run
    written: list[str]
    sockets: list[str]


def traced(place: Place, *argv: object) -> Traced:
    """`place.run` under strace, with the system calls of every process and thread it started."""
    if STRACE is None:
        pytest.skip("strace is not here: `make test` installs it where it may")
    probe = subprocess.run([STRACE, "-f", "true"], capture_output=True)
    if probe.returncode != 0:
        pytest.skip(f"strace may not trace here: {probe.stderr.decode().strip()}")
    logs = place.root.parent / "strace"
    logs.mkdir()
    words = (STRACE, "-ff", "-qq", "-s", "400", "-e", f"trace={CALLS}", "-e", "signal=none")
    run = place.run(*argv, before=(*words, "-o", str(logs / "calls")))
    calls = [line for log in sorted(logs.iterdir()) for line in lines(log)]
    assert any("openat(" in call for call in calls), "nothing was traced"
    outside = (path for call in calls for path in made(call, place.work))
    named = [place.root / name for name in ("work", "cache", "temporary")]
    written = {path for path in outside if not any(map(Path(path).is_relative_to, named))}
    sockets = [call for call in calls if call.startswith(SOCKETS)]
    return Traced(run, sorted(path for path in written if not NO_FILES.fullmatch(path)), sockets)


def lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()


def made(call: str, work: Path) -> Iterator[str]:
    """The path that a system call wrote to or made; none of one that failed or only read."""
    name, _, arguments = call.partition("(")
    opens = name.startswith("open")
    if opens and not re.search(r"\bO_(WRONLY|RDWR|CREAT)\b", arguments):
        return
    if not opens and not name.startswith(("creat", "mkdir", "rename")):
        return
    if re.search(r"= -1 E[A-Z]+", arguments):
        return
    paths = re.findall(r'"((?:[^"\\]|\\.)*)"', arguments)
    if paths:
        yield os.path.normpath(work / paths[-1])
