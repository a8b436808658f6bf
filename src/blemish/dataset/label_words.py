"""The words that stand for a label or a split, and names listed in a message."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from blemish.util.library_errors import shortened

GOOD_WORDS = ("good", "ok", "normal", "0", "0.0", "false")
DEFECTIVE_WORDS = (
    *("defective", "ng", "nok", "bad", "defect", "anomaly", "anomalous"),
    *("1", "1.0", "true"),
)
SPLIT_WORDS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


def is_good(column: str) -> pl.Expr:
    """True where the column holds a word for good."""
    return pl.col(column).str.to_lowercase().is_in(GOOD_WORDS)


def label_of(column: str) -> pl.Expr:
    """The label that a word stands for: "good", "defective", or null for any other word."""
    defective = pl.col(column).str.to_lowercase().is_in(DEFECTIVE_WORDS)
    good = pl.when(is_good(column)).then(pl.lit("good"))
    return good.when(defective).then(pl.lit("defective"))


def split_of(column: str) -> pl.Expr:
    """The split that a word stands for: "train", "validation", "test", or null."""
    word = pl.col(column).str.to_lowercase()
    return word.replace_strict(SPLIT_WORDS, default=None, return_dtype=pl.String)


def name_some(names: Sequence[str], limit: int = 3) -> str:
    """The first few names, the long ones cut, and how many more there are, for a message."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(shortened, names[:limit])) + more
