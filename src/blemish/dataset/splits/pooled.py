"""Unsupervised, with the good parts of training and validation in one pool.

Each seed then has another calibration set, held out of the pool, where a validation split on disk
would be the same each time. The test is that of the protocol uiad.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from blemish.dataset.splits._official import check_share, official
from blemish.dataset.splits._parts import labelled, sides
from blemish.errors import DatasetError


@dataclass(frozen=True)
class Pooled:
    """At most `train_parts` of the good parts train; smaller sets are nested subsets.

    `test_share` of the good parts goes to the test where that has none.
    """

    train_parts: int | None = None
    test_share: float = 0.3

    def __post_init__(self) -> None:
        """Refuse a number or share that is none."""
        check_share("test_share", self.test_share)
        if self.train_parts is not None and self.train_parts < 1:
            raise DatasetError(f"train_parts={self.train_parts} must be at least 1.")

    def assign(self, parts: pl.DataFrame) -> pl.DataFrame:
        """The official test, and the first of all other good parts."""
        found = official(parts, self.test_share)
        pool = pl.concat([found.train, labelled(found.validation, "good")])
        pool = parts.join(pool.select("part"), on="part", how="semi", maintain_order="left")
        if self.train_parts is not None:
            return sides(train=pool.head(self.train_parts), test=found.test)
        return sides(train=pool, clean=found.clean, test=found.test)
