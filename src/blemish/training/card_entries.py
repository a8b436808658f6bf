"""What a model's card says of its making, and what can be told from it later."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime
import polars as pl

import blemish
from blemish.calibration.part_calibration import PartCalibration
from blemish.calibration.views import ViewScales
from blemish.dataset import Dataset
from blemish.detectors.base import Detector, FittedDetector
from blemish.features.cache import picture_name
from blemish.features.feature_stream import FeatureStream
from blemish.model.card import (
    BackboneEntry,
    Card,
    DataCounts,
    DataEntry,
    DetectorEntry,
    KeptDefectEntry,
    Latency,
    LearntDefects,
)
from blemish.training.copies import Copies
from blemish.training.plan import Plan
from blemish.util.threads import default_threads
from blemish.util.typed_json import write


def make_card(
    detector: Detector,
    features: FeatureStream,
    plan: Plan,
    fitted: FittedDetector,
    *,
    data: DataEntry,
    calibration: PartCalibration,
    views: ViewScales | None,
    defects: Sequence[KeptDefectEntry],
    latency: Latency,
    golden_score: float,
) -> Card:
    """The card of a model that was just fitted."""
    return Card(
        detector=DetectorEntry(plan.detector, write(detector)),
        backbone=BackboneEntry(features.backbone.name, features.backbone.sha256),
        device=features.device,
        recipe=features.recipe,
        machine=f"{platform.system()} {platform.machine()}, {default_threads()} threads",
        versions=_versions(),
        data=data,
        calibration=calibration,
        views=views,
        defects=tuple(defects),
        fit=write(fitted.facts),
        latency_ms=latency,
        golden_score=golden_score,
    )


def counts(rows: Dataset) -> DataCounts:
    """Images and parts, of every category where there are several."""
    names = rows.categories if len(rows.categories) > 1 else []
    each = {name: counts(rows.category(name)) for name in names}
    return DataCounts(len(rows), len(rows.parts), each)


def describe(
    data: Dataset, learnt: Dataset, held: Dataset, plan: Plan, copies: Copies
) -> DataEntry:
    """The data set that was given, which rows were learnt from, and which set the threshold.

    A copy of a part that was learnt from is not counted, and is known as one learnt from.
    """
    defects = learnt.defective()
    copied = copies.of(learnt.good().parts)
    twice = data.where(pl.col("part").is_in(copied) & (pl.col("split") != "test")).good()
    return DataEntry(
        name=data.name,
        layout=data.layout,
        fingerprint=data.fingerprint(),
        terms=data.terms,
        trained_on=counts(learnt.good()),
        taught=_known_defects(defects) if len(defects) else None,
        held_out=counts(held),
        held_out_by=_held_out_by(data, plan),
        trained_parts=(*learnt.parts, *copied),
        trained_images=tuple(sorted(map(picture_name, [*learnt.images, *twice.images]))),
        trained_pixels=tuple(sorted({copies.names[one] for one in learnt.good().table["image"]})),
        seed=plan.seed,
    )


def _known_defects(defects: Dataset) -> LearntDefects:
    found = counts(defects)
    return LearntDefects(
        images=found.images,
        parts=found.parts,
        categories=found.categories,
        defects=kinds(defects),
        pictures=tuple(sorted(picture_name(image) for image in defects.real().images)),
    )


def kinds(defects: Dataset) -> dict[str, int]:
    """The number of parts of each kind of defect."""
    known = defects.table.with_columns(pl.col("defect").fill_null("unknown"))
    found = known.group_by("defect").agg(pl.col("part").n_unique()).sort("defect")
    return dict(found.iter_rows())


def _held_out_by(data: Dataset, plan: Plan) -> str:
    if plan.cross_fit:
        return f"cross-fitting in {plan.cross_fit} folds"
    return "validation split" if len(data.split("validation")) else "seeded hold-out"


def seen(trained: DataEntry, rows: Dataset, pixels: Mapping[str, str] | None = None) -> list[str]:
    """The parts of `rows` that were trained on: by the part's own name, or by the picture.

    `pixels` are the names of the pictures by their pixels, where they are known.
    """
    parts, pictures = set(trained.trained_parts), set(trained.trained_images)
    shown, names = set(trained.trained_pixels), pixels or {}
    named = rows.table["part"] != rows.table["image"]  # else the name is but the path
    return sorted(
        {
            row.part
            for row, is_named, image in zip(rows.rows(), named, rows.table["image"], strict=True)
            if (is_named and row.part in parts)
            or names.get(image) in shown
            or picture_name(row.image) in pictures
        }
    )


def _versions() -> dict[str, str]:
    return {
        "blemish": blemish.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
