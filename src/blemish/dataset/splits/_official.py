"""The splits on disk, completed where a protocol needs more than they hold."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from blemish.dataset.splits._parts import labelled, some_of, without
from blemish.errors import DatasetError


class Official(NamedTuple):
    """Parts by side: `train` good ones only, `validation` and `test` as on disk.

    `clean` are the defective parts of training that some good image shows.
    """

    train: pl.DataFrame
    clean: pl.DataFrame
    validation: pl.DataFrame
    test: pl.DataFrame


def official(parts: pl.DataFrame, test_share: float) -> Official:
    """The splits on disk; a test without good parts gets `test_share` of those of training.

    Where training cannot spare one, good views of defective parts will do for the test. Raises
    DatasetError when there is no good image to train on.
    """
    of = {str(split): rows for (split,), rows in parts.group_by("split", maintain_order=True)}
    every = of.get("train", parts.clear())
    train, clean = labelled(every, "good"), labelled(every, "defective").filter("clean")
    validation = of.get("validation", parts.clear()).drop_nulls("label")
    test = of.get("test", parts.clear())
    if not train.height + clean.height:
        raise DatasetError("has no good part to train on")
    spared = train.height > 1 or not test["clean"].any()
    if spared and not labelled(test, "good").height:
        number = some_of(train.height, test_share)
        test, train = pl.concat([test, train.head(number)]), train.slice(number)
    return Official(train, clean, validation, test)


def real_defects(parts: pl.DataFrame) -> pl.DataFrame:
    """The real defective parts to learn from: those of training, else half of the test's.

    Of an odd number the test keeps the larger half.
    """
    defective = labelled(parts, "defective")
    train = defective.filter(pl.col("split") == "train")
    if train.height:
        return train
    test = defective.filter(pl.col("split") == "test")
    return test.slice((test.height + 1) // 2)


def drawn_defects(parts: pl.DataFrame) -> pl.DataFrame:
    """Training parts with synthetic defects; a protocol that trains on defects keeps them."""
    return labelled(parts, "synthetic").filter(pl.col("split") == "train")


def with_training_defects(
    found: Official, drawn: pl.DataFrame, defective: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """The sides of a supervised split: these defective parts train, and none of them tests."""
    return {
        "train": pl.concat([found.train, drawn, defective]),
        "validation": found.validation,
        "test": without(found.test, defective),
    }


def check_share(name: str, share: float, *, least: float | None = None) -> None:
    """Raise DatasetError for a share that is not in ]0, 1[, or not in [least, 1]."""
    if least is None and not 0 < share < 1:
        raise DatasetError(f"{name}={share} must lie between 0 and 1.")
    if least is not None and not least <= share <= 1:
        raise DatasetError(f"{name}={share} must lie between {least:g} and 1, or be one of them.")
