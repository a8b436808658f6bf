"""The one writer of CSV files, and texts that no spreadsheet takes for a formula."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def csv_bytes(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    separator: str = ",",
    for_spreadsheet: bool = False,
) -> bytes:
    """A table as CSV in UTF-8: None is empty, and what needs quotes has them.

    With `for_spreadsheet` texts are `defused`, and a byte-order mark tells the encoding.
    """
    mark = codecs.BOM_UTF8 if for_spreadsheet else b""
    return (
        mark
        + csv_rows([header], separator=separator)
        + csv_rows(rows, separator=separator, for_spreadsheet=for_spreadsheet)
    )


def csv_rows(
    rows: Iterable[Sequence[object]], *, separator: str = ",", for_spreadsheet: bool = False
) -> bytes:
    """Rows to go on with a table that `csv_bytes` began."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    for row in rows:
        writer.writerow([defused(value) for value in row] if for_spreadsheet else row)
    return text.getvalue().encode()


def defused(value: object) -> object:
    """A text that a spreadsheet might calculate, with an apostrophe before it; else the value."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def restored(text: str) -> str:
    """The text that was `defused`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
