"""What a data set is made of: images by category, split and label, its defects and their shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import polars as pl

from blemish.dataset.table import Dataset

AREA_EDGES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3)
ASPECT_EDGES = (1.25, 1.5, 2, 3, 4, 6, 8, 12, 16)
REGION_EDGES = (2, 3, 4, 5, 8, 16, 32)
_COUNTED = {
    f"{split}_{label}": (pl.col("split") == split) & (pl.col("label") == label)
    for split in ("train", "validation", "test")
    for label in ("good", "defective")
}


def statistics(dataset: Dataset, surveyed: pl.DataFrame) -> dict[str, Any]:
    """Counts and distributions of a data set and its survey, ready for JSON.

    Areas are shares of the image. `categories`, `defects` and `views` have one entry each per
    category, per kind of defect in a category, and per view in a category. `histograms` holds bins
    from `low` up to, and without, `high` (null: no end): of the marked area of each mask, of the
    number of its regions, and of the area and aspect ratio (long side over short) of the smallest
    rectangle around each region.
    """
    looks = dataset.table.hstack(surveyed)
    marked = looks.filter(pl.col("foreground") > 0)
    return {
        "name": dataset.name,
        "layout": dataset.layout,
        "terms": dataset.terms,
        "images": len(dataset),
        "parts": dataset.table["part"].n_unique(),
        "unreadable": looks["error"].count(),
        "categories": _categories(looks),
        "defects": _defects(looks),
        "views": _views(looks),
        "histograms": {
            "area": histogram(marked["foreground"], AREA_EDGES, 0),
            "regions": histogram(marked["regions"], REGION_EDGES, 1),
            "region_area": histogram(marked["region_shares"].explode(), AREA_EDGES, 0),
            "region_aspect": histogram(marked["region_aspects"].explode(), ASPECT_EDGES, 1),
        },
    }


def histogram(values: pl.Series, edges: Sequence[float], low: float) -> list[dict[str, Any]]:
    """How many values lie in each bin between `low`, the edges, and infinity."""
    values = values.drop_nulls()
    ends = [low, *edges, math.inf]
    return [
        {
            "low": start,
            "high": None if math.isinf(end) else end,
            "count": int(((values >= start) & (values < end)).sum()),
        }
        for start, end in pairwise(ends)
    ]


def _categories(looks: pl.DataFrame) -> list[dict[str, Any]]:
    size = pl.format("{} x {}", "width", "height")
    counts = looks.group_by("category").agg(
        images=pl.len(),
        parts=pl.col("part").n_unique(),
        **{name: of.sum() for name, of in _COUNTED.items()},
        unlabelled=pl.col("label").null_count(),
        masks=pl.col("mask").count(),
        size=size.drop_nulls().mode().sort().first(),
        sizes=size.drop_nulls().n_unique(),
        smallest=pl.min_horizontal("width", "height").min(),
        largest=pl.max_horizontal("width", "height").max(),
    )
    return counts.sort("category").to_dicts()


def _defects(looks: pl.DataFrame) -> list[dict[str, Any]]:
    kinds = looks.filter(pl.col("label") == "defective").group_by("category", "defect")
    marked = pl.col("foreground").filter(pl.col("foreground") > 0)
    return (
        kinds.agg(
            images=pl.len(),
            parts=pl.col("part").n_unique(),
            masks=pl.col("mask").count(),
            regions=pl.col("regions").sum(),
            area_median=marked.median(),
            area_smallest=marked.min(),
            area_largest=marked.max(),
            aspect_median=pl.col("region_aspects").explode().median(),
        )
        .sort("category", "defect")
        .to_dicts()
    )


def _views(looks: pl.DataFrame) -> list[dict[str, Any]]:
    views = looks.drop_nulls("view").group_by("category", "view")
    counts = views.agg(
        images=pl.len(),
        good=(pl.col("label") == "good").sum(),
        defective=(pl.col("label") == "defective").sum(),
    )
    return counts.sort("category", "view").to_dicts()
