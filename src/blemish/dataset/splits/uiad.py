"""Unsupervised: good parts train, defects are for the test alone.

Good parts of the training and validation splits stay there, and the test stays as it is on disk. Of
the defective parts of training only images of other, good views are left: in KolektorSDD nearly
every part has a defective view.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from blemish.dataset.splits._official import check_share, official
from blemish.dataset.splits._parts import labelled, sides


@dataclass(frozen=True)
class Uiad:
    """`test_share` of the good parts goes to the test where that has none."""

    test_share: float = 0.3

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        check_share("test_share", self.test_share)

    def assign(self, parts: pl.DataFrame) -> pl.DataFrame:
        """The official splits without the defects of training."""
        found = official(parts, self.test_share)
        validation = labelled(found.validation, "good")
        return sides(train=found.train, clean=found.clean, validation=validation, test=found.test)
