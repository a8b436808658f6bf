"""Split, fit, calibrate, write: the one owner of that sequence."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl

import blemish
from blemish.artifact import open_artifact, write_artifact
from blemish.calibration.held_out import HeldOut, calibrate_parts
from blemish.calibration.promise import Calibration, Method, Promise
from blemish.calibration.views import ViewScales
from blemish.dataset import Dataset, ensure_sound, folds
from blemish.dataset.words import name_some
from blemish.detectors import learns_from_defects, open_detector, usual_size, usual_tile
from blemish.detectors.base import Clock, Detector, FittedDetector, ShowProgress
from blemish.dividing import check_categories, divide, refuse_tested, with_defects
from blemish.errors import ArtifactError, BlemishError, CalibrationError, DatasetError, ImageError
from blemish.features.backbone import open_backbone
from blemish.features.cache import default_folder, image_key
from blemish.features.device import find_device
from blemish.features.stream import FeatureStream
from blemish.files import replacing
from blemish.golden import golden_members
from blemish.images import Recipe, find_window
from blemish.inspector import Inspector
from blemish.scoring import learn_view_scales, need_views, score_images
from blemish.threads import default_threads
from blemish.time_budget import Fits, seconds_to_score

log = logging.getLogger("blemish")

DEFAULT_DETECTOR = "duet"
LATENCY_IMAGES = 20


@dataclass(frozen=True)
class Plan:
    """What a training is asked for.

    `size` is the side of the model's square input in pixels (None: the detector's usual one);
    `crop` the side of the centre that is cut out of such a square, and is then the model's input;
    `tile` the side of a tile in original pixels (None: the detector's usual one, if it has any);
    `hold_out` the share of good parts kept for the threshold (None: as many as the promise needs,
    if that is at most half of them, and never less than a fifth); `cross_fit` the number of folds
    for an estimated threshold instead, or 0; `view_scales` asks for the scale of each view's
    scores, at the cost of two fits to a half of the parts; `cache` the folder for features.
    """

    detector: str = DEFAULT_DETECTOR
    preset: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    size: int | None = None
    resize: str = "squash"
    crop: int | None = None
    tile: int | None = None
    promise: Promise = field(default_factory=Promise)
    hold_out: float | None = None
    cross_fit: int = 0
    view_scales: bool = False
    seed: int = 0
    cache: Path | None = field(default_factory=default_folder)


@dataclass(frozen=True)
class Trained:
    """What a training came to."""

    path: Path
    calibration: Calibration
    card: dict[str, Any]
    seconds: float

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
    budget: float | None = None,
    resume: bool = False,
    progress: ShowProgress | None = None,
) -> Trained:
    """Learn from the good parts of `data`, set the threshold on held-out ones, write the model.

    When `budget` seconds are over, a network that is trained in steps is taken as far as it came;
    anything else raises BudgetExceeded. What was done stays in the folder `PATH.resume`, and the
    same call with `resume` ends at the model of an undisturbed one. Raises DatasetError for data
    that cannot be trained on.
    """
    if path.is_dir():
        raise ArtifactError(f"{path} is a folder; name a file for the model, with -o MODEL.blemish")
    clock = Clock(budget)
    detector = open_detector(plan.detector, plan.settings, preset=plan.preset)
    check_categories(data, plan.detector)
    ensure_sound(data, allow_defects=learns_from_defects(plan.detector))
    rows, held_rows = divide(
        data, plan.promise, share=plan.hold_out, cross_fit=plan.cross_fit, seed=plan.seed
    )
    if plan.view_scales:
        need_views(rows, plan.cross_fit)
    refuse_tested(data, plan.detector)
    recipe = make_recipe(data, plan)
    with _checkpoint(path, _key(data, detector, plan), resume) as checkpoint:
        clock.check("reading the data set")
        is_network = hasattr(detector, "steps")
        features = FeatureStream(
            open_backbone(detector.backbone),
            detector.layers,
            recipe,
            folder=plan.cache,
            device=find_device() if is_network else "cpu",
        )

        fits = Fits(clock, 1 + plan.cross_fit + 2 * plan.view_scales)
        if is_network and budget is not None:
            fits.reserve = seconds_to_score(features, held_rows.images, LATENCY_IMAGES)
        fitted, held, views = _fit(data, detector, features, rows, plan, fits, checkpoint, progress)
        inspector = Inspector(fitted.graph, {"recipe": recipe.to_json()})
        if not plan.cross_fit:
            held += score_images(inspector, held_rows, fits.clock, progress)
        method: Method = "cross-fitted estimate" if plan.cross_fit else "held-out"
        calibration, details = calibrate_parts(held, plan.promise, method)
        latency, shape = _try_out(inspector, rows)
        golden, expected = golden_members(inspector, shape)
        card = {
            **_learnt(detector, features, plan),
            "data": _describe(data, rows, held_rows, plan),
            "calibration": {**calibration.to_json(), **details},
            **({} if views is None else {"views": views.to_json()}),
            "fit": fitted.facts,
            "latency_ms": latency,
            "golden_score": expected,
        }
        write_artifact(path, fitted.graph, card, golden)
        if fits.finished:
            shutil.rmtree(checkpoint)
    return Trained(path, calibration, card, clock.elapsed)


def _fit(
    data: Dataset,
    detector: Detector,
    features: FeatureStream,
    rows: Dataset,
    plan: Plan,
    fits: Fits,
    checkpoint: Path,
    progress: ShowProgress | None,
) -> tuple[FittedDetector, list[HeldOut], ViewScales | None]:
    """The detector fitted to the good `rows`, and what fits to some of their parts tell of others.

    These are for cross-fitting and for the scales of the views; without either there are none.
    """

    def fit(rows: Dataset, name: str) -> FittedDetector:
        fitted = detector.fit(
            with_defects(data, rows, plan.detector),
            features=features,
            seed=plan.seed,
            budget=fits.budget(),
            progress=progress,
            checkpoint=checkpoint / name,
        )
        fits.made(fitted)
        return fitted

    def score_unseen(others: Dataset, left_out: Dataset, name: str) -> Iterator[HeldOut]:
        fold = Inspector(fit(others, name).graph, {"recipe": features.recipe.to_json()})
        return score_images(fold, left_out, fits.clock, progress)

    held: list[HeldOut] = []
    if plan.cross_fit:
        for number, (others, left_out) in enumerate(folds(rows, plan.cross_fit, plan.seed)):
            held += score_unseen(others, left_out, f"fold{number}")
    views = None
    if plan.view_scales:
        views = learn_view_scales(rows, plan.seed, checkpoint, score_unseen)
    return fit(rows, "fit"), held, views


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
    if seen := _seen(artifact.card["data"], good):
        raise CalibrationError(
            f"{name_some(seen)} of {good.root} were used to train {model}; "
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
        **artifact.card,
        "calibration": {**calibration.to_json(), **details},
        "data": {**artifact.card["data"], "held_out": _counts(good), "recalibrated_on": good.name},
    }
    write_artifact(out, artifact.model, card, artifact.golden)
    return Trained(out, calibration, card, clock.elapsed)


def _seen(trained: dict[str, Any], good: Dataset) -> list[str]:
    """The parts of `good` that were trained on: by the part's own name, or by the picture."""
    parts, pictures = set(trained["trained_parts"]), set(trained.get("trained_images", ()))
    named = good.table["part"] != good.table["image"]  # else the name is but the path
    return sorted(
        {
            row.part
            for row, is_named in zip(good.rows(), named, strict=True)
            if (is_named and row.part in parts) or _picture(row.image) in pictures
        }
    )


def _picture(path: Path) -> str:
    """What a picture is known by, whatever its name and place."""
    return image_key(path)[:8].hex()


def make_recipe(data: Dataset, plan: Plan) -> Recipe:
    """The preprocessing of all good images of `data`, with one window for 16-bit data."""
    multiple = 32
    size = usual_size(plan.detector) if plan.size is None else plan.size
    if size < multiple or size % multiple or size > 2048:
        raise BlemishError(f"--size {size} must be a multiple of {multiple}, at most 2048")
    side = size if plan.crop is None else plan.crop
    if side < multiple or side % multiple or side > size:
        raise BlemishError(
            f"--crop {side} must be a multiple of {multiple}, at most the size, {size}"
        )
    margin = (size - side) // 2
    tile = plan.tile if plan.tile is not None or margin else usual_tile(plan.detector)
    recipe = Recipe(side, side, plan.resize, tile=tile, margin=margin)
    known = data.split("train").images + data.split("validation").images
    return dataclasses.replace(recipe, window=find_window(known))


def _key(data: Dataset, detector: Detector, plan: Plan) -> str:
    """What a resumed training must have in common with the one that it goes on with."""
    values = [
        blemish.__version__,
        data.fingerprint(),
        plan.detector,
        dataclasses.asdict(detector),
        {**dataclasses.asdict(plan), "cache": None},
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
    except (DatasetError, ImageError, CalibrationError):
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _learnt(detector: Detector, features: FeatureStream, plan: Plan) -> dict[str, Any]:
    """With what a model was made, for its card."""
    return {
        "detector": {"name": plan.detector, "settings": dataclasses.asdict(detector)},
        "backbone": {"name": features.backbone.name, "sha256": features.backbone.sha256},
        "device": features.device,
        "recipe": features.recipe.to_json(),
        "machine": _machine(),
        "versions": _versions(),
    }


def _counts(rows: Dataset) -> dict[str, Any]:
    counts: dict[str, Any] = {"images": len(rows), "parts": len(rows.parts)}
    if len(rows.categories) > 1:
        counts["categories"] = {name: _counts(rows.category(name)) for name in rows.categories}
    return counts


def _describe(data: Dataset, rows: Dataset, held: Dataset, plan: Plan) -> dict[str, Any]:
    learnt = with_defects(data, rows, plan.detector)
    defects = learnt.defective()
    return {
        "name": data.name,
        "layout": data.layout,
        "fingerprint": data.fingerprint(),
        "terms": data.terms,
        "trained_on": _counts(rows),
        **({"taught": {**_counts(defects), "defects": _kinds(defects)}} if len(defects) else {}),
        "held_out": _counts(held),
        "held_out_by": _held_out_by(data, plan),
        "trained_parts": learnt.parts,
        "trained_images": sorted(_picture(image) for image in learnt.images),
        "seed": plan.seed,
    }


def _kinds(defects: Dataset) -> dict[str, int]:
    """The parts of each kind of defect that was taught."""
    counts = defects.table.group_by("defect").agg(pl.col("part").n_unique()).sort("defect")
    return {kind or "unknown": parts for kind, parts in counts.iter_rows()}


def _held_out_by(data: Dataset, plan: Plan) -> str:
    if plan.cross_fit:
        return f"cross-fitting in {plan.cross_fit} folds"
    return "validation split" if len(data.split("validation")) else "seeded hold-out"


def _try_out(inspector: Inspector, rows: Dataset) -> tuple[dict[str, float], tuple[int, int]]:
    """Milliseconds from file to score on a few training images, and the first one's shape."""
    times, shape = [], (1, 1)
    for image in rows.images[:LATENCY_IMAGES]:
        start = time.perf_counter()
        shape = inspector.look(image).shape
        times.append(1000 * (time.perf_counter() - start))
    return {"p50": float(np.median(times)), "max": float(np.max(times))}, shape


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {default_threads()} threads"


def _versions() -> dict[str, str]:
    return {
        "blemish": blemish.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
