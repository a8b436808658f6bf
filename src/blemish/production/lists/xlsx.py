"""A workbook: a sheet with a row for each picture, and one with the totals."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.errors import ArtifactError
from blemish.production.columns import COLUMNS, DECISIONS
from blemish.util.files import replacing

if TYPE_CHECKING:
    from blemish.production.entry import Entry
    from blemish.production.lists import About
    from blemish.production.totals import Totals

SUFFIX = ".xlsx"
HELP = "a workbook with a row for each picture, and the totals on a sheet of their own"

MOST_ROWS = 1_048_576  # of a sheet, its header among them
LONGEST_TEXT = 32_767  # characters of a cell
_WIDTHS = {"part": 28, "time": 20, "reason": 40, "image": 28, "model": 18, "graph": 18}
_TINTS = {"reject": "#F8D7D4", "unreadable": "#FDF1D8", "incomplete": "#FDF1D8"}


@dataclass(eq=False)
class Xlsx:
    """Rows as they come, one after the other; a full sheet is followed by another."""

    book: Any
    about: About
    tints: dict[str, Any] = field(default_factory=dict)
    sheet: Any = None
    row: int = 0
    sheets: int = 0

    def add(self, entry: Entry) -> None:
        """A row for each picture of the part."""
        for cells in entry.rows():
            if self.sheet is None or self.row >= MOST_ROWS:
                self._next_sheet()
            tint = self.tints.get(str(cells["decision"]))
            for column, value in enumerate(cells.values()):
                if isinstance(value, str):
                    self.sheet.write_string(self.row, column, value[:LONGEST_TEXT], tint)
                elif value is not None:
                    self.sheet.write_number(self.row, column, value, tint)
            self.row += 1

    def end(self, totals: Totals) -> None:
        """The sheet of totals, and what is known of the model."""
        if self.sheet is None:
            self._next_sheet()
        self._filter()
        sheet = self.book.add_worksheet("Totals")
        sheet.set_column(0, 0, 28)
        bold = self.book.add_format({"bold": True})
        table: list[list[str | int | float]] = [["lot", *DECISIONS, "parts"]]
        for lot, counts in (*totals.lots.items(), ("all parts", totals.decisions)):
            table.append([lot, *(counts[name] for name in DECISIONS), counts.total()])
        facts: list[list[str | int | float]] = [
            ["first", totals.first or ""],
            ["last", totals.last or ""],
            ["model", self.about.model],
            ["model sha256", self.about.model_sha256],
            ["graph sha256", self.about.graph_sha256],
            ["threshold", self.about.threshold],
            ["promise", self.about.promise],
        ]
        for number, row in enumerate([*table, [], *facts]):
            for column, value in enumerate(row):
                write = sheet.write_string if isinstance(value, str) else sheet.write_number
                write(number, column, value, bold if number == 0 else None)

    def _next_sheet(self) -> None:
        if self.sheet is not None:
            self._filter()
        self.sheets += 1
        name = "Pictures" if self.sheets == 1 else f"Pictures {self.sheets}"
        self.sheet, self.row = self.book.add_worksheet(name), 1
        self.sheet.freeze_panes(1, 0)
        bold = self.book.add_format({"bold": True})
        for column, words in enumerate(COLUMNS):
            self.sheet.set_column(column, column, _WIDTHS.get(words, 11))
            self.sheet.write_string(0, column, words, bold)

    def _filter(self) -> None:
        self.sheet.autofilter(0, 0, max(self.row - 1, 0), len(COLUMNS) - 1)


@contextmanager
def write(path: Path, about: About) -> Iterator[Xlsx]:
    """A workbook in the file; its texts are neither formulas nor links."""
    import xlsxwriter
    from xlsxwriter.exceptions import XlsxWriterException

    with replacing(path) as file, tempfile.TemporaryDirectory(prefix="blemish-") as folder:
        options = {
            "constant_memory": True,  # a row is on the disk as soon as the next one comes
            "tmpdir": folder,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        }
        book = xlsxwriter.Workbook(file, options)
        tints = {name: book.add_format({"bg_color": tint}) for name, tint in _TINTS.items()}
        yield Xlsx(book, about, tints)
        try:
            book.close()
        except XlsxWriterException as error:
            cause = error.args[0] if error.args else error
            raise ArtifactError(f"{path} could not be written: {cause}") from error
