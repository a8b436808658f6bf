"""CSV files as people save them: comma, semicolon or tab, a byte-order mark or none."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import polars as pl

from blemish.errors import DatasetError
from blemish.util.library_errors import translated
from blemish.util.text_files import read_text

SEPARATORS = (",", ";", "\t")
MOST_COLUMNS = 10_000
NAMES = ("image", "mask", "file", "plate")  # columns that hold names of files

_LONGEST = 1 << 20  # characters of a line
_OF_CSV = 20  # bytes of memory for a byte of CSV: an empty cell is one and takes 16


def read_delimited(path: Path) -> pl.DataFrame:
    """Read a CSV file as text, as `as_text` does.

    Raises DatasetError for a file that is absent, too large, not UTF-8, empty or ragged.
    """
    way_out = "save it as CSV in UTF-8."
    text = read_text(path, way_out, growth=_OF_CSV)
    if "\n" not in text:  # as old spreadsheets end their lines
        text = text.replace("\r", "\n")
    if len(text) > _LONGEST * (1 + text.count("\n")):
        raise DatasetError(f"{path} is no table: its lines are longer than {_LONGEST >> 20} MB.")
    header = text.lstrip().partition("\n")[0]
    if not header.strip():
        raise DatasetError(f"{path} is empty; its first line must name the columns.")
    separator = max(SEPARATORS, key=header.count)
    if header.count(separator) >= MOST_COLUMNS:
        raise DatasetError(f"{path} is no table: it has more than {MOST_COLUMNS} columns.")
    with translated(lambda reason: DatasetError(f"{path} is not a well-formed table: {reason}.")):
        frame = pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    return as_text(frame, path)


def as_text(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Every column as text, null where empty, under a trimmed lower-case name.

    Texts are trimmed but for names of files, which may begin or end with blanks.
    """
    names = [name.strip().lower() for name in frame.columns]
    [(name, times)] = Counter(names).most_common(1) or [("", 0)]
    if times > 1:
        raise DatasetError(f"{path} has the column '{name}' twice; rename or remove one.")
    with translated(lambda reason: DatasetError(f"{path} is no table of texts: {reason}.")):
        pairs = zip(frame.iter_columns(), names, strict=True)
        frame = pl.DataFrame([_texts(column, name) for column, name in pairs])
        return frame.filter(~pl.all_horizontal(pl.all().is_null()))


def _texts(column: pl.Series, name: str) -> pl.Series:
    column = column.cast(pl.String).alias(name)
    trimmed = column.str.strip_chars()
    if name not in NAMES:
        return trimmed.replace("", None)
    # Not by its name, which might be read as a pattern.
    return column.to_frame().select(pl.when(trimmed != "").then(pl.first())).to_series()
