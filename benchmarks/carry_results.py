"""Carry kept results of the bench over to the installed code.

    python benchmarks/carry_results.py docs/results/dev --data ROOT
    python benchmarks/carry_results.py docs/results/dev --data ROOT --budget 10m --again DIR

A change of words or of places leaves the keys of results as they are; another one that changes no
figure does not. For each detector (and each code of it) in the folder one run is made again with
the installed code, the cheapest, with as many threads as it had. Where every figure, every number
of the fit and every score is the same to the digit, all results of that detector get the keys of
the installed code, and say in `carried` whence they come and which run agreed; else they stay, and
the difference is told. Runs that were made again are kept in DIR (default: bench/PROTOCOL, that of
`blemish bench run`), and are made once: the same command goes on where it stopped. No run starts
later than `--budget`.

Another processor rounds otherwise, and the training of a network magnifies that. Where a rerun
differs from a result that another processor made, `--reference DIR` may hold the same run as the
earlier code makes it on this one: that must agree to the digit then, and `carried` names the
processor. Pages that link to results are to be made anew (`bench table --into`).
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from blemish.benchmark.carry_over import (
    carry,
    disagreements,
    rerun_candidate,
    results_of_other_code,
)
from blemish.benchmark.protocol import Protocol, open_protocol
from blemish.benchmark.runner import run_bench
from blemish.benchmark.runs import Job, Run, expand
from blemish.benchmark.store import Result, read_results
from blemish.detectors import detector_names
from blemish.errors import BlemishError
from blemish.util.durations import seconds_of


def jobs_of(protocol: Protocol, results: Sequence[Result], root: Path) -> dict[Run, Job]:
    """The runs of the kept results' detectors that can be made with what is below `root`."""
    detectors = {result.run.detector for result in results} & set(detector_names())
    seeds = 1 + max(result.run.seed for result in results)
    matrix = expand(protocol, root, detectors=detectors, seeds=seeds)
    return {job.run: job for job in matrix.jobs}


def carry_folder(
    folder: Path,
    root: Path,
    again: Path | None,
    budget: float | None,
    protocol: str | None,
    reference: Path | None = None,
) -> bool:
    """Carry over what agrees, and print a line of each detector; whether all did."""
    end = None if budget is None else time.monotonic() + budget
    results = read_results(folder)
    groups = results_of_other_code(results)
    if not groups:
        print(f"{folder}: nothing to carry over")
        return True
    there = {result.key: result for result in results}
    plan = open_protocol(protocol or results[0].run.protocol)
    jobs = jobs_of(plan, results, root)
    whole = True
    for group in groups:
        name = f"{group[0].run.detector} ({group[0].code.source}, {group[0].code.method})"
        try:
            agreeing, processor = agreeing_run(
                group, jobs, again or Path("bench", plan.name), end, reference
            )
        except BlemishError as reason:
            whole = False
            print(f"{name}: {len(group)} results stay: {reason}")
            continue
        today = datetime.datetime.now(datetime.UTC).date()
        carried = carry(group, there, agreeing.key, today, processor)
        there |= {result.key: result for result in carried}
        print(
            f"{name}: {len(carried)} results carried over; {agreeing.run.words()} agrees"
            + (f", with the earlier code's on {processor}" if processor else "")
        )
    return whole


def agreeing_run(
    group: Sequence[Result],
    jobs: Mapping[Run, Job],
    again: Path,
    end: float | None,
    reference: Path | None = None,
) -> tuple[Result, str | None]:
    """A run of the installed code that came to the same as one of some kept results.

    And the processor on which both were made, where the kept result is of another one. Raises
    BlemishError where it did not, where none can be made, or when it is too late for one.
    """
    made = {one.key: one for one in read_results(again) if one.status == "done"}
    kept = rerun_candidate(group, jobs, made)
    key = kept.run.key
    if key not in made:
        if end is not None and time.monotonic() > end:
            raise BlemishError("no time is left; the same command goes on with them")
        cost = "" if kept.seconds is None else f", which took {kept.seconds:.0f} s"
        print(f"making again: {kept.run.words()}{cost}", file=sys.stderr, flush=True)
        threads = kept.machine.get("threads")
        run_bench([jobs[kept.run]], again, threads=threads, retry=True)
        made = {one.key: one for one in read_results(again)}
    rerun = made[key]
    found = disagreements(kept, rerun)
    if found and reference is not None and kept.machine != rerun.machine:
        for earlier in read_results(reference):
            if earlier.run == kept.run and earlier.machine == rerun.machine:
                found = disagreements(earlier, rerun)
                if not found:
                    return rerun, str(rerun.machine.get("processor"))
    if found:
        more = f"; {len(found) - 1} more values differ" if len(found) > 1 else ""
        raise BlemishError(f"of {kept.run.words()} ({kept.key}), {found[0]}{more}")
    return rerun, None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of kept results, such as docs/results/dev")
    parser.add_argument("--data", metavar="ROOT", type=Path, required=True, help="the data sets")
    parser.add_argument("--again", metavar="DIR", type=Path, help="default: bench/PROTOCOL")
    parser.add_argument("--budget", metavar="TIME", help="start no run after 90s, 10m or 1h")
    parser.add_argument("--protocol", metavar="FILE.toml", help="default: the one the results name")
    parser.add_argument(
        "--reference", metavar="DIR", type=Path, help="runs of the earlier code on this machine"
    )
    options = parser.parse_args()
    budget = None if options.budget is None else seconds_of(options.budget, "--budget")
    try:
        whole = carry_folder(
            options.folder,
            options.data,
            options.again,
            budget,
            options.protocol,
            options.reference,
        )
    except BlemishError as error:
        print(f"carry_results: {error}", file=sys.stderr)
        return 2
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
