"""Cross-validation: all parts of all splits are split into folds, and one fold is the test.

Over all folds every good and every defective part is tested once. Parts with synthetic defects are
left out, and so are the defective parts of the other folds that are not learnt from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from blemish.dataset.splits._parts import labelled, sides
from blemish.errors import DatasetError


@dataclass(frozen=True)
class KFold:
    """`k` folds, of which `fold` (1 to k) tests; `defects`: those of the others train, labelled.

    `taught`: so many defective parts of the others train, and the rest is not used (none: all
    train); with `group` only such that show that kind. Fewer are among more; whatever the number,
    the same parts test.
    """

    teaching: ClassVar[Mapping[str, str]] = {"defects": "no", "taught": "none", "group": "none"}

    k: int = 5
    fold: int = 1
    defects: bool = False
    taught: int | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that are none."""
        if self.k < 2:
            raise DatasetError(f"k={self.k} must be at least 2.")
        if not 1 <= self.fold <= self.k:
            raise DatasetError(f"fold={self.fold} must lie between 1 and k={self.k}.")
        if self.taught is not None and self.taught < 0:
            raise DatasetError(f"taught={self.taught} must be at least 0.")
        if self.taught and not self.defects:
            raise DatasetError(f"taught={self.taught} needs defects=yes.")

    def assign(self, parts: pl.DataFrame) -> pl.DataFrame:
        """Every k-th good and defective part tests; of the others the good ones train."""
        good, defective = labelled(parts, "good"), labelled(parts, "defective")
        if good.height < self.k:
            raise DatasetError(f"has {good.height} good parts, fewer than k={self.k}")
        held = pl.int_range(pl.len()) % self.k == self.fold - 1
        train = [good.filter(~held), self._taught(defective.filter(~held))]
        test = [good.filter(held), defective.filter(held)]
        return sides(train=pl.concat(train), test=pl.concat(test))

    def _taught(self, others: pl.DataFrame) -> pl.DataFrame:
        """The defective parts of the other folds that train."""
        if not self.defects:
            return others.clear()
        if self.group is not None:
            others = others.filter(pl.col("defects").list.contains(self.group))
        number = others.height if self.taught is None else self.taught
        if number > others.height:
            of_group = f" of the group {self.group}" if self.group else ""
            raise DatasetError(
                f"has {others.height} defective parts{of_group} outside of fold {self.fold}, fewer "
                f"than taught={self.taught}"
            )
        return others.head(number)
