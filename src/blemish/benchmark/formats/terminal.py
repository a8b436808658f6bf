"""A table for a person at a terminal: *best*, _second_."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from blemish.benchmark.formats import _words as words
from blemish.benchmark.result_table import ResultTable, TableCell, TableRow

SUFFIX = ".txt"


def render(table: ResultTable, links: str | None = None) -> str:
    """Columns of text; the runs of each figure are in the other formats and in the JSON."""
    closing = words.has_closing(table)
    heads = ["data", "category", "metric", *table.detectors, *["over methods"] * closing]
    body = [line for row in table.rows for line in _lines(row, closing)]
    lines = [table.title, "", *_aligned([heads, *body])]
    if table.costs:
        lines += ["", *_aligned(words.costs(table)[1])]
    return "\n".join([*lines, "", *words.legend(table, "*marked*", "_marked_")]) + "\n"


def _lines(row: TableRow, closing: bool) -> Iterator[list[str]]:
    """The figures, then their intervals and the published ones where there are any."""
    over = words.closing(row.over_methods, row)
    yield [*words.row_names(row), *(_value(c, row) for c in row.cells), *[over[0]] * closing]
    for further in (words.interval, words.paper):
        texts = [further(cell, row) for cell in row.cells]
        texts += [over[1] if further is words.paper else ""] * closing
        if any(texts):
            yield ["", "", "", *texts]


def _value(cell: TableCell, row: TableRow) -> str:
    shown = words.value(cell, row)
    mark = {1: "*", 2: "_"}.get(cell.rank or 0, "")
    return f"{mark}{shown}{mark}" + f" {words.ALIKE}" * (cell.separable is False)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()
