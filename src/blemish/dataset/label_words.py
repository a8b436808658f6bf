"""The words that stand for a label or a split, and names listed in a message."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from blemish.dataset.folder_words import meaning_of
from blemish.util.library_errors import shortened

GOOD_WORDS = ("good", "ok", "normal", "0", "0.0", "false")
DEFECTIVE_WORDS = (
    *("defective", "ng", "nok", "bad", "defect", "anomaly", "anomalous"),
    *("1", "1.0", "true"),
)
NO_DEFECT_WORDS = (
    "none",
    "no",
    "-",
    "n/a",
    "keine",
    "keiner",
    "aucun",
    "ninguno",
    "nessuno",
    "nenhum",
)
SPLIT_WORDS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


def is_good(column: str) -> pl.Expr:
    """True where the column, of labels or of kinds of defect, holds a word for good or for none."""
    return pl.col(column).map_batches(_are_good, return_dtype=pl.Boolean)


def label_of(column: str) -> pl.Expr:
    """The label that a word stands for: "good", "defective", or null for any other word."""
    return pl.col(column).map_batches(_labels, return_dtype=pl.String)


def _are_good(words: pl.Series) -> pl.Series:
    known = {
        word: _label(word) == "good" or word.strip().lower() in NO_DEFECT_WORDS
        for word in _distinct(words)
    }
    return words.replace_strict(known, default=None, return_dtype=pl.Boolean)


def _labels(words: pl.Series) -> pl.Series:
    known = {word: _label(word) for word in _distinct(words)}
    return words.replace_strict(known, default=None, return_dtype=pl.String)


def _distinct(words: pl.Series) -> list[str]:
    return words.drop_nulls().unique().to_list()


def _label(word: str) -> str | None:
    """The label that a word of a table stands for: listed here, or as the name of a folder."""
    plain = word.strip().lower()
    if plain in GOOD_WORDS:
        return "good"
    if plain in DEFECTIVE_WORDS:
        return "defective"
    meaning = meaning_of(word)
    return meaning if meaning in ("good", "defective") else None


def split_of(column: str) -> pl.Expr:
    """The split that a word stands for: "train", "validation", "test", or null."""
    word = pl.col(column).str.to_lowercase()
    return word.replace_strict(SPLIT_WORDS, default=None, return_dtype=pl.String)


def name_some(names: Sequence[str], limit: int = 3) -> str:
    """The first few names, the long ones cut, and how many more there are, for a message."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(shortened, names[:limit])) + more
