"""The public door: what `import blemish` offers, beside the types that its functions return."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from blemish.calibration.promise import Calibration, Promise
from blemish.dataset import Dataset, open_dataset
from blemish.errors import ArtifactError, BlemishError, CalibrationError
from blemish.evaluation import Evaluation
from blemish.evaluation import evaluate as evaluate_inspector
from blemish.inspector import Inspector
from blemish.model.artifact import write_artifact
from blemish.model.card import Card
from blemish.training import DEFAULT_DETECTOR, Plan, Trained, recalibrate
from blemish.training import fit as fit_model
from blemish.training import train as train_model
from blemish.util.finite import is_finite
from blemish.util.names import path_of, type_of
from blemish.util.progress import ShowProgress

Data = Dataset | str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted model in memory: an ONNX graph, its card, and the pictures that go with it."""

    graph: bytes
    card: Card
    members: Mapping[str, bytes]

    @cached_property
    def inspector(self) -> Inspector:
        """What scores images and decides on parts with it."""
        return Inspector(self.graph, self.card.recipe, self.card)

    @property
    def calibration(self) -> Calibration:
        """Its threshold, and what that promises."""
        return self.card.calibration.limit

    def evaluate(self, data: Data, *, progress: ShowProgress | None = None) -> Evaluation:
        """How well it tells the good from the defective parts in the test split of `data`."""
        return evaluate_inspector(self.inspector, _opened(data), progress=progress)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the `.blemish` file. Raises ArtifactError where that cannot be done."""
        place = path_of(path, "the model", ArtifactError)
        write_artifact(place, self.graph, self.card, self.members)
        return place


def fit(
    data: Data, plan: Plan | str = DEFAULT_DETECTOR, *, progress: ShowProgress | None = None
) -> Model:
    """Learn from the good parts of `data`, and set the threshold on good parts held out.

    `data` is a data set, or a path for `open_dataset`; `plan` says how, or names the detector.
    Raises DatasetError for data that cannot be trained on.
    """
    how = _plan(plan)
    made = fit_model(_opened(data), how, progress=progress)
    return Model(made.graph, made.card, made.members)


def train(
    data: Data,
    path: str | os.PathLike[str],
    plan: Plan | str = DEFAULT_DETECTOR,
    *,
    budget: float | None = None,
    resume: bool = False,
    progress: ShowProgress | None = None,
) -> Trained:
    """`fit`, with the model written to `path`; it can be stopped and gone on with.

    After `budget` seconds a network in training is taken as far as it came; anything else raises
    BudgetExceeded. The same call with `resume` ends at the model of an undisturbed one.
    """
    place, how = path_of(path, "the model", ArtifactError), _plan(plan)
    if budget is not None and not (is_finite(budget) and budget > 0):
        raise BlemishError(f"a budget of {budget!r} is no time; give seconds above 0")
    return train_model(
        _opened(data), place, how, budget=budget, resume=bool(resume), progress=progress
    )


def evaluate(
    model: Model | Inspector | str | os.PathLike[str],
    data: Data,
    *,
    progress: ShowProgress | None = None,
) -> Evaluation:
    """How well a model, or the one at a path, tells good from defective parts of the test split.

    An image that cannot be read ends nothing: `Evaluation.unreadable` tells it, and it counts in no
    figure.
    """
    if isinstance(model, Model):
        model = model.inspector
    inspector = model if isinstance(model, Inspector) else Inspector.open(model)
    return evaluate_inspector(inspector, _opened(data), progress=progress)


def calibrate(
    model: str | os.PathLike[str],
    good: Data,
    promise: Promise | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    progress: ShowProgress | None = None,
) -> Trained:
    """Set the threshold of the model at a path anew, on good parts that it has not learnt from.

    `promise` is at most 1 % of good parts rejected at 95 % confidence, unless it is given. `out` is
    where the model is written, else its own path.
    """
    path = path_of(model, "the model", ArtifactError)
    promise = Promise() if promise is None else promise
    if not isinstance(promise, Promise):
        raise CalibrationError(f"the promise must be a Promise, not {type_of(promise)}")
    target = path if out is None else path_of(out, "the new model", ArtifactError)
    return recalibrate(path, _opened(good).good(), promise, target, progress=progress)


def _opened(data: Data) -> Dataset:
    return data if isinstance(data, Dataset) else open_dataset(data)


def _plan(plan: Plan | str) -> Plan:
    if isinstance(plan, Plan):
        return plan
    if not isinstance(plan, str):
        raise BlemishError(f"a plan must be a Plan or a detector's name, not {type_of(plan)}")
    return Plan(detector=plan)
