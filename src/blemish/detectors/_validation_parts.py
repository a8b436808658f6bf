"""Parts held out of a fit, on which early stopping measures."""

from __future__ import annotations

import polars as pl

from blemish.dataset import Dataset, hold_out

LEAST_PARTS = 5  # of which some can be held out


def hold_out_validation_parts(
    data: Dataset, share: float, seed: int
) -> tuple[Dataset, Dataset | None]:
    """Rows to learn from, and rows of other parts to end the training by, both kinds of parts.

    None, and all rows, where there are too few good parts or `share` is 0. Of the parts with real
    defects some are held out only where there are enough of them, and so of those with drawn ones.
    """
    good = data.good().parts
    if share == 0 or len(good) < LEAST_PARTS:
        return data, None
    held = set(hold_out(data.good(), share, seed)[1].parts)
    for defects in (data.real(), data.synthetic()):
        alone = defects.where(~pl.col("part").is_in(good))
        if len(alone.parts) >= LEAST_PARTS:
            held |= set(hold_out(alone, share, seed)[1].parts)
    inside = pl.col("part").is_in(list(held))
    return data.where(~inside), data.where(inside)
