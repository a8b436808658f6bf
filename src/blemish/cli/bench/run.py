"""`blemish bench run`: make the runs of a protocol that are not made yet."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.cli import _shared as shared
from blemish.cli._bench_progress import BenchProgressLine, duration_words
from blemish.cli.bench._name_list import split_names
from blemish.cli.bench.list import missing_lines
from blemish.errors import BlemishError
from blemish.util.threads import default_threads

if TYPE_CHECKING:
    from blemish.benchmark.cluster import Cluster
    from blemish.benchmark.protocol import Protocol
    from blemish.benchmark.runner import BenchSummary
    from blemish.benchmark.runs import RunMatrix

HELP = "make the runs of a protocol; stopped at any moment, the same command goes on"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("protocol", metavar="PROTOCOL", help="a name, or a .toml file")
    parser.add_argument(
        "--data", metavar="ROOT", type=Path, required=True, help="where the data sets lie"
    )
    parser.add_argument(
        "--detectors", metavar="A,B", help="names, or labels of the protocol; default: all of it"
    )
    parser.add_argument("--categories", metavar="A,B", help="categories or data sets; default: all")
    parser.add_argument("--seeds", metavar="N", type=int, help="default: the protocol's number")
    parser.add_argument("--budget", metavar="TIME", help="start no run after 90s, 10m or 1h")
    parser.add_argument(
        "--workers", metavar="N", type=int, help="processes that share the cores; default: 1"
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="make the runs on the workers of this Dask scheduler; local starts one for --workers",
    )
    parser.add_argument(
        "--resource", metavar="NAME=N", help="what each run takes of a Dask worker: GPU=1"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="folder of results; default: bench/PROTOCOL"
    )
    parser.add_argument("--retry", action="store_true", help="make failed runs again")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run, and stop")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Make the runs; 1 when some of them failed."""
    from blemish.benchmark.protocol import open_protocol
    from blemish.benchmark.runner import other_code_notes
    from blemish.benchmark.runs import expand
    from blemish.benchmark.store import read_results

    cluster = _cluster(options)
    for name in ("workers", "seeds"):
        if (number := getattr(options, name)) is not None and number < 1:
            raise BlemishError(f"--{name} {number} must be 1 or more")
    budget = None if options.budget is None else shared.duration(options.budget)
    protocol = open_protocol(options.protocol)
    folder = options.out or Path("bench") / protocol.name
    other_code = other_code_notes(read_results(folder))
    matrix = expand(
        protocol,
        options.data,
        detectors=_names(options.detectors, [one.label for one in protocol.detectors]),
        categories=_names(options.categories),
        seeds=options.seeds,
    )
    shared.tell_left_out(Path(job.location.path) for job in matrix.jobs)
    if not options.quiet:
        for line in _remarks(protocol, matrix, other_code):
            print(line, file=sys.stderr)
    if not matrix.jobs:
        raise BlemishError(
            f"nothing of {protocol.name} can be run with {options.data}: see "
            f"`blemish bench list {options.protocol} --data {options.data}`"
        )
    if options.dry_run:
        return _dry_run(options, matrix, folder)
    made = _made(options, matrix, folder, budget, cluster)
    if made is None:
        print("blemish: stopped; the same command goes on where it stopped", file=sys.stderr)
        return 130
    shared.write_json(_summary(protocol, matrix, made, folder), options.json)
    if options.json != "-":
        print("\n".join(_closing(made, folder)))
    return int(bool(made.failed))


def _made(
    options: argparse.Namespace,
    matrix: RunMatrix,
    folder: Path,
    budget: float | None,
    cluster: Cluster | None,
) -> BenchSummary | None:
    """What the bench came to; None when it was stopped from the keyboard."""
    from blemish.benchmark.runner import run_bench

    show = BenchProgressLine(options)
    try:
        return run_bench(
            matrix.jobs,
            folder,
            workers=options.workers or 1,
            cluster=cluster,
            retry=options.retry,
            budget=budget,
            show=show,
        )
    except KeyboardInterrupt:
        return None
    finally:
        show.end()


def _cluster(options: argparse.Namespace) -> Cluster | None:
    """The cluster that the options name, if they name one."""
    from blemish.benchmark.cluster import LOCAL, Cluster
    from blemish.benchmark.runner import threads_each

    if options.dask is None:
        if options.resource is not None:
            raise BlemishError("--resource is one of Dask's workers: name their scheduler, --dask")
        return None
    if options.dask != LOCAL and options.workers is not None:
        raise BlemishError(
            f"the workers at {options.dask} are started beside their scheduler; leave out --workers"
        )
    workers = options.workers or 1
    threads = threads_each(workers) or default_threads()
    return Cluster(options.dask, workers, threads, _resource(options.resource))


def _resource(text: str | None) -> tuple[str, float] | None:
    if text is None:
        return None
    name, _, amount = text.partition("=")
    try:
        number = float(amount)
    except ValueError:
        number = 0.0
    if not name or not 0 < number < float("inf"):
        raise BlemishError(f"--resource {text} is no amount; write it as NAME=N, like GPU=1")
    return name, number


def _names(text: str | None, labels: Sequence[str] = ()) -> list[str] | None:
    return None if text is None else split_names(text, labels)


def _remarks(protocol: Protocol, matrix: RunMatrix, other_code: list[str]) -> list[str]:
    missing = missing_lines([vars(one) for one in matrix.missing])
    labels = {job.run.detector for job in matrix.jobs}
    departures = [
        line for one in protocol.detectors if one.name in labels for line in one.departures()
    ]
    return [*missing, *(f"note: {line}" for line in departures), *other_code]


def _dry_run(options: argparse.Namespace, matrix: RunMatrix, folder: Path) -> int:
    """Say how many runs are left, and what they will take."""
    from blemish.benchmark.forecast import forecast
    from blemish.benchmark.runner import unmade
    from blemish.benchmark.store import read_results

    results = read_results(folder)
    left = unmade(matrix.jobs, results, retry=options.retry)
    expected = forecast(left, results)
    shown = {
        "runs": len(matrix.jobs),
        "left": len(left),
        "seconds": expected.seconds,
        "source": expected.source,
        "missing": [vars(one) for one in matrix.missing],
    }
    shared.write_json(shown, options.json)
    if options.json != "-":
        cost = "nobody knows how long"
        if expected.seconds is not None:
            cost = f"about {duration_words(expected.seconds)}, one after the other"
        print(f"{len(left)} of {len(matrix.jobs)} runs are to be made: {cost}")
        print(f"({expected.source})")
    return 0


def _summary(
    protocol: Protocol, matrix: RunMatrix, made: BenchSummary, folder: Path
) -> dict[str, Any]:
    return {
        "protocol": protocol.name,
        "out": str(folder),
        "runs": len(matrix.jobs),
        "done": sum(result.status == "done" for result in made.results),
        "failed": [
            {"key": result.key, "run": result.run.words(), "reason": result.reason}
            for result in made.failed
        ],
        "made": made.runs,
        "earlier": made.earlier,
        "left": made.left,
        "missing": [vars(one) for one in matrix.missing],
        "seconds": made.seconds,
        "seconds_of_runs": sum(result.seconds or 0.0 for result in made.results),
    }


def _closing(made: BenchSummary, folder: Path) -> list[str]:
    lines = [f"failed: {result.run.words()}: {result.reason}" for result in made.failed]
    if lines:
        lines.append("make failed runs again with --retry")
    if made.left:
        lines.append(f"{made.left} runs are left; the same command goes on with them")
    again = f", {made.earlier} were there before" if made.earlier else ""
    return [*lines, f"{folder}: {made.runs} runs made in {duration_words(made.seconds)}{again}"]
