"""The parts of a data set, what each is, and their seeded random order."""

from __future__ import annotations

import hashlib

import polars as pl

from blemish.dataset.label_words import name_some
from blemish.dataset.table import SYNTHETIC, Dataset
from blemish.errors import DatasetError


def parts_of(data: Dataset) -> pl.DataFrame:
    """One row per part: category, part, split, label, defects (a sorted list of kinds) and clean.

    `label` is "defective" where any image shows a real defect, "synthetic" where all defects are
    drawn, "good" where every image is good, else null; `clean` tells whether some image is good.
    Raises DatasetError for a part in two splits.
    """
    defective = pl.col("label").eq_missing("defective")
    drawn = pl.col("defect").str.to_lowercase().eq_missing(SYNTHETIC)
    parts = data.table.group_by("category", "part").agg(
        pl.col("split").min(),
        splits=pl.col("split").n_unique(),
        real=(defective & ~drawn).any(),
        drawn=(defective & drawn).any(),
        good=pl.col("label").eq_missing("good").all(),
        clean=pl.col("label").eq_missing("good").any(),
    )
    torn = parts.filter(pl.col("splits") > 1)["part"].sort().to_list()
    if torn:
        raise DatasetError(
            f"{data.root}: the images of a part lie in several splits ({len(torn)} parts): "
            f"{name_some(torn)}; move all images of each to one side."
        )
    kinds = data.table.filter(defective).drop_nulls("defect").unique(["category", "part", "defect"])
    kinds = kinds.sort("defect").group_by("category", "part").agg(defects=pl.col("defect"))
    parts = parts.join(kinds, on=["category", "part"], how="left")
    label = pl.when("real").then(pl.lit("defective")).when("drawn").then(pl.lit(SYNTHETIC))
    label = label.when("good").then(pl.lit("good"))
    defects = pl.col("defects").fill_null([])
    return parts.select("category", "part", "split", defects, "clean", label=label)


def ranked(parts: pl.DataFrame, salt: object) -> pl.DataFrame:
    """The parts sorted by category, then in an order that hashes of `salt` and name decide.

    The order does not depend on the order of the rows, nor on which other parts there are.
    """
    start = f"{salt}\n".encode()
    places = [hashlib.sha256(start + name.encode()).digest()[:6] for name in parts["part"]]
    return (
        parts.with_columns(place=pl.Series(places, dtype=pl.Binary))
        .sort("category", "place", "part")
        .drop("place")
    )


def labelled(parts: pl.DataFrame, *labels: str) -> pl.DataFrame:
    """The parts with one of these labels."""
    return parts.filter(pl.col("label").is_in(labels))


def without(parts: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """The parts that are not among `others`."""
    return parts.join(others, on="part", how="anti", maintain_order="left")


def sides(**groups: pl.DataFrame) -> pl.DataFrame:
    """One table of part and side from the parts of each side."""
    return pl.concat(
        [group.select("part", side=pl.lit(side, pl.String)) for side, group in groups.items()]
    )


def some_of(number: int, share: float) -> int:
    """That share of `number` parts, rounded, at least one and never all.

    Raises DatasetError for fewer than two parts.
    """
    if number < 2:
        raise DatasetError(
            f"has {number} part(s) to divide between training and test; it needs two"
        )
    return max(1, min(number - 1, round(number * share)))
