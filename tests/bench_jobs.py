"""Jobs of a bench that never was, and what processes of their own make of them."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import numpy as np

from blemish.benchmark.code import this_machine
from blemish.benchmark.execute import Outcome
from blemish.benchmark.runs import Job, Run
from blemish.benchmark.sources import DataLocation


def run(detector: str = "quick", category: str = "nut", seed: int = 0) -> Run:
    return Run(
        protocol="small",
        data="parts",
        category=category,
        variant="",
        split=None,
        split_settings=(),
        detector=detector,
        preset=None,
        settings=(("bank", "50"),),
        size=64,
        resize="squash",
        tile=None,
        seed=seed,
        fingerprint="f" * 64,
    )


def job(
    detector: str = "quick", category: str = "nut", seed: int = 0, place: Path | str = "here"
) -> Job:
    return Job(run(detector, category, seed), DataLocation(str(place)))


def outcome(seed: int = 0) -> Outcome:
    arrays = {
        "image": np.array(["test/good/0.png", "test/dent/1.png"]),
        "part": np.array(["a", "b"]),
        "view": np.array(["", ""]),
        "label": np.array([False, True]),
        "score": np.array([0.25, 0.75 + seed]),
        "localised": np.array([-1, 1], np.int8),
    }
    cost = {
        "train_seconds": 2.0,
        "evaluate_seconds": 1.0,
        "peak_rss_mb": 100.0,
        "latency_ms": 5.0,
    }
    return Outcome(None, {"image": {"auroc": 1.0}}, cost, arrays, this_machine())


def execute(job: Job) -> Outcome:
    """What the detector's name says; `place` is a folder in which each run leaves its name."""
    run = job.run
    if run.detector == "killed":
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    if run.detector == "disk full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if run.detector == "waits":
        Path(job.location.path, f"began {os.getpid()}").touch()
        while not Path(job.location.path, "go").exists():
            time.sleep(0.05)
    if run.detector == "fails" and not Path(job.location.path, "mended").exists():
        return Outcome("it was to fail", None, None, None, this_machine())
    with Path(job.location.path, "log").open("a", encoding="utf-8") as log:
        log.write(f"{run.detector} {run.category} {run.seed} {os.getpid()}\n")
    return outcome(run.seed)
