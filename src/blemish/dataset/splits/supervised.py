"""Supervised: a share of the test's real defective parts moves into training and keeps its labels.

What training and validation hold on disk, defective or synthetic, stays there. With share=0 nothing
moves, which is the official split of a data set that has defects in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from blemish.dataset.splits._official import (
    check_share,
    drawn_defects,
    official,
    with_training_defects,
)
from blemish.dataset.splits._parts import labelled, sides, some_of
from blemish.errors import DatasetError


@dataclass(frozen=True)
class Supervised:
    """`share` of the test's real defective parts trains.

    `test_share` of the good parts goes to the test where that has none.
    """

    share: float = 0.5
    test_share: float = 0.3

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        check_share("share", self.share, least=0)
        check_share("test_share", self.test_share)

    def assign(self, parts: pl.DataFrame) -> pl.DataFrame:
        """The official splits, and the first of the test's defective parts in training."""
        found = official(parts, self.test_share)
        own = labelled(parts.filter(pl.col("split") == "train"), "defective")
        tested = labelled(found.test, "defective")
        number = some_of(tested.height, self.share) if self.share else 0
        if not own.height + number:
            raise DatasetError("has no defective part to learn from in training, and share=0")
        defective = pl.concat([own, tested.head(number)])
        return sides(**with_training_defects(found, drawn_defects(parts), defective))
