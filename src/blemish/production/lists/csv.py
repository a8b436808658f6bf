"""CSV: one row for each picture, for spreadsheets and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from blemish.production.columns import COLUMNS
from blemish.util.csv_text import csv_bytes, csv_rows
from blemish.util.files import replacing

if TYPE_CHECKING:
    from blemish.production.entry import Entry
    from blemish.production.lists import About
    from blemish.production.totals import Totals

SUFFIX = ".csv"
HELP = "a table with a row for each picture, in UTF-8 with commas"


@dataclass(frozen=True, eq=False)
class Csv:
    """Rows as they come. Totals are no rows: a column stays of one meaning."""

    file: IO[bytes]

    def add(self, entry: Entry) -> None:
        """A row for each picture of the part."""
        rows = [list(row.values()) for row in entry.rows()]
        self.file.write(csv_rows(rows, for_spreadsheet=True))

    def end(self, totals: Totals) -> None:
        """Nothing: every row is that of a picture."""


@contextmanager
def write(path: Path, about: About) -> Iterator[Csv]:
    """A table in the file; its texts are no formulas to a spreadsheet."""
    with replacing(path) as file:
        file.write(csv_bytes(COLUMNS, [], for_spreadsheet=True))
        yield Csv(file)
