"""From a data set to a model: hold-out, fit, scores, calibration, artifact."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from blemish.dataset import Dataset
from blemish.detectors.base import Clock, ShowProgress
from blemish.errors import ArtifactError
from blemish.model.artifact import write_artifact
from blemish.training.fresh_start import FRESH_START
from blemish.training.plan import DEFAULT_DETECTOR, Plan
from blemish.training.recalibration import recalibrate
from blemish.training.resume_folder import resume_folder
from blemish.training.start import Start
from blemish.training.task import FittedModel, TrainingTask
from blemish.training.trained import Trained

__all__ = [
    "DEFAULT_DETECTOR",
    "FRESH_START",
    "FittedModel",
    "Plan",
    "Start",
    "Trained",
    "fit",
    "recalibrate",
    "train",
]


def train(
    data: Dataset,
    path: Path,
    plan: Plan,
    *,
    start: Start = FRESH_START,
    budget: float | None = None,
    resume: bool = False,
    progress: ShowProgress | None = None,
) -> Trained:
    """Learn from the good parts of `data`, set the threshold on held-out ones, write the model.

    A warm `start`, whose plan it must be, goes on with a model that learns from defects, and
    compares the two on the test parts that neither has learnt from.

    When `budget` seconds are over, a network that is trained in steps is taken as far as it came;
    anything else raises BudgetExceeded. What was done stays in the folder `PATH.resume`, and the
    same call with `resume` ends at the model of an undisturbed one. Raises DatasetError for data
    that cannot be trained on.
    """
    _check_place(path, start.files)
    clock = Clock(budget)
    task = TrainingTask.of(data, plan, start)
    with resume_folder(path, task.key, resume) as folder:
        made = task.run(folder, clock, progress)
        write_artifact(path, made.graph, made.card, made.members)
        if made.finished:
            shutil.rmtree(folder)
    return Trained(path, made.card, clock.elapsed, made.not_kept)


def fit(data: Dataset, plan: Plan, *, progress: ShowProgress | None = None) -> FittedModel:
    """As `train`, without a file and without a budget: the model stays in memory."""
    task = TrainingTask.of(data, plan, FRESH_START)
    with tempfile.TemporaryDirectory(prefix="blemish-") as folder:
        return task.run(Path(folder), Clock(None), progress)


def _check_place(path: Path, needed: Sequence[Path]) -> None:
    if path.is_dir():
        raise ArtifactError(f"{path} is a folder; name a file for the model, with -o MODEL.blemish")
    if path.exists() and any(path.samefile(file) for file in needed):
        raise ArtifactError(
            f"{path} is the model to go on from, which is still needed; write the new one to "
            "another file, with -o"
        )
