"""Mixed supervision, as in ISP-AD: good parts, synthetic defects and some real defects train.

All good and synthetic parts of training stay. The real defects come from the training split where
it has some, else from half of the test's defective parts, so that the other half tests at every
fraction. The fractions are nested subsets, and the defects keep their labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from blemish.dataset.splits._official import (
    check_share,
    drawn_defects,
    official,
    real_defects,
    with_training_defects,
)
from blemish.dataset.splits._parts import sides, without
from blemish.errors import DatasetError


@dataclass(frozen=True)
class Fractions:
    """`fraction` of the real defective parts to learn from train; with `group` of that kind only.

    The number is the fraction of all kinds, so that groups are compared at equal numbers.
    `test_share` of the good parts goes to the test where that has none.
    """

    teaching: ClassVar[Mapping[str, str]] = {"fraction": "0", "group": "none"}

    fraction: float = 1.0
    group: str | None = None
    test_share: float = 0.3

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        check_share("fraction", self.fraction, least=0)
        check_share("test_share", self.test_share)

    def assign(self, parts: pl.DataFrame) -> pl.DataFrame:
        """The official splits, and the first of the real defects in training."""
        found = official(parts, self.test_share)
        pool = real_defects(parts)
        kind = pl.lit(True) if self.group is None else pl.col("defects").list.contains(self.group)
        chosen = pool.filter(kind)
        number = fraction_of(pool.height, self.fraction)
        if number > chosen.height or (self.fraction and not number):
            of_group = f", {chosen.height} of the group {self.group}" if self.group else ""
            raise DatasetError(
                f"has {pool.height} real defective parts to learn from{of_group}: too few for "
                f"fraction={self.fraction:g} of all"
            )
        chosen = chosen.head(number)
        unused = without(pool, chosen)
        found = found._replace(test=without(found.test, unused))
        return sides(**with_training_defects(found, drawn_defects(parts), chosen))


def fraction_of(number: int, fraction: float) -> int:
    """That fraction of a number of parts, rounded down as the paper does."""
    return math.floor(number * fraction + 1e-9)  # 0.29 of 100 is 29, whatever floats say
