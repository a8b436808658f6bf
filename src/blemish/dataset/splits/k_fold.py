"""Cross-validation: all parts of all splits are dealt into folds, and one fold is the test.

Over all folds every good and every defective part is tested once. Parts with synthetic defects are
left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from blemish.dataset.splits._parts import labelled, sides
from blemish.errors import DatasetError


@dataclass(frozen=True)
class KFold:
    """`k` folds, of which `fold` (1 to k) tests; `defects`: those of the others train, labelled."""

    k: int = 5
    fold: int = 1
    defects: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that are none."""
        if self.k < 2:
            raise DatasetError(f"k={self.k} must be at least 2.")
        if not 1 <= self.fold <= self.k:
            raise DatasetError(f"fold={self.fold} must lie between 1 and k={self.k}.")

    def assign(self, parts: pl.DataFrame) -> pl.DataFrame:
        """Every k-th good and defective part tests; of the others the good ones train."""
        good, defective = labelled(parts, "good"), labelled(parts, "defective")
        if good.height < self.k:
            raise DatasetError(f"has {good.height} good parts, fewer than k={self.k}")
        held = pl.int_range(pl.len()) % self.k == self.fold - 1
        train = [good.filter(~held), *([defective.filter(~held)] if self.defects else [])]
        test = [good.filter(held), defective.filter(held)]
        return sides(train=pl.concat(train), test=pl.concat(test))
