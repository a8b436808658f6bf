"""A pool of worker processes that make runs.

Nothing heavy is imported above: a new process sets its number of threads before numpy is loaded.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar, cast

from blemish.errors import BlemishError

Job = TypeVar("Job")
Answer = TypeVar("Answer")

_SPAWN = multiprocessing.get_context("spawn")  # the one way that every system has
THREADS = ("BLEMISH_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

_TRIES = 100


@dataclass(frozen=True)
class WorkerDeath:
    """A worker process ended in the middle of a run."""

    reason: str


@dataclass
class _Worker(Generic[Job]):
    process: BaseProcess
    connection: Connection
    job: Job | None = None
    group: object = None


class JobQueue(Generic[Job]):
    """Jobs by group; workers get different groups while there are enough.

    The jobs of a group share features: the worker that computed them keeps the group.
    """

    def __init__(self, jobs: Sequence[Job], group: Callable[[Job], object]) -> None:
        self._group = group
        self._jobs: dict[object, deque[Job]] = {}
        for job in jobs:
            self._jobs.setdefault(group(job), deque()).append(job)

    def __len__(self) -> int:
        """The number of jobs that are left."""
        return sum(map(len, self._jobs.values()))

    def take(self, last: object, busy: Sequence[object]) -> tuple[Job, object] | None:
        """The next job and its group for a worker: of its `last` group, else of one not `busy`."""
        if not self._jobs:
            return None
        free = (group for group in self._jobs if group not in busy)
        group = last if last in self._jobs else next(free, next(iter(self._jobs)))
        job = self._jobs[group].popleft()
        if not self._jobs[group]:
            del self._jobs[group]
        return job, group

    def give_back(self, job: Job) -> None:
        """Put a job back, first in its group."""
        self._jobs.setdefault(self._group(job), deque()).appendleft(job)


def run_on_workers(
    jobs: Sequence[Job],
    execute: Callable[[Job], Answer],
    *,
    workers: int = 1,
    threads: int | None = None,
    group: Callable[[Job], object] = lambda job: None,
    proceed: Callable[[], bool] = lambda: True,
    started: Callable[[Job], None] = lambda job: None,
) -> Iterator[tuple[Job, Answer | WorkerDeath]]:
    """Yield each job and what `execute`, a function of a module, returned, as they finish.

    Before each job `proceed` says whether to go on; `threads` is for each worker. An error that
    `execute` raises ends it all, as does a process that cannot start: BlemishError.
    """
    queue = JobQueue(jobs, group)
    number = max(1, min(workers, len(jobs)))
    with tempfile.TemporaryDirectory(prefix="blemish-bench-", ignore_cleanup_errors=True) as folder:
        pool = _WorkerPool[Job](execute, threads, folder)

        def give(worker: _Worker[Job]) -> None:
            taken = queue.take(worker.group, pool.busy()) if proceed() else None
            if taken is None:
                return
            worker.job, worker.group = taken
            started(worker.job)
            with contextlib.suppress(OSError):  # it has ended: its answer will be missing
                worker.connection.send(worker.job)

        try:
            for worker in [pool.employ() for _ in range(number)]:
                _await_start(worker)
                give(worker)
            while at_work := pool.at_work():
                for connection in wait(list(at_work)):
                    worker = at_work[cast(Connection, connection)]
                    job, answer = cast(Job, worker.job), _answer(worker)
                    worker.job = None
                    if isinstance(answer, Exception):
                        raise answer
                    if isinstance(answer, WorkerDeath):
                        worker = pool.replace(worker)
                    give(worker)
                    yield job, cast("Answer | WorkerDeath", answer)
        finally:
            pool.dismiss()


class _WorkerPool(Generic[Job]):
    """The worker processes."""

    def __init__(self, execute: Callable[..., object], threads: int | None, folder: str) -> None:
        self._execute, self._threads, self._folder = execute, threads, folder
        self._workers: list[_Worker[Job]] = []

    def employ(self) -> _Worker[Job]:
        worker: _Worker[Job] = _start(self._threads, self._folder)
        self._workers.append(worker)
        with contextlib.suppress(OSError):  # it has ended: `_await_start` tells
            worker.connection.send(self._execute)
        return worker

    def replace(self, dead: _Worker[Job]) -> _Worker[Job]:
        self._workers.remove(dead)
        worker = self.employ()
        _await_start(worker)
        return worker

    def at_work(self) -> dict[Connection, _Worker[Job]]:
        return {w.connection: w for w in self._workers if w.job is not None}

    def busy(self) -> list[object]:
        return [worker.group for worker in self._workers if worker.job is not None]

    def dismiss(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()


def _start(threads: int | None, folder: str) -> _Worker[Job]:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs, threads, folder), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _await_start(worker: _Worker[Job]) -> None:
    try:
        worker.connection.recv()
    except (EOFError, OSError) as error:
        worker.process.join()
        raise BlemishError(
            f"a process for the runs could not start (exit code {worker.process.exitcode}); "
            "what it printed says why"
        ) from error


def _answer(worker: _Worker[Job]) -> object:
    try:
        return worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join()
        code = worker.process.exitcode
        return WorkerDeath(
            f"its process ended with exit code {code}"
            + (", killed from outside, perhaps for want of memory" if code in (-9, 137) else "")
        )


def _serve(connection: Connection, threads: int | None, folder: str) -> None:
    """A worker's loop: read jobs, answer each; end when the bench does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the bench's to answer
    if threads is not None:
        os.environ.update(dict.fromkeys(THREADS, str(threads)))
    tempfile.tempdir = folder
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    try:
        execute = connection.recv()
        connection.send("ready")
        while True:
            job = connection.recv()
            try:
                answer = execute(job)
            except Exception as error:
                answer = error
            connection.send(answer)
    except (EOFError, OSError):  # nobody is there to be answered
        _end_with_parent(folder)


def _end_with_parent(folder: str) -> None:
    """End with the parent process, and remove the worker's files."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    for _ in range(_TRIES):  # the run goes on meanwhile, and may write what was just removed
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):  # noqa: PTH110 - nothing between the look and the end
            break
    os._exit(1)
