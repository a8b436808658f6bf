"""A few good parts train; the test is that of the protocol uiad.

Training sets of growing size are nested: each is a subset of every larger one.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from blemish.dataset.splits._official import check_share, official
from blemish.dataset.splits._parts import sides
from blemish.errors import DatasetError


@dataclass(frozen=True)
class FewShot:
    """`k` good parts train; `test_share` of all go to the test where that has none."""

    k: int = 4
    test_share: float = 0.3

    def __post_init__(self) -> None:
        """Refuse a number or share that is none."""
        check_share("test_share", self.test_share)
        if self.k < 1:
            raise DatasetError(f"k={self.k} must be at least 1.")

    def assign(self, parts: pl.DataFrame) -> pl.DataFrame:
        """The first k good parts of training; its others, and a validation split, are unused."""
        found = official(parts, self.test_share)
        if found.train.height < self.k:
            raise DatasetError(f"has {found.train.height} good parts to train on, not k={self.k}")
        return sides(train=found.train.head(self.k), test=found.test)
