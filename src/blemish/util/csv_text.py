"""The one writer of CSV files, and texts that no spreadsheet takes for a formula."""

from __future__ import annotations

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
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([defused(value) for value in row] if for_spreadsheet else row)
    return text.getvalue().encode("utf-8-sig" if for_spreadsheet else "utf-8")


def defused(value: object) -> object:
    """A text that a spreadsheet might calculate, with an apostrophe before it; else the value."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def restored(text: str) -> str:
    """The text that was `defused`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
