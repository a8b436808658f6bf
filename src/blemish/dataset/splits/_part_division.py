"""The hold-out: parts kept out of training, once or in every fold of a cross-validation."""

from __future__ import annotations

import numpy as np
import polars as pl

from blemish.dataset.splits._parts import ranked
from blemish.dataset.table import Dataset
from blemish.errors import DatasetError


def hold_out(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Split the rows into the train rows and, marked "validation", that share of the parts.

    Every category gives up the same share, rounded, at least one part and never all. Which parts go
    is ranked by a hash of their name and the seed: the order of the rows does not matter, and one
    part more or less moves at most one other. Raises DatasetError for a share outside ]0, 1[ and
    for a category with a single part.
    """
    if not 0 < share < 1:
        raise DatasetError(f"the share held out is {share}; it must lie between 0 and 1.")
    parts = _ranked_parts(dataset, seed)
    last = parts.filter(pl.len().over("category") < 2)
    if last.height or not parts.height:
        name = last["category"][0] if last.height else dataset.name
        raise DatasetError(
            f"{dataset.root}: '{name}' has fewer than two parts, so that none can be held out; "
            "add images of other good parts."
        )
    place = pl.int_range(pl.len()).over("category")
    number = (pl.len() * share).round().clip(1, pl.len() - 1).over("category")
    return _divide(dataset, parts.filter(place < number))


def folds(dataset: Dataset, k: int, seed: int) -> list[tuple[Dataset, Dataset]]:
    """`k` pairs of train rows and held-out rows, each part held out once, in folds of equal size.

    Raises DatasetError for fewer than two folds, or more folds than parts.
    """
    parts = _ranked_parts(dataset, seed)
    if not 2 <= k <= parts.height:
        raise DatasetError(
            f"{dataset.root}: {k} folds cannot be made of {parts.height} parts; "
            "use at least two folds, and no more than there are parts."
        )
    fold = np.arange(parts.height) % k
    return [_divide(dataset, parts.filter(fold == f)) for f in range(k)]


def _ranked_parts(dataset: Dataset, seed: int) -> pl.DataFrame:
    return ranked(dataset.table.select("category", "part").unique(), seed)


def _divide(dataset: Dataset, held: pl.DataFrame) -> tuple[Dataset, Dataset]:
    rows = dataset.table.with_row_index("row")
    inside = rows.join(held, on=["category", "part"], how="semi", maintain_order="left")
    outside = rows.join(held, on=["category", "part"], how="anti", maintain_order="left")
    marked = inside.drop("row").with_columns(split=pl.lit("validation", pl.String))
    return dataset.with_table(outside.drop("row")), dataset.with_table(marked)
