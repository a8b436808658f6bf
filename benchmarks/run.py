"""Every benchmark in a fresh process, one after the other, and the table of docs/performance.md.

    python benchmarks/run.py                     # all of them; rewrites the page
    python benchmarks/run.py promise demo        # some of them; rewrites nothing
    python benchmarks/run.py --quick             # all, much reduced: a check that they work

Exits 1 when a limit is missed or a benchmark fails.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from figures import FIGURES, Figure
from measuring import ROOT, run_child, write_between_marks

PAGE = ROOT / "docs" / "performance.md"
BUSY = 10.0  # per cent of the processors; more of other work falsifies the times

# Per benchmark its arguments, and those of a quick run.
BENCHMARKS: dict[str, tuple[list[str], list[str]]] = {
    "first_verdict": ([], ["--runs", "1"]),
    "inspect_latency": ([], ["--rounds", "10"]),
    "detectors": ([], ["--rounds", "5", "--images", "12"]),
    "mixed": ([], ["--patches", "24", "--steps", "4", "--rounds", "1"]),
    "data_opening": ([], ["--categories", "3", "--parts", "20"]),
    "data_opening_isp": ([], ["--share", "0.001"]),
    "promise": ([], []),
    "hostile_files": ([], ["--only", "png.png"]),
    "fuzz": ([], ["--pictures", "200", "--models", "60", "--tables", "60"]),
    "pixel_metrics": ([], ["--maps", "10"]),
    "train_default": ([], []),
    "patchcore_coreset": ([], ["--shares", "0.01"]),
    "memory_scaling": ([], ["--images", "24", "--copies", "5"]),
    "covering_radius": ([], ["--images", "10", "--shares", "0.01"]),
    "data_check": ([], ["--images", "300"]),
    "prepare_stream": ([], ["--count", "300", "--plates", "1"]),
    "synthesis": ([], ["--patches", "50"]),
    "demo": ([], ["--synthetic"]),
    "simulator": ([], ["--size", "1200", "900"]),
    "quality": ([], ["--sets", "tire"]),
    "bench_runner": ([], ["--runs", "5", "--seeds", "1"]),
    "bench_kills": ([], ["--plates", "--kills", "2", "--seeds", "1"]),
}


def run(name: str, *, quick: bool) -> dict[str, Any]:
    """One benchmark's line; {"failed": its last words} when it ends in an error."""
    arguments = BENCHMARKS[name][quick]
    try:
        child = run_child([ROOT / "benchmarks" / f"{name}.py", *arguments], {})
    except SystemExit as error:
        return {"failed": str(error).splitlines()[-1]}
    line: dict[str, Any] = json.loads(child.output.splitlines()[-1])
    return line


def table(lines: Mapping[str, Mapping[str, Any]], figures: tuple[Figure, ...]) -> list[str]:
    """The figures of those benchmarks that were run, as a Markdown table."""
    rows = ["| figure | measured | limit | |", "|---|---|---|---|"]
    for figure in figures:
        if figure.benchmark in lines:
            measured, verdict = figure.verdict(lines[figure.benchmark])
            verdict = "**missed**" if verdict == "missed" else verdict
            rows.append(f"| {figure.what} | {measured} | {figure.limit_in_words()} | {verdict} |")
    return rows


def machine(busy: float) -> list[str]:
    """Where it was measured, as Markdown."""
    memory = psutil.virtual_memory().total / 2**30
    packages = ("blemish", "onnxruntime", "numpy", "opencv-python-headless")
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    lines = [
        f"- {_processor()}, {os.cpu_count()} logical cores, {memory:.0f} GB, no GPU used",
        f"- {_system()}, Python {platform.python_version()}, {versions}",
        f"- other work before the start: {busy:.0f} % of the processors",
    ]
    if busy > BUSY:
        lines.append("- **the machine was busy with other work: the times are too long**")
    return lines


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):  # no Linux
        return f"{platform.system()} {platform.release()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="reduced sizes; rewrites nothing")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    busy = psutil.cpu_percent(interval=5)
    if busy > BUSY:
        print(f"warning: other work takes {busy:.0f} % of the processors", flush=True)
    lines = {}
    for name in options.names or BENCHMARKS:
        lines[name] = run(name, quick=options.quick)
        print(json.dumps({"benchmark": name, **lines[name]}), flush=True)
    rows = table(lines, FIGURES)
    print("\n".join([*rows, "", *machine(busy)]))
    if not options.names and not options.quick:
        command = ["Made by `make bench` (`python benchmarks/run.py`) on", "", *machine(busy)]
        write_between_marks(PAGE, ["", *command, "", *rows, ""])
    bad = ("missed", "failed")
    measured = [f.verdict(lines[f.benchmark])[1] for f in FIGURES if f.benchmark in lines]
    return int(any(verdict.startswith(bad) for verdict in measured))


if __name__ == "__main__":
    raise SystemExit(main())
