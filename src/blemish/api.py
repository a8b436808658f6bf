"""The public door: what `import blemish` offers, beside the types that its functions return."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from blemish.calibration.promise import Calibration, Promise
from blemish.dataset import Dataset, open_dataset
from blemish.evaluation import Evaluation
from blemish.evaluation import evaluate as evaluate_inspector
from blemish.inspector import Inspector
from blemish.model.artifact import write_artifact
from blemish.model.card import Card
from blemish.training import DEFAULT_DETECTOR, Plan, Trained, recalibrate
from blemish.training import fit as fit_model
from blemish.training import train as train_model
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
        write_artifact(Path(path), self.graph, self.card, self.members)
        return Path(path)


def fit(
    data: Data, plan: Plan | str = DEFAULT_DETECTOR, *, progress: ShowProgress | None = None
) -> Model:
    """Learn from the good parts of `data`, and set the threshold on good parts held out.

    `data` is a data set, or a path for `open_dataset`; `plan` says how, or names the detector.
    Raises DatasetError for data that cannot be trained on.
    """
    made = fit_model(_opened(data), _plan(plan), progress=progress)
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
    return train_model(
        _opened(data), Path(path), _plan(plan), budget=budget, resume=resume, progress=progress
    )


def evaluate(
    model: Model | Inspector | str | os.PathLike[str],
    data: Data,
    *,
    progress: ShowProgress | None = None,
) -> Evaluation:
    """How well a model, or the one at a path, tells good from defective parts of the test split."""
    if isinstance(model, Model):
        model = model.inspector
    inspector = model if isinstance(model, Inspector) else Inspector.open(Path(model))
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
    path = Path(model)
    promise = Promise() if promise is None else promise
    target = path if out is None else Path(out)
    return recalibrate(path, _opened(good).good(), promise, target, progress=progress)


def _opened(data: Data) -> Dataset:
    return data if isinstance(data, Dataset) else open_dataset(data)


def _plan(plan: Plan | str) -> Plan:
    return Plan(detector=plan) if isinstance(plan, str) else plan
