"""Make one run: split, train, evaluate. Nothing is left behind but what is returned."""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from blemish.benchmark.code import this_machine
from blemish.benchmark.maps import KeptMap, choose_images, maps_of
from blemish.benchmark.runs import Job, Run
from blemish.benchmark.sources import open_category
from blemish.dataset import Dataset
from blemish.dataset.paths import relative_paths
from blemish.dataset.splits import divide
from blemish.detectors import learns_from_defects
from blemish.discovery import see_again
from blemish.errors import DatasetError
from blemish.evaluation import Evaluation, evaluate
from blemish.inspector import Inspector
from blemish.training import Plan, train
from blemish.util.files import is_disk_full

log = logging.getLogger("blemish")

_HIGH_WATER = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run came to, wherever it was made; `reason` is None unless it failed.

    `maps` are those for the gallery: of the first seed only, they would be alike. `fit` are the
    plain numbers that the detector tells of its fit, such as `steps` and `steps_planned`.
    """

    reason: str | None
    figures: dict[str, Any] | None
    cost: dict[str, float | None] | None
    arrays: dict[str, npt.NDArray[Any]] | None
    machine: dict[str, Any]
    maps: Sequence[KeptMap] = ()
    fit: dict[str, float] | None = None


def execute(job: Job) -> Outcome:
    """Make a run; what stops it becomes the reason of its failure.

    A full disk is no fault of the run: it is raised.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="blemish-", ignore_cleanup_errors=True) as folder:
            return _made(job, Path(folder))
    except Exception as error:
        if is_disk_full(error):
            raise
        log.debug("%s failed", job.run.words(), exc_info=True)
        known = isinstance(error, DatasetError) or type(error).__module__.startswith("blemish")
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        return Outcome(reason, None, None, None, this_machine())


def _made(job: Job, folder: Path) -> Outcome:
    run = job.run
    see_again(dict(job.files))
    open_category(job.location, run.category)  # once for all of its runs, so no cost of this one
    _forget_peak()
    start = time.perf_counter()
    data = _data(job)
    model = folder / "model.blemish"
    trained = train(data, model, _plan(run), budget=run.budget)
    middle = time.perf_counter()
    evaluation = evaluate(Inspector.open(model), data)
    evaluation.refuse_unreadable()  # a result on fewer images is none of this test
    end = time.perf_counter()
    cost = {
        "train_seconds": middle - start,
        "evaluate_seconds": end - middle,
        "peak_rss_mb": _peak_rss_mb(),
        "latency_ms": trained.card.latency_ms.p50,
    }
    maps: list[KeptMap] = []
    if run.seed == 0:
        chosen = choose_images(evaluation.images, evaluation.inspector.threshold)
        maps = maps_of(evaluation, chosen)
    arrays, fit = _arrays(evaluation, data), _plain_numbers(trained.card.fit)
    return Outcome(None, evaluation.figures, cost, arrays, this_machine(), maps, fit)


def _plain_numbers(facts: Mapping[str, Any]) -> dict[str, float]:
    """Without texts, lists and flags, nor numbers that JSON has no place for."""
    numbers = {name: value for name, value in facts.items() if type(value) in (int, float)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _data(job: Job) -> Dataset:
    """The images of a run, on the sides that its split gives them."""
    run = job.run
    data, fingerprint = open_category(job.location, run.category)
    if fingerprint != run.fingerprint:
        raise DatasetError(
            f"{job.location.path} does not hold the same images here as where the bench was "
            "started; bring both to the same state, and run it again"
        )
    if run.split is None:
        return data
    divided = divide(data, run.split, run.seed, dict(run.split_settings)).data
    return divided if learns_from_defects(run.detector) else _taught_good(divided)


def _taught_good(data: Dataset) -> Dataset:
    """Without the known defects of training, for a detector that learns from good images."""
    taught = (pl.col("split") != "test") & pl.col("label").eq_missing("defective")
    return data.with_table(data.table.filter(~taught))


def _plan(run: Run) -> Plan:
    return Plan(
        detector=run.detector,
        preset=run.preset,
        settings=dict(run.settings),
        size=run.size,
        resize=run.resize,
        crop=run.crop,
        tile=run.tile,
        seed=run.seed,
    )


def _arrays(evaluation: Evaluation, data: Dataset) -> dict[str, npt.NDArray[Any]]:
    images = evaluation.images
    return {
        "image": np.array(relative_paths([i.image for i in images], data.root), dtype=np.str_),
        "part": np.array([image.part for image in images], dtype=np.str_),
        "view": np.array([image.view or "" for image in images], dtype=np.str_),
        "label": np.array([image.label == "defective" for image in images], dtype=np.bool_),
        "score": np.array([image.score for image in images], dtype=np.float64),
        "localised": np.array([image.localised for image in images], dtype=np.int8),
    }


def _forget_peak() -> None:
    """Let the peak memory of this process start anew, where the system can."""
    try:
        _HIGH_WATER[0].write_text("5", encoding="ascii")
    except OSError:
        return


def _peak_rss_mb() -> float | None:
    """The peak memory since then; None where the system does not tell that of one run."""
    try:
        lines = _HIGH_WATER[1].read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return round(int(found[0]) / 1024, 1) if found else None
