"""CSV files as people save them: comma, semicolon or tab, a byte-order mark or none."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

from blemish.errors import DatasetError

SEPARATORS = (",", ";", "\t")


def read_delimited(path: Path) -> pl.DataFrame:
    """Read a CSV file as trimmed strings; empty cells become null, column names lower case.

    Raises DatasetError for a file that is absent, not UTF-8, empty or ragged.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text; save it as CSV in UTF-8.") from error
    header = text.lstrip().partition("\n")[0]
    if not header.strip():
        raise DatasetError(f"{path} is empty; its first line must name the columns.")
    separator = max(SEPARATORS, key=header.count)
    try:
        frame = pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise DatasetError(f"{path} is not a well-formed table: {reason}.") from error
    return as_text(frame, path)


def as_text(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Every column as trimmed text, null where empty, under a trimmed lower-case name."""
    names = [name.strip().lower() for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"{path} has the column '{twice[0]}' twice; rename or remove one.")
    texts = [pl.col(c).cast(pl.String).str.strip_chars() for c in frame.columns]
    frame = frame.select(
        text.replace("", None).alias(n) for text, n in zip(texts, names, strict=True)
    )
    return frame.filter(~pl.all_horizontal(pl.all().is_null()))
