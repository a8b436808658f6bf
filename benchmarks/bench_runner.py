"""What the bench costs beside its runs, and what two Dask workers gain; prints one line of JSON.

The overhead is that of the whole process of `bench run`, its start included, over the sum of the
runs' own seconds: many short runs, on drawn plates at 128 px. The gain compares the same runs on
one and on two Dask workers of one thread each, with a cold cache, from the start of the bench.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import print_line, run_child
from pictures import write_plates

PROTOCOL = """
title = "plates"
source = "no paper"
[[data]]
name = "plates"
folders = ["plates"]
[[splits]]
protocol = "pooled"
[[detectors]]
name = "{detector}"
size = {size}
[[metrics]]
path = "image.auroc"
name = "I-AUROC"
"""
ONE_THREAD = dict.fromkeys(("BLEMISH_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")


def write_data(folder: Path, categories: int, images: int) -> None:
    """Plates, each category with a few of them called defective, so that there is a test."""
    for number in range(categories):
        category = folder / "plates" / f"kind{number}"
        good = write_plates(category, images, seed=number)
        defective = category / "test" / "odd"
        defective.mkdir(parents=True)
        for picture in good[: images // 4]:
            picture.rename(defective / picture.name)
        left = category / "test" / "good"
        left.mkdir()
        for picture in good[images // 4 : images // 2]:
            picture.rename(left / picture.name)


def bench(folder: Path, name: str, seeds: int, *options: str, **environment: str) -> dict[str, Any]:
    """A bench in a process of its own: its wall seconds, and what it says of itself."""
    arguments: list[str | Path] = ["-m", "blemish", "bench", "run", folder / "protocol.toml"]
    arguments += ["--data", folder]
    arguments += ["--out", folder / name, "--seeds", str(seeds), "--quiet", "--json", "-", *options]
    child = run_child(arguments, {"BLEMISH_CACHE": str(folder / f"cache-{name}"), **environment})
    return {"wall": child.seconds, **json.loads(child.output)}


def overhead(folder: Path, runs: int) -> dict[str, Any]:
    write_data(folder, 1, 64)
    text = PROTOCOL.format(detector="padim", size=128)
    (folder / "protocol.toml").write_text(text, encoding="utf-8")
    first = bench(folder, "out", runs)
    again = bench(folder, "out", runs)
    return {
        "runs": first["runs"],
        "seconds_of_a_run": round(first["seconds_of_runs"] / first["runs"], 3),
        "overhead_percent": round(100 * (first["wall"] / first["seconds_of_runs"] - 1), 2),
        "again_seconds": round(again["wall"], 2),
    }


def gain(folder: Path, seeds: int) -> dict[str, Any]:
    write_data(folder, 4, 96)
    text = PROTOCOL.format(detector="patchcore", size=256)
    (folder / "protocol.toml").write_text(text, encoding="utf-8")
    seconds = {}
    for workers in (1, 2):
        with _cluster(folder, workers) as address:
            made = bench(folder, f"out{workers}", seeds, "--dask", address)
        seconds[workers] = made["seconds"]
    return {
        "runs": made["runs"],
        "seconds": {str(workers): round(value, 1) for workers, value in seconds.items()},
        "gain": round(seconds[1] / seconds[2], 2),
    }


class _cluster:  # noqa: N801 - reads as a verb
    """A scheduler and workers of one thread, each a process, for as long as the block lasts."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.workers = folder, workers
        self.file = folder / f"scheduler{workers}.json"
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> str:
        own = ("--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")
        self._start("scheduler", *own, "--port", "0", "--scheduler-file", str(self.file), env={})
        while not self.file.exists():
            time.sleep(0.1)
        address: str = json.loads(self.file.read_text(encoding="utf-8"))["address"]
        for _ in range(self.workers):
            cache = {"BLEMISH_CACHE": str(self.folder / f"cache-dask{self.workers}")}
            single = ("--nthreads", "1", "--no-nanny", "--local-directory", str(self.folder))
            self._start("worker", address, *own, *single, env=ONE_THREAD | cache)
        time.sleep(5)  # the workers are there before the clock runs
        return address

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.terminate()
            process.wait()

    def _start(self, kind: str, *options: str, env: dict[str, str]) -> None:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options]
        quiet = subprocess.DEVNULL
        self.processes.append(
            subprocess.Popen(command, env={**os.environ, **env}, stdout=quiet, stderr=quiet)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="short runs, for the overhead")
    parser.add_argument("--seeds", type=int, default=4, help="runs of each category, for the gain")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        one, two = Path(name, "overhead"), Path(name, "gain")
        figures = {"overhead": overhead(one, options.runs), "dask": gain(two, options.seeds)}
    print_line("bench_runner", figures)


if __name__ == "__main__":
    main()
