"""The bench on a Dask cluster of real processes: nothing is lost, and the results are the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_jobs import execute, job
from running import Cli, environment, finished

import blemish
from blemish.benchmark import cluster as cluster_module
from blemish.benchmark.cluster import Cluster
from blemish.benchmark.runner import BenchSummary, run_bench
from blemish.benchmark.runs import Job
from blemish.benchmark.store import read_results
from blemish.errors import BlemishError

pytest.importorskip("distributed", reason="the extra blemish[bench] is not installed")

TESTS = str(Path(__file__).parent)
# A server for the dashboard is there without one too, on all of the machine's addresses.
HERE = ("--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")


class Processes:
    """A scheduler and its workers, each a process of its own."""

    def __init__(self, folder: Path, *options: object, more: Sequence[object] = ()) -> None:
        """`options` are the scheduler's alone, `more` are those of its workers too."""
        self.folder, self.common = folder, (*HERE, *more)
        self.started: list[subprocess.Popen[bytes]] = []
        self.file = folder / "scheduler.json"
        place = ("--port", "0", "--scheduler-file", self.file)
        self.scheduler = self.start("scheduler", *self.common, *place, *options)
        wait_for(lambda: self.file.exists() and self.file.stat().st_size)  # it is made, then filled
        self.address: str = json.loads(self.file.read_text(encoding="utf-8"))["address"]

    def start(self, kind: str, *options: object, **more: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([environment()["PYTHONPATH"], TESTS])
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", *map(str, options)],
            env=environment(**({"PYTHONPATH": path} | more)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def worker(self, *options: object, **more: str) -> subprocess.Popen[bytes]:
        common = (*self.common, "--nthreads", "1")
        scratch = ("--local-directory", self.folder)
        return self.start("worker", self.address, *common, *scratch, *options, **more)

    def cluster(self, **changes: Any) -> Cluster:
        return Cluster(self.address, **changes)

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    (tmp_path / "dask").mkdir()
    found = Processes(tmp_path / "dask")
    yield found
    found.end()


def wait_for(there: Callable[[], object]) -> None:
    while not there():
        time.sleep(0.05)


def bench(jobs: Sequence[Job], folder: Path, cluster: Cluster, **more: Any) -> BenchSummary:
    return run_bench(jobs, folder / "out", execute=execute, cluster=cluster, **more)


def detectors(made: BenchSummary) -> list[str]:
    return [result.run.detector for result in made.results if result.status == "done"]


def test_two_workers_come_to_the_results_of_this_process(
    processes: Processes, cli: Cli, plates: Path, tmp_path: Path
) -> None:
    protocol = tmp_path / "small.toml"
    protocol.write_text(
        'title = "plates"\nsource = "no paper"\nseeds = 2\n'
        '[[data]]\nname = "plates"\nfolders = ["plates"]\n[[splits]]\nprotocol = "pooled"\n'
        '[[detectors]]\nname = "padim"\nsize = 64\n'
        '[[metrics]]\npath = "image.auroc"\nname = "I-AUROC"\n',
        encoding="utf-8",
    )
    for _ in range(2):
        processes.worker("--no-nanny", BLEMISH_THREADS="1", OPENBLAS_NUM_THREADS="1")
    argv = ["bench", "run", protocol, "--data", plates.parent, "--quiet", "--out"]
    run = cli(*argv, tmp_path / "far", "--dask", processes.address)
    assert run.code == 0, run.err
    alone = finished([*argv, tmp_path / "near"], BLEMISH_THREADS="1", OPENBLAS_NUM_THREADS="1")
    assert alone.code == 0, alone.err
    far, near = (read_results(tmp_path / name) for name in ("far", "near"))
    assert len(far) == 2
    assert [one.key for one in far] == [one.key for one in near]
    for there, here in zip(far, near, strict=True):
        assert there.figures is not None
        assert here.figures is not None
        for kind in ("image", "pixel", "decision", "oracle_f1"):
            assert there.figures[kind] == here.figures[kind]
        np.testing.assert_array_equal(there.scores().score, here.scores().score)


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(
    processes: Processes, tmp_path: Path
) -> None:
    first = processes.worker("--no-nanny")

    def kill(progress: Any) -> None:
        """Kill the worker as soon as its run has begun, then start another."""
        if progress.running and first.poll() is None:
            wait_for(lambda: list(tmp_path.glob("began *")))
            os.killpg(first.pid, signal.SIGKILL)
            (tmp_path / "go").touch()
            processes.worker("--no-nanny")

    jobs = [job("waits", place=tmp_path), job("quick", place=tmp_path)]
    made = bench(jobs, tmp_path, processes.cluster(), show=kill)
    assert detectors(made) == ["waits", "quick"]
    assert len(list(tmp_path.glob("began *"))) == 2


def test_a_run_that_ends_every_worker_fails_alone(processes: Processes, tmp_path: Path) -> None:
    processes.worker()  # its nanny starts it again
    jobs = [job("killed", place=tmp_path), job("quick", place=tmp_path)]
    made = bench(jobs, tmp_path, processes.cluster())
    assert detectors(made) == ["quick"]
    assert made.failed[0].reason is not None
    assert made.failed[0].reason.startswith("3 workers ended in the middle of it, tcp://127.0.0.1")


def test_a_scheduler_that_goes_away_loses_nothing(processes: Processes, tmp_path: Path) -> None:
    processes.worker("--no-nanny")

    def end(progress: Any) -> None:
        if progress.done == 1 and processes.scheduler.poll() is None:
            os.killpg(processes.scheduler.pid, signal.SIGKILL)

    jobs = [job("quick", place=tmp_path), job("waits", place=tmp_path)]
    with pytest.raises(BlemishError, match=r"scheduler at tcp:.* went away; what was made is kept"):
        bench(jobs, tmp_path, processes.cluster(), show=end)
    (tmp_path / "go").touch()
    made = run_bench(jobs, tmp_path / "out", execute=execute)
    assert (made.runs, made.earlier, detectors(made)) == (1, 1, ["quick", "waits"])


def test_a_worker_without_the_data_is_named_with_its_host(
    processes: Processes, tmp_path: Path
) -> None:
    processes.worker("--no-nanny")
    with pytest.raises(BlemishError, match=r"no worker can make a run: .* has no /no/where; every"):
        bench([job(place="/no/where")], tmp_path, processes.cluster())
    assert read_results(tmp_path / "out") == []


def test_a_worker_with_other_code_gets_no_run(processes: Processes, tmp_path: Path) -> None:
    package = tmp_path / "other" / "blemish"
    shutil.copytree(Path(blemish.__file__).parent, package)
    with (package / "evaluation" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write("\nevaluate.changed = True\n")
    path = os.pathsep.join([str(package.parent), TESTS])
    processes.worker("--no-nanny", PYTHONPATH=path)
    with pytest.raises(
        BlemishError, match=r"has other code .* than the bench .*; install the same"
    ):
        bench([job(place=tmp_path)], tmp_path, processes.cluster())


def test_a_run_takes_of_a_resource_and_waits_for_a_worker_that_has_it(
    processes: Processes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without = processes.worker("--no-nanny")
    asked = processes.cluster(resource=("GPU", 1.0))
    jobs = [job(seed=seed, place=tmp_path) for seed in range(2)]
    assert bench(jobs, tmp_path, asked, budget=3).runs == 0
    assert "has room yet; the bench waits" in caplog.text
    with_one = processes.worker("--no-nanny", "--resources", "GPU=1")
    assert bench(jobs, tmp_path, asked).runs == 2
    pids = {int(line.split()[-1]) for line in (tmp_path / "log").read_text().splitlines()}
    assert without.pid not in pids
    assert pids == {with_one.pid}


def test_a_full_disk_of_a_worker_ends_the_bench_and_fails_no_run(
    processes: Processes, tmp_path: Path
) -> None:
    processes.worker("--no-nanny")
    with pytest.raises(BlemishError, match=r"the disk of the worker tcp://\S+ is full; free some"):
        bench([job("disk full", place=tmp_path)], tmp_path, processes.cluster())
    assert read_results(tmp_path / "out") == []


def test_a_cluster_of_its_own(tmp_path: Path) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_bench_cluster as t; t.own()"
    run = finished([TESTS, tmp_path], code=code)
    assert run.code == 0, run.err
    assert run.err == []
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert len({line.split()[-1] for line in lines}) == 2


def own() -> None:
    """Eight runs, of two categories, on a local cluster of two workers."""
    folder = Path(sys.argv[2])
    jobs = [job(category=c, seed=seed, place=folder) for c in ("a", "b") for seed in range(4)]
    assert bench(jobs, folder, Cluster("local", workers=2)).runs == 8


def test_what_the_command_refuses(
    cli: Cli, plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "_PATIENCE", 0.5)
    run = ["bench", "run", "dev", "--data", plates.parent, "--quiet", "--out", tmp_path / "out"]
    protocol = tmp_path / "small.toml"
    protocol.write_text(
        'title = "plates"\nsource = "no paper"\n[[data]]\nname = "plates"\nfolders = ["plates"]\n'
        '[[detectors]]\nname = "padim"\n[[metrics]]\npath = "image.auroc"\nname = "I-AUROC"\n',
        encoding="utf-8",
    )
    run[2] = protocol
    cli(*run, "--dask", "tcp://127.0.0.1:9").refusal("no Dask scheduler answers", "127.0.0.1:9")
    cli(*run, "--dask", "nowhere at all").refusal("no Dask scheduler answers at nowhere at all")
    cli(*run, "--dask", "tcp://a:1", "--workers", "2").refusal("leave out --workers")
    cli(*run, "--resource", "GPU=1").refusal("--dask")
    cli(*run, "--dask", "local", "--resource", "GPU").refusal("NAME=N", "GPU=1")
    cli(*run, "--dask", "local", "--resource", "GPU=-1").refusal("NAME=N", "GPU=1")
