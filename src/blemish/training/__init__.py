"""Split, fit, calibrate, write: the one owner of that sequence."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import blemish
from blemish.artifact import open_artifact, write_artifact
from blemish.calibration.held_out import HeldOut, calibrate_parts
from blemish.calibration.promise import Calibration, Method, Promise
from blemish.calibration.views import ViewScales
from blemish.dataset import Dataset, ensure_sound, folds
from blemish.dataset.words import name_some
from blemish.detectors import learns_from_defects, open_detector
from blemish.detectors.base import Clock, Detector, FittedDetector, ShowProgress
from blemish.errors import ArtifactError, BlemishError, BudgetExceeded, CalibrationError
from blemish.features.backbone import open_backbone
from blemish.features.device import find_device
from blemish.features.stream import FeatureStream
from blemish.files import replacing
from blemish.golden import golden_members
from blemish.images import Recipe
from blemish.inspector import Inspector
from blemish.training.card import counts, describe, made_with, seen
from blemish.training.fit_budget import Fits, seconds_to_score
from blemish.training.hold_out import check_categories, divide, refuse_tested, with_defects
from blemish.training.model_comparison import compare
from blemish.training.plan import DEFAULT_DETECTOR as DEFAULT_DETECTOR
from blemish.training.plan import Plan as Plan
from blemish.training.plan import make_recipe
from blemish.training.replay_buffer import keep, members, not_extracted
from blemish.training.unseen_scores import learn_view_scales, need_views, score_images
from blemish.training.warm_start import Start

log = logging.getLogger("blemish")

LATENCY_IMAGES = 20


@dataclass(frozen=True)
class Trained:
    """What a training came to."""

    path: Path
    calibration: Calibration
    card: dict[str, Any]
    seconds: float
    not_kept: int = 0  # pictures of defects that were learnt and that the model has no room for

    @property
    def categories(self) -> dict[str, dict[str, Any]]:
        """The card's entries on the thresholds of single categories, where there are several."""
        return dict(self.card["calibration"].get("categories", {}))

    @property
    def provisional(self) -> bool:
        """Whether the promise is not proven, over all or for one of several categories."""
        entries = self.categories.values()
        return self.calibration.provisional or any(entry["provisional"] for entry in entries)

    @property
    def comparison(self) -> dict[str, Any] | None:
        """Before and after, where the training went on from a model."""
        return self.card.get("comparison")

    @property
    def unfinished(self) -> str | None:
        """How far a training came that the budget cut short, in words; else None."""
        fit = self.card["fit"]
        if fit.get("steps") == fit.get("steps_planned"):
            return None
        return f"{fit['steps']:,} of {fit['steps_planned']:,} steps"


def train(
    data: Dataset,
    path: Path,
    plan: Plan,
    *,
    start: Start | None = None,
    budget: float | None = None,
    resume: bool = False,
    progress: ShowProgress | None = None,
) -> Trained:
    """Learn from the good parts of `data`, set the threshold on held-out ones, write the model.

    From `start` on, whose plan it must be, it goes on with a model that learns from defects, and
    compares the two on the test parts that neither has learnt from.

    When `budget` seconds are over, a network that is trained in steps is taken as far as it came;
    anything else raises BudgetExceeded. What was done stays in the folder `PATH.resume`, and the
    same call with `resume` ends at the model of an undisturbed one. Raises DatasetError for data
    that cannot be trained on.
    """
    _check_place(path, start)
    clock = Clock(budget)
    if start is None:
        detector = open_detector(plan.detector, plan.settings, preset=plan.preset)
    else:
        detector = start.detector_for(plan)
    check_categories(data, plan.detector)
    ensure_sound(data, allow_defects=learns_from_defects(plan.detector))
    usable, taken_out = (data, []) if start is None else start.without_taught(data)
    rows, held_rows = _divide(usable, plan, start)
    if plan.view_scales:
        need_views(rows, plan.cross_fit)
    refuse_tested(usable, plan.detector)
    recipe = make_recipe(data, plan) if start is None else start.recipe
    if start is not None:
        start.check(data, open_backbone(detector.backbone))
    with _checkpoint(path, _key(data, detector, plan, start), resume) as checkpoint:
        clock.check("reading the data set")
        features = _features(detector, recipe, plan)
        if start is not None:
            usable = start.with_taught(usable, checkpoint / "taught")
        learnt = with_defects(usable, rows, plan.detector)
        newly = not_extracted(learnt.real(), checkpoint / "taught")
        kept, not_kept = keep([] if start is None else start.kept, newly, recipe)
        tested = usable.split("test") if start is not None else usable.take([])

        fits = Fits(clock, 1 + plan.cross_fit + 2 * plan.view_scales)
        if hasattr(detector, "steps") and budget is not None:
            more = LATENCY_IMAGES + 2 * len(tested)
            fits.reserve = seconds_to_score(features, held_rows.images, more)
        course = _Course(usable, detector, features, plan, fits, checkpoint, start, progress)
        fitted, held, views = course.fit(rows)
        inspector = Inspector(fitted.graph, {"recipe": recipe.to_json()})
        if not plan.cross_fit:
            held += score_images(inspector, held_rows, fits.clock, progress)
        method: Method = "cross-fitted estimate" if plan.cross_fit else "held-out"
        calibration, details = calibrate_parts(held, plan.promise, method)
        latency, shape = _try_out(inspector, rows)
        golden, expected = golden_members(inspector, shape)
        files, entries = members(kept)
        card = {
            **made_with(detector, features, plan),
            "data": describe(data, learnt, held_rows, plan),
            "calibration": {**calibration.to_json(), **details},
            **({} if views is None else {"views": views.to_json()}),
            **({"defects": entries} if entries else {}),
            "fit": fitted.facts,
            "latency_ms": latency,
            "golden_score": expected,
        }
        if start is not None:
            compared = compare(
                Inspector.of(start.artifact), Inspector(fitted.graph, card), tested, progress
            )
            card = start.carried_on(card, newly, {**compared, "taken_out": taken_out})
        write_artifact(path, fitted.graph, card, {**golden, **files})
        if fits.finished:
            shutil.rmtree(checkpoint)
    return Trained(path, calibration, card, clock.elapsed, not_kept)


def _check_place(path: Path, start: Start | None) -> None:
    if path.is_dir():
        raise ArtifactError(f"{path} is a folder; name a file for the model, with -o MODEL.blemish")
    if start is not None and path.exists() and path.samefile(start.artifact.path):
        raise ArtifactError(
            f"{path} is the model to go on from, which is still needed; write the new one to "
            "another file, with -o"
        )


def _divide(data: Dataset, plan: Plan, start: Start | None) -> tuple[Dataset, Dataset]:
    """The good rows to learn from, and those that set the threshold."""
    if start is not None:
        return start.divide(data, plan)
    return divide(data, plan.promise, share=plan.hold_out, cross_fit=plan.cross_fit, seed=plan.seed)


def _features(detector: Detector, recipe: Recipe, plan: Plan) -> FeatureStream:
    return FeatureStream(
        open_backbone(detector.backbone),
        detector.layers,
        recipe,
        folder=plan.cache,
        device=find_device() if hasattr(detector, "steps") else "cpu",
    )


@dataclass(frozen=True, eq=False)
class _Course:
    """The fits of one training, and what they have in common."""

    data: Dataset
    detector: Detector
    features: FeatureStream
    plan: Plan
    fits: Fits
    checkpoint: Path
    start: Start | None
    progress: ShowProgress | None

    def fit(self, rows: Dataset) -> tuple[FittedDetector, list[HeldOut], ViewScales | None]:
        """The detector fitted to the good `rows`, and what fits to some of their parts tell.

        These are for cross-fitting and for the scales of the views; without either there are none.
        """
        plan = self.plan
        held: list[HeldOut] = []
        if plan.cross_fit:
            for number, (others, left_out) in enumerate(folds(rows, plan.cross_fit, plan.seed)):
                held += self._score_unseen(others, left_out, f"fold{number}")
        views = None
        if plan.view_scales:
            views = learn_view_scales(rows, plan.seed, self.checkpoint, self._score_unseen)
        return self._fit(rows, "fit"), held, views

    def _fit(self, rows: Dataset, name: str) -> FittedDetector:
        # Only a detector that learns from defects can go on from a model.
        fit: Any = self.detector.fit
        fitted: FittedDetector = fit(
            with_defects(self.data, rows, self.plan.detector),
            features=self.features,
            seed=self.plan.seed,
            budget=self.fits.budget(),
            progress=self.progress,
            checkpoint=self.checkpoint / name,
            **({} if self.start is None else {"start": self.start.artifact.model}),
        )
        self.fits.made(fitted)
        return fitted

    def _score_unseen(self, others: Dataset, left_out: Dataset, name: str) -> Iterator[HeldOut]:
        recipe = self.features.recipe.to_json()
        fold = Inspector(self._fit(others, name).graph, {"recipe": recipe})
        return score_images(fold, left_out, self.fits.clock, self.progress)


def recalibrate(
    model: Path,
    good: Dataset,
    promise: Promise,
    out: Path,
    *,
    progress: ShowProgress | None = None,
) -> Trained:
    """Set the threshold of a model anew, on good parts that it was not trained on.

    Raises CalibrationError when an image of `good` has a part that the model learnt from, or is one
    that it learnt from, and when `good` lacks a view without which the model passes no part.
    """
    clock = Clock(None)
    artifact = open_artifact(model)
    if known := seen(artifact.card["data"], good):
        raise CalibrationError(
            f"{name_some(known)} of {good.root} were used to train {model}; "
            "the threshold needs good parts that the model has not seen"
        )
    if lacking := set(artifact.card["calibration"].get("categories", ())) - set(good.categories):
        raise CalibrationError(
            f"{good.root} has no good part of {name_some(sorted(lacking))}, and {model} has a "
            "threshold for each of its categories: give good parts of all of them"
        )
    held = score_images(Inspector.of(artifact), good, clock, progress)
    calibration, details = calibrate_parts(list(held), promise)
    required = artifact.card["calibration"]["required_views"]
    if set(required) - set(details["required_views"]):
        raise CalibrationError(
            f"{good.root} must show parts from the views {', '.join(required)}, as {model} does: "
            "say which images are one part with --parts or --part-pattern"
        )
    card = {
        **{key: value for key, value in artifact.card.items() if key != "comparison"},
        "calibration": {**calibration.to_json(), **details},
        "data": {**artifact.card["data"], "held_out": counts(good), "recalibrated_on": good.name},
    }
    write_artifact(out, artifact.model, card, artifact.members)
    return Trained(out, calibration, card, clock.elapsed)


def _key(data: Dataset, detector: Detector, plan: Plan, start: Start | None) -> str:
    """What a resumed training must have in common with the one that it goes on with."""
    values = [
        blemish.__version__,
        data.fingerprint(),
        plan.detector,
        dataclasses.asdict(detector),
        {**dataclasses.asdict(plan), "cache": None},
        *([] if start is None else start.key),
    ]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def _checkpoint(path: Path, key: str, resume: bool) -> Iterator[Path]:
    """The folder for what a fit leaves behind, emptied unless it is to be resumed.

    It goes when bad input ends the training: then nothing can be resumed.
    """
    folder = path.with_name(path.name + ".resume")
    note = folder / "key"
    if folder.exists() and not resume:
        shutil.rmtree(folder)
        log.warning("an unfinished training of %s was dropped (--resume would continue it)", path)
    if resume and note.exists() and note.read_text(encoding="utf-8") != key:
        raise BlemishError(
            f"{folder} is of a training with other data or settings; give the same ones, or drop "
            "--resume to start anew"
        )
    with replacing(note) as file:
        file.write(key.encode())
    try:
        yield folder
    except (BudgetExceeded, ArtifactError):  # more time, or more room, and it goes on
        raise
    except BlemishError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _try_out(inspector: Inspector, rows: Dataset) -> tuple[dict[str, float], tuple[int, int]]:
    """Milliseconds from file to score on a few training images, and the first one's shape."""
    times, shape = [], (1, 1)
    for image in rows.images[:LATENCY_IMAGES]:
        start = time.perf_counter()
        shape = inspector.look(image).shape
        times.append(1000 * (time.perf_counter() - start))
    return {"p50": float(np.median(times)), "max": float(np.max(times))}, shape
