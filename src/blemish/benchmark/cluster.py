"""Runs on the workers of a Dask cluster, on this machine or on others.

Who started the scheduler and its workers (SLURM, Kubernetes, SSH, a person) makes no difference. A
worker process makes one run at a time, with the threads that it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from blemish.benchmark.code import Code
from blemish.benchmark.runs import Job
from blemish.benchmark.workers import THREADS, JobQueue, WorkerDeath
from blemish.dataset.label_words import name_some
from blemish.errors import BlemishError
from blemish.util.files import is_disk_full
from blemish.util.library_errors import reason_of

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger("blemish")

Answer = TypeVar("Answer")

LOCAL = "local"
_DEATHS = 3  # a run that has ended so many workers fails
_PATIENCE = 10  # seconds for a scheduler to answer
_LOOK = 1.0  # seconds between looks at which workers there are


@dataclass(frozen=True)
class Cluster:
    """Where a scheduler listens, or "local" for one of this bench's own with `workers` processes.

    `threads` is of each of them. A `resource`, name and amount, such as ("GPU", 1), is what a run
    takes of its worker: those that have less of it are given none.
    """

    address: str
    workers: int = 1
    threads: int = 1
    resource: tuple[str, float] | None = None


@dataclass(frozen=True)
class _Unfit:
    """Why no run can be made on a worker."""

    reason: str


def run_on_cluster(
    jobs: Sequence[Job],
    execute: Callable[[Job], Answer],
    cluster: Cluster,
    *,
    group: Callable[[Job], object] = lambda job: None,
    proceed: Callable[[], bool] = lambda: True,
    started: Callable[[Job], None] = lambda job: None,
) -> Iterator[tuple[Job, Answer | WorkerDeath]]:
    """Yield each job and what `execute`, a function of a module, returned, as they finish.

    A job whose worker ends is given to another. Workers may come and go. Raises BlemishError when
    the scheduler goes away, and when every worker lacks the data or has other code.
    """
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(_client(cluster, stack))
        pool = _ClusterPool(client, cluster, JobQueue(jobs, group), execute)
        stack.callback(pool.dismiss)
        while pool.give(proceed, started):
            yield from pool.collect()


class _ClusterPool:
    """The workers of a cluster, and the job of each."""

    def __init__(
        self, client: Client, cluster: Cluster, queue: JobQueue[Job], execute: Callable[[Job], Any]
    ) -> None:
        self.client, self.cluster, self.queue, self.execute = client, cluster, queue, execute
        self.at_work: dict[Future, tuple[Job, str, object]] = {}
        self.last: dict[str, object] = {}
        self.deaths: dict[str, int] = {}
        self.unfit: dict[str, str] = {}
        self.waits = False

    def give(self, proceed: Callable[[], bool], started: Callable[[Job], None]) -> bool:
        """Give every free worker a job; False when none is left and none is running."""
        workers = self._workers()
        self._take_from(set(workers))
        taken = {worker for _, worker, _ in self.at_work.values()}
        for worker in workers:
            if worker in taken or worker in self.unfit or not self._has_resource(workers[worker]):
                continue
            busy = [group for _, _, group in self.at_work.values()]
            given = self.queue.take(self.last.get(worker), busy) if proceed() else None
            if given is None:
                break
            self._submit(*given, worker)
            started(given[0])
        if self.at_work:
            return True
        if not self.queue or not proceed():
            return False
        if workers and self.unfit.keys() >= workers.keys():
            reasons = list(dict.fromkeys(self.unfit.values()))
            raise BlemishError(f"no worker can make a run: {name_some(reasons)}")
        if not self.waits:
            self.waits = True
            log.warning("no worker at %s has room yet; the bench waits", self.cluster.address)
        return True

    def collect(self) -> Iterator[tuple[Job, Any]]:
        """The jobs that have finished, after a short wait."""
        from distributed import wait

        if not self.at_work:
            time.sleep(_LOOK)
            return
        with contextlib.suppress(TimeoutError, CancelledError):
            wait(list(self.at_work), timeout=_LOOK, return_when="FIRST_COMPLETED")
        for future in [future for future in self.at_work if future.done()]:
            job, worker, _ = self.at_work[future]
            answer = self._answer(future, worker)
            del self.at_work[future]
            if isinstance(answer, _Unfit):
                log.warning("the worker %s gets no more runs: %s", worker, answer.reason)
                self.unfit[worker] = answer.reason
                self.queue.give_back(job)
            elif isinstance(answer, WorkerDeath):
                yield from self._died(job, worker)
            else:
                yield job, answer

    def dismiss(self) -> None:
        """Cancel the running jobs."""
        with contextlib.suppress(Exception):  # the scheduler may be gone
            self.client.cancel(list(self.at_work), force=True)

    def _submit(self, job: Job, group: object, worker: str) -> None:
        resource = self.cluster.resource
        future = self.client.submit(
            *(_work, self.execute, job, job.run.code),
            workers=[worker],
            resources=None if resource is None else {resource[0]: resource[1]},
            pure=False,
            retries=0,
        )
        self.at_work[future] = job, worker, group
        self.last[worker] = group

    def _take_from(self, workers: set[str]) -> None:
        """Cancel the jobs of workers that are gone."""
        for future, (_, worker, _) in list(self.at_work.items()):
            if worker not in workers and not future.done():
                future.cancel(force=True)

    def _answer(self, future: Future, worker: str) -> Any:
        if future.status == "finished":
            return future.result()
        if future.status in ("cancelled", "lost"):
            self._check()
            return WorkerDeath("")
        from distributed import KilledWorker

        error = future.exception()
        if isinstance(error, KilledWorker):
            return WorkerDeath("")
        if isinstance(error, OSError) and is_disk_full(error):
            raise BlemishError(f"the disk of the worker {worker} is full; free some space")
        raise BlemishError(
            f"the worker {worker} cannot make runs: {error}; install the same blemish there"
        ) from error

    def _died(self, job: Job, worker: str) -> Iterator[tuple[Job, WorkerDeath]]:
        deaths = self.deaths[job.run.key] = self.deaths.get(job.run.key, 0) + 1
        if deaths >= _DEATHS:
            yield job, WorkerDeath(f"{deaths} workers ended in the middle of it, {worker} the last")
            return
        log.warning("the worker %s ended; %s is given to another", worker, job.run.words())
        self.queue.give_back(job)

    def _has_resource(self, worker: Mapping[str, Any]) -> bool:
        name, amount = self.cluster.resource or ("", 0)
        return bool(worker.get("resources", {}).get(name, 0) >= amount)

    def _workers(self) -> Mapping[str, Any]:
        self._check()
        workers: Mapping[str, Any] = self.client.scheduler_info(n_workers=-1)["workers"]
        return workers

    def _check(self) -> None:
        if self.client.status != "running":
            raise BlemishError(
                f"the scheduler at {self.cluster.address} went away; what was made is kept: start "
                "it again and give the same command, which goes on from there"
            )


@contextlib.contextmanager
def _client(cluster: Cluster, stack: contextlib.ExitStack) -> Iterator[Client]:
    try:
        import dask.config
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise BlemishError(
            "runs on a Dask cluster need the package distributed: pip install 'blemish[bench]'"
        ) from error
    for name in ("distributed", "distributed.client", "distributed.nanny"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    address: Any = cluster.address
    if address == LOCAL:
        name, amount = cluster.resource or ("", 0)
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="blemish-bench-", ignore_cleanup_errors=True)
        )
        # Its scheduler would leave files of locks in the system's temporary folder, and serve what
        # it does on a well-known port, dashboard or not.
        own = {"temporary-directory": folder, "distributed.scheduler.http.routes": []}
        stack.enter_context(dask.config.set(own))
        address = stack.enter_context(
            LocalCluster(
                n_workers=cluster.workers,
                threads_per_worker=cluster.threads,
                env=dict.fromkeys(THREADS, str(cluster.threads)),
                resources={name: amount} if name else None,
                memory_limit=0,
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                local_directory=folder,
                silence_logs=logging.CRITICAL,
            )
        )
    else:
        _ensure_scheduler(address)
    try:
        client = Client(address, timeout=_PATIENCE, name="blemish-bench")
    except (OSError, ValueError, TypeError) as error:
        raise _no_scheduler(address, "it went away") from error
    with client:
        yield client


def _ensure_scheduler(address: str) -> None:
    """Ask what listens at an address whether it is a scheduler; Dask's client may wait forever.

    Raises BlemishError where it is none, and where it says nothing for a while; for what is no
    address; and where TLS lacks its certificates.
    """
    scheme = _scheme(address)
    how = _certificates()
    if scheme == "tls" and how.get("ssl_context") is None:
        raise BlemishError(
            f"{address} takes certificates, and Dask knows none here: set "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...__TLS__CLIENT__CERT and "
            "...__TLS__CLIENT__KEY to their files"
        )
    with ThreadPoolExecutor(1) as alone:  # a notebook has a loop of its own in this thread
        try:
            answer = alone.submit(asyncio.run, _identity(address, how)).result()
        except TimeoutError as error:
            raise _no_scheduler(address, f"nothing was said in {_PATIENCE} s") from error
        except OSError as error:
            raise _no_scheduler(address, _connection_reason(error)) from error
        except Exception as error:  # Dask reads what a foreign server says, and fails as any type
            reason = "what listens there speaks otherwise, or is Dask of another version"
            raise _no_scheduler(address, reason) from error
    kind = answer.get("type") if isinstance(answer, dict) else None
    if kind != "Scheduler":
        raise _no_scheduler(address, f"it is a {kind} of Dask" if kind else "it is something else")


def _scheme(address: str) -> str:
    """The scheme of an address, "tcp" where it names none."""
    from distributed.comm.addressing import parse_address, parse_host_port
    from distributed.comm.registry import get_backend

    try:
        scheme, place = parse_address(address)
        get_backend(scheme)
        if scheme in ("tcp", "tls"):
            parse_host_port(place)
    except ValueError as error:
        raise _no_scheduler(address, f"it is no address: {reason_of(error)}") from error
    return str(scheme)


def _certificates() -> dict[str, Any]:
    """What Dask is configured to connect with."""
    from distributed.security import Security

    try:
        return dict(Security().get_connection_args("client"))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BlemishError(
            f"the certificates that Dask is configured with (distributed.comm.tls) cannot be used "
            f"({reason_of(error)}); name files that hold them"
        ) from error


async def _identity(address: str, how: Mapping[str, Any]) -> object:
    """What a server of Dask says of itself."""
    from distributed.comm import connect

    async def ask() -> object:
        # So that a refused connection is told as that, and not as a time that is over.
        connection = await connect(address, timeout=0.8 * _PATIENCE, **how)
        try:
            await connection.write({"op": "identity", "reply": True})
            return await connection.read()
        finally:
            connection.abort()

    return await asyncio.wait_for(ask(), _PATIENCE)


def _connection_reason(error: OSError) -> str:
    """The cause of a failed connection that the system names, in a few words."""
    cause: BaseException | None = error
    found = "it answers nothing"
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"its TLS and that of this machine do not fit: {cause.reason or cause}"
        if isinstance(cause, OSError) and cause.strerror:
            found = cause.strerror
        cause = cause.__cause__ or cause.__context__
    return found


def _no_scheduler(address: str, reason: str) -> BlemishError:
    return BlemishError(
        f"no Dask scheduler answers at {address} ({reason}): start one with `dask scheduler`, and "
        f"name its address, such as tcp://HOST:8786, or {LOCAL}"
    )


def _work(execute: Callable[[Job], Answer], job: Job, code: Code) -> Any:
    """Make a run in a worker's process, if it has the code and the data."""
    from distributed import get_worker

    worker, host = get_worker(), socket.gethostname()
    if job.run.code != code:
        return _Unfit(
            f"{host} has other code ({job.run.code.version}, {job.run.code.source}) than the bench "
            f"({code.version}, {code.source}); install the same version there"
        )
    for path in (job.location.path, job.location.training):
        if path is not None and not os.path.exists(path):  # noqa: PTH110
            return _Unfit(f"{host} has no {path}; every worker needs the data at the same place")
    tempfile.tempdir = worker.local_directory  # swept up by Dask if this worker is killed
    os.environ["BLEMISH_THREADS"] = os.environ.get("BLEMISH_THREADS", str(worker.state.nthreads))
    return execute(job)
