"""What the benchmarks share: a child process and its peak memory, the data sets, the printed line.

Imports nothing heavy, because on POSIX a child's peak memory is never told below its parent's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
START, END = "<!-- table -->", "<!-- end of table -->"
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Child:
    """A finished process: wall seconds, peak resident memory, what it printed.

    `cpu_seconds`, which other work on the machine falsifies less, is None where it is not told.
    """

    seconds: float
    cpu_seconds: float | None
    peak_rss_mb: float
    output: str

    @property
    def cost(self) -> dict[str, float | None]:
        """Time and memory, rounded for print."""
        cpu = None if self.cpu_seconds is None else round(self.cpu_seconds, 1)
        seconds = round(self.seconds, 1)
        return {"seconds": seconds, "cpu_seconds": cpu, "peak_rss_mb": self.peak_rss_mb}


def run_child(arguments: Sequence[str | Path], environment: Mapping[str, str]) -> Child:
    """Run this Python with `arguments` and more environment variables, and wait for its end.

    Exits with the child's last words when it fails.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=output,
            stderr=errors,
            env={**os.environ, **environment},
        )
        peaks, stop = [0], threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, peaks, stop))
        watcher.start()
        told, cpu_seconds = _wait(process)
        seconds = time.perf_counter() - start
        stop.set()
        watcher.join()
        if process.returncode:
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").strip()
            raise SystemExit(f"{' '.join(map(str, arguments))} ended {process.returncode}: {said}")
        output.seek(0)
        peak = round(max(told, peaks[0]) / 2**20, 1)
        return Child(seconds, cpu_seconds, peak, output.read().decode("utf-8"))


def run_blemish(arguments: Sequence[str | Path], cache: Path) -> Child:
    """Run one command of `blemish` with the feature cache in the folder `cache`."""
    return run_child(["-m", "blemish", *arguments], {"BLEMISH_CACHE": str(cache)})


def data_set(name: str) -> Path | None:
    """The folder of a development set, None where it is absent; "elpv" is the package's."""
    if name != "elpv":
        return DATA / name if (DATA / name).is_dir() else None
    spec = find_spec("elpv_dataset")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "data"


def absent(name: str) -> str:
    """Why a benchmark that needs that set was skipped."""
    if name == "elpv":
        return "the package elpv-dataset is not installed (pip install 'blemish[demo]')"
    return f"there is no folder shared/data/{name} beside the checkout"


def print_line(benchmark: str, figures: Mapping[str, Any]) -> None:
    """The one line of JSON that a benchmark prints."""
    print(json.dumps({"benchmark": benchmark, **figures}), flush=True)


def write_between_marks(page: Path, lines: Sequence[str]) -> None:
    """Replace what stands between the two marks of a page; the rest stays as it is."""
    before, mark, rest = page.read_text(encoding="utf-8").partition(START)
    _, end_mark, after = rest.partition(END)
    if not mark or not end_mark:
        raise SystemExit(f"{page} lacks the lines {START} and {END}")
    text = "\n".join([before + START, *lines, END]) + after
    page.write_text(text, encoding="utf-8")


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, float | None]:
    """Wait for the end; peak resident bytes and processor seconds where the system tells."""
    if sys.platform == "win32":
        process.wait()
        return 0, None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak, usage.ru_utime + usage.ru_stime


def _watch(pid: int, peaks: list[int], stop: threading.Event) -> None:
    """Look at a process's memory again and again; Windows keeps the peak itself."""
    try:
        process = psutil.Process(pid)
        while not stop.wait(_POLL_SECONDS):
            memory = process.memory_info()
            peaks[0] = max(peaks[0], getattr(memory, "peak_wset", memory.rss))
    except psutil.Error:
        return  # the process has ended
