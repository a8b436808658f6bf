"""What a model's card says of its making, and what can be told from it later."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
import polars as pl

import blemish
from blemish.dataset import Dataset
from blemish.detectors.base import Detector
from blemish.features.cache import picture_name
from blemish.features.stream import FeatureStream
from blemish.threads import default_threads
from blemish.training.plan import Plan


def made_with(detector: Detector, features: FeatureStream, plan: Plan) -> dict[str, Any]:
    """With what a model was made, for its card."""
    return {
        "detector": {"name": plan.detector, "settings": dataclasses.asdict(detector)},
        "backbone": {"name": features.backbone.name, "sha256": features.backbone.sha256},
        "device": features.device,
        "recipe": features.recipe.to_json(),
        "machine": _machine(),
        "versions": _versions(),
    }


def counts(rows: Dataset) -> dict[str, Any]:
    """Images and parts, of every category where there are several."""
    found: dict[str, Any] = {"images": len(rows), "parts": len(rows.parts)}
    if len(rows.categories) > 1:
        found["categories"] = {name: counts(rows.category(name)) for name in rows.categories}
    return found


def describe(data: Dataset, learnt: Dataset, held: Dataset, plan: Plan) -> dict[str, Any]:
    """The data set that was given, which rows were learnt from, and which set the threshold."""
    defects = learnt.defective()
    return {
        "name": data.name,
        "layout": data.layout,
        "fingerprint": data.fingerprint(),
        "terms": data.terms,
        "trained_on": counts(learnt.good()),
        **({"taught": _taught(defects)} if len(defects) else {}),
        "held_out": counts(held),
        "held_out_by": _held_out_by(data, plan),
        "trained_parts": learnt.parts,
        "trained_images": sorted(picture_name(image) for image in learnt.images),
        "seed": plan.seed,
    }


def _taught(defects: Dataset) -> dict[str, Any]:
    pictures = sorted(picture_name(image) for image in defects.real().images)
    return {**counts(defects), "defects": kinds(defects), "pictures": pictures}


def kinds(defects: Dataset) -> dict[str, int]:
    """The number of parts of each kind of defect."""
    known = defects.table.with_columns(pl.col("defect").fill_null("unknown"))
    found = known.group_by("defect").agg(pl.col("part").n_unique()).sort("defect")
    return dict(found.iter_rows())


def _held_out_by(data: Dataset, plan: Plan) -> str:
    if plan.cross_fit:
        return f"cross-fitting in {plan.cross_fit} folds"
    return "validation split" if len(data.split("validation")) else "seeded hold-out"


def seen(trained: Mapping[str, Any], rows: Dataset) -> list[str]:
    """The parts of `rows` that were trained on: by the part's own name, or by the picture."""
    parts, pictures = set(trained["trained_parts"]), set(trained.get("trained_images", ()))
    named = rows.table["part"] != rows.table["image"]  # else the name is but the path
    return sorted(
        {
            row.part
            for row, is_named in zip(rows.rows(), named, strict=True)
            if (is_named and row.part in parts) or picture_name(row.image) in pictures
        }
    )


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {default_threads()} threads"


def _versions() -> dict[str, str]:
    return {
        "blemish": blemish.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
