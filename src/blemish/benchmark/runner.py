"""Makes the runs that have no result yet; the folder of results is the only state."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blemish.benchmark.cluster import Cluster, run_on_cluster
from blemish.benchmark.code import this_machine
from blemish.benchmark.execute import Outcome, execute
from blemish.benchmark.maps import write_maps
from blemish.benchmark.runs import Job, Run
from blemish.benchmark.store import Result, ensure_room, read_results, write_result
from blemish.benchmark.workers import WorkerDeath, run_on_workers
from blemish.errors import BlemishError
from blemish.util.files import inside, is_disk_full
from blemish.util.threads import default_threads

CostGroups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class BenchProgress:
    """Progress of a bench: runs done, failed and in all in this call, and those running.

    `seconds_left` is None until a run tells it; `last` is the run that has just ended.
    """

    done: int
    failed: int
    total: int
    running: tuple[str, ...]
    seconds_left: float | None
    last: Result | None = None


@dataclass(frozen=True)
class BenchSummary:
    """The summary of one call of the bench.

    `results` are those of the runs asked for, in their order, old and new. `runs` were made in this
    call, `earlier` before, and `left` are still to make; `seconds` is the wall time.
    """

    results: tuple[Result, ...]
    runs: int
    earlier: int
    left: int
    seconds: float

    @property
    def failed(self) -> list[Result]:
        """The results of runs that failed."""
        return [result for result in self.results if result.status == "failed"]


class RunTimes:
    """Estimates the seconds of a run from the mean of finished runs like it."""

    def __init__(self, results: Iterable[Result]) -> None:
        self._sums: dict[tuple[str, ...], tuple[float, int]] = {}
        for result in results:
            self.add(result)

    def add(self, result: Result) -> None:
        """Add the time of a finished run; a failed one is ignored."""
        if (seconds := result.seconds) is None:
            return
        for like in cost_groups(result.run):
            total, number = self._sums.get(like, (0.0, 0))
            self._sums[like] = total + seconds, number + 1

    def total(self, kinds: Counter[CostGroups]) -> float | None:
        """Seconds of so many runs of each kind, one after the other; None where one is unknown.

        A run takes the mean of the finished runs that are most like it.
        """
        seconds = 0.0
        for kind, number in kinds.items():
            like = next((like for like in kind if like in self._sums), None)
            if like is None:
                return None
            total, known = self._sums[like]
            seconds += number * total / known
        return seconds


def cost_groups(run: Run) -> CostGroups:
    """Groups of runs with about the same cost, the most alike first.

    The first three name the detector and its budget; the last one holds every run.
    """
    detector, data = f"{run.detector} {run.budget}", f"data {run.data}"
    return (detector, data, run.category), (detector, data), (detector,), ()


def run_bench(
    jobs: Sequence[Job],
    folder: Path,
    *,
    execute: Callable[[Job], Outcome] = execute,
    workers: int = 1,
    threads: int | None = None,
    cluster: Cluster | None = None,
    retry: bool = False,
    budget: float | None = None,
    show: Callable[[BenchProgress], None] | None = None,
) -> BenchSummary:
    """Make every run that has no result in `folder`; with `retry` also those that failed.

    They are made by so many processes of this machine, of so many threads each (default: their
    share), or by the workers of a cluster.

    No run starts later than `budget` seconds from now; those under way are finished. A result is
    written as soon as it is there, so that nothing is lost however this ends. Raises BlemishError
    for a folder of other results or that cannot be written, and when the disk is full.
    """
    began = time.monotonic()
    stored = read_results(folder)
    to_do = unmade(jobs, stored, retry=retry)
    if to_do:
        ensure_room(folder, len(to_do))
    asked = [job.run.key for job in jobs]
    known = {result.key: result for result in stored}
    earlier = len(set(asked)) - len(to_do)
    bench = _Bench(to_do, folder, RunTimes(stored), None if cluster else workers, show)
    common: Any = {
        "group": lambda job: (job.location, job.run.category),
        "proceed": lambda: budget is None or time.monotonic() - began < budget,
        "started": bench.start,
    }
    if cluster is not None:
        coming = run_on_cluster(to_do, execute, cluster, **common)
    else:
        threads = threads or threads_each(workers)
        coming = run_on_workers(to_do, execute, workers=workers, threads=threads, **common)
    try:
        with contextlib.closing(coming):  # type: ignore[type-var]
            for job, outcome in coming:
                known[job.run.key] = bench.end(job, outcome)
    except (BlemishError, OSError) as error:
        if not is_disk_full(error):
            raise
        raise BlemishError(
            f"the disk is full; {bench.done} runs of this call are kept in {folder}: free some "
            "space and give the same command again, which goes on from there"
        ) from error
    results = tuple(known[key] for key in dict.fromkeys(asked) if key in known)
    runs = bench.done + bench.failed
    return BenchSummary(results, runs, earlier, len(to_do) - runs, time.monotonic() - began)


def threads_each(workers: int) -> int | None:
    """The threads of each of so many processes; None leaves one alone with its default."""
    return None if workers == 1 else max(1, default_threads() // workers)


def unmade(jobs: Sequence[Job], results: Sequence[Result], *, retry: bool = False) -> list[Job]:
    """The jobs without a result, each run once; with `retry` also those whose run failed."""
    made = {r.key for r in results if r.status == "done" or not retry}
    jobs_by_key = {job.run.key: job for job in jobs}
    return [job for key, job in jobs_by_key.items() if key not in made]


def other_code_notes(results: Sequence[Result]) -> list[str]:
    """One line for each other code that results in this folder are of."""
    numbers: dict[str, int] = {}
    for result in results:
        if (code := result.code) != (now := result.run.code):
            own = f", its {result.run.detector} {code.method}" if code.source == now.source else ""
            name = f"blemish {code.version} ({code.source}{own})"
            numbers[name] = numbers.get(name, 0) + 1
    return [
        f"{number} results there are of other code, {name}: they stay, and are not mixed with "
        "those of this one"
        for name, number in sorted(numbers.items())
    ]


class _Bench:
    """The progress of one call, and the results that it writes."""

    def __init__(
        self,
        jobs: Sequence[Job],
        folder: Path,
        rates: RunTimes,
        workers: int | None,
        show: Callable[[BenchProgress], None] | None,
    ) -> None:
        self.folder, self.rates, self.workers, self.show = folder, rates, workers, show
        self.waiting = Counter(cost_groups(job.run) for job in jobs)
        self.total = len(jobs)
        self.running: dict[str, str] = {}
        self.done = self.failed = 0

    def start(self, job: Job) -> None:
        self.running[job.run.key] = job.run.words()
        self._tell(None)

    def end(self, job: Job, outcome: Outcome | WorkerDeath) -> Result:
        result = _result(job.run, outcome, self.folder)
        if isinstance(outcome, Outcome) and outcome.maps:
            write_maps(inside(self.folder, f"{result.key}.maps.npz"), outcome.maps)
        write_result(result, outcome.arrays if isinstance(outcome, Outcome) else None)
        self.rates.add(result)
        self.running.pop(job.run.key, None)
        self.waiting -= Counter([cost_groups(job.run)])
        if result.status == "done":
            self.done += 1
        else:
            self.failed += 1
        self._tell(result)
        return result

    def _tell(self, last: Result | None) -> None:
        if self.show is None:
            return
        total = self.rates.total(self.waiting)
        # A cluster has as many as are at work.
        left = None if total is None else total / (self.workers or max(1, len(self.running)))
        running = tuple(self.running.values())
        self.show(BenchProgress(self.done, self.failed, self.total, running, left, last))


def _result(run: Run, outcome: Outcome | WorkerDeath, folder: Path) -> Result:
    if isinstance(outcome, WorkerDeath):
        outcome = Outcome(outcome.reason, None, None, None, this_machine())
    return Result(
        key=run.key,
        run=run,
        status="done" if outcome.reason is None else "failed",
        reason=outcome.reason,
        code=run.code,
        figures=outcome.figures,
        cost=outcome.cost,
        fit=outcome.fit,
        machine=outcome.machine,
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        folder=folder,
    )
