"""One kind of defect is met in the test only; the other kinds train and keep their labels.

The other kinds come from the training split where it has some, else from half of the test's parts.
All parts with the kind that is left out, whatever else they show, are tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from blemish.dataset.label_words import name_some
from blemish.dataset.splits._official import (
    check_share,
    drawn_defects,
    official,
    real_defects,
    with_training_defects,
)
from blemish.dataset.splits._parts import labelled, sides, without
from blemish.errors import DatasetError


@dataclass(frozen=True)
class LeaveOneDefectOut:
    """`defect` is the kind that is left out.

    `test_share` of the good parts goes to the test where that has none.
    """

    defect: str = ""
    test_share: float = 0.3

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        check_share("test_share", self.test_share)

    def assign(self, parts: pl.DataFrame) -> pl.DataFrame:
        """The official splits, with every part of that kind in the test."""
        kinds = labelled(parts, "defective")["defects"].explode().drop_nulls().unique().sort()
        if self.defect not in kinds:
            known = name_some(kinds.to_list(), 10) or "none"
            why = f"has no defect '{self.defect}'" if self.defect else "has to leave one out"
            raise DatasetError(f"{why}; set defect to one of: {known}")
        left_out = parts.filter(pl.col("defects").list.contains(self.defect))
        others = without(parts, left_out)
        found = official(others, self.test_share)
        with_others = with_training_defects(found, drawn_defects(others), real_defects(others))
        return sides(**{**with_others, "test": pl.concat([with_others["test"], left_out])})
