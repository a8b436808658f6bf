"""Arguments that the verbs share, and the data and the detector that they name."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from blemish.cli import _shared as shared
from blemish.cli._bench_progress import BenchProgressLine
from blemish.errors import BlemishError

if TYPE_CHECKING:
    from pathlib import Path

    from blemish.benchmark.defects.experiment import Experiment
    from blemish.benchmark.runner import BenchSummary
    from blemish.benchmark.runs import Job


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add what says how often which detector is trained."""
    parser.add_argument(
        "--draws",
        metavar="N",
        type=int,
        default=3,
        help="drawings of the real defects (default: 3)",
    )
    parser.add_argument(
        "--detector", metavar="NAME", default="mixed", help="one that learns from defects"
    )
    parser.add_argument("--preset", metavar="NAME", help="the detector's settings by name")
    shared.add_settings(parser, "detector")
    parser.add_argument(
        "--tile", metavar="N", type=int, help="its tiles; 0: it sees whole pictures, resized"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the first draw")
    parser.add_argument("--budget", metavar="TIME", help="start no training after 90s, 10m or 1h")
    parser.add_argument(
        "--workers", metavar="N", type=int, default=1, help="processes that share the cores"
    )
    shared.add_json(parser)


def experiment(options: argparse.Namespace) -> Experiment:
    """The data and the detector. Raises BlemishError for what cannot be had."""
    import os

    from blemish.benchmark.defects.experiment import SupervisedDetector, experiment_of
    from blemish.benchmark.sources import DataLocation

    if options.workers < 1:
        raise BlemishError(f"--workers {options.workers} must be 1 or more")

    def place(path: Path | None) -> str | None:
        return None if path is None else os.path.abspath(path)  # noqa: PTH100

    where = DataLocation(
        os.path.abspath(options.data),  # noqa: PTH100
        options.layout,
        parts=place(options.parts),
        part_pattern=options.part_pattern,
        split=place(options.split),
    )
    settings = tuple(sorted(shared.settings(options).items()))
    learner = SupervisedDetector(options.detector, options.preset, settings, options.tile)
    return experiment_of(where, options.category, learner, draws=options.draws, seed=options.seed)


@contextlib.contextmanager
def running(options: argparse.Namespace, jobs: Sequence[Job]) -> Iterator[dict[str, Any]]:
    """How the trainings are to be run, with a line that shows where they stand."""
    from blemish.benchmark.defects.curve import RUNS

    if not options.quiet:
        for note in _others(options.out / RUNS, {job.run.key for job in jobs}):
            print(note, file=sys.stderr)
    budget = None if options.budget is None else shared.duration(options.budget)
    show = BenchProgressLine(options)
    try:
        yield {"workers": options.workers, "budget": budget, "show": show}
    finally:
        show.end()


def closing(made: BenchSummary) -> list[str]:
    """What failed, and what is left."""
    reasons = dict.fromkeys(str(result.reason) for result in made.failed)
    lines = [f"{len(made.failed)} trainings failed: {reason}" for reason in list(reasons)[:1]]
    if made.left:
        lines.append(f"{made.left} trainings are left; the same command goes on with them")
    return lines


def _others(folder: Path, keys: set[str]) -> list[str]:
    """A note on results in a folder that this run does not ask for."""
    from blemish.benchmark.store import read_results

    number = sum(result.key not in keys for result in read_results(folder))
    if not number:
        return []
    return [
        f"note: {number} results in {folder} are of other trainings (data, settings, numbers or "
        "code): they stay, and are not mixed with those of this run"
    ]
