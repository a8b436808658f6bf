"""A bench killed with -9 at ten random moments, and resumed, against one left alone; one JSON line.

Every process of the bench's group is killed, its workers too. Both tables must be the same but for
what the runs cost. On the development sets where they are, else on drawn plates.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_runner import PROTOCOL, write_data
from measuring import DATA, print_line, run_child

QUICK = ["--categories", "fabric_04,tire", "--detectors", "padim,patchcore"]


def command(protocol: Path | str, data: Path, out: Path, seeds: int, more: list[str]) -> list[str]:
    """The arguments of the bench."""
    where = ["--data", str(data), "--out", str(out)]
    return ["bench", "run", str(protocol), *where, "--seeds", str(seeds), "--quiet", *more]


def kill_at(seconds: float, arguments: list[str], cache: Path) -> bool:
    """Start the bench and kill it then; False when it had come to its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "blemish", *arguments],
        env={**os.environ, "BLEMISH_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def table(protocol: Path | str, out: Path) -> list[Any]:
    """The rows of the table, without what names a run."""
    shown = run_child(
        ["-m", "blemish", "bench", "table", protocol, "--out", out, "--json", "-"], {}
    )
    rows: list[Any] = json.loads(shown.output)["rows"]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plates", action="store_true", help="drawn plates even where data is")
    options = parser.parse_args()
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        protocol: Path | str = "dev"
        data, more = DATA, QUICK
        if options.plates or not DATA.is_dir():
            write_data(folder, 2, 48)
            protocol, data, more = folder / "protocol.toml", folder, []
            text = PROTOCOL.format(detector="padim", size=128)
            protocol.write_text(text, encoding="utf-8")
        alone = command(protocol, data, folder / "alone", options.seeds, more)
        start = time.perf_counter()
        run_child(["-m", "blemish", *alone], {"BLEMISH_CACHE": str(folder / "cache1")})
        seconds = time.perf_counter() - start
        killed = command(protocol, data, folder / "killed", options.seeds, more)
        # Few enough runs are made between two kills that some are left for the last one.
        longest = 1.6 * seconds / options.kills
        moments = [chance.uniform(1.0, longest) for _ in range(options.kills)]
        kills = [moment for moment in moments if kill_at(moment, killed, folder / "cache2")]
        run_child(["-m", "blemish", *killed], {"BLEMISH_CACHE": str(folder / "cache2")})
        same = table(protocol, folder / "alone") == table(protocol, folder / "killed")
    figures = {
        "seconds_alone": round(seconds, 1),
        "killed_at": [round(moment, 1) for moment in kills],
        "same_table": same,
    }
    print_line("bench_kills", figures)


if __name__ == "__main__":
    main()
