"""A table in Markdown; each figure leads to the list of its runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from blemish.benchmark.formats import _words as words
from blemish.benchmark.result_table import ResultTable, TableCell, TableRow

SUFFIX = ".md"
_ESCAPED = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#~"})


def render(table: ResultTable, links: str | None = None) -> str:
    """The table, the costs, the legend, and the runs by figure."""
    closing, start = words.has_closing(table), _start(links)
    heads = ["data", "category", "metric", *map(_text, table.detectors)]
    heads += ["mean and deviation over methods"] * closing
    body = [
        [
            *map(_text, words.row_names(row)),
            *(_cell(cell, row, f"{start}{i}-{j}") for j, cell in enumerate(row.cells, 1)),
            *["<br>".join(filter(None, words.closing(row.over_methods, row)))] * closing,
        ]
        for i, row in enumerate(table.rows, 1)
    ]
    sections = [f"## {_text(table.title)}", "\n".join(_table(heads, body, left=3))]
    if table.costs:
        names, (cost_heads, *lines) = words.costs(table)
        costs = [[*map(_text, line)] for line in lines]
        sections.append("\n".join(_table(cost_heads, costs, left=names)))
    sections.append("\n".join(f"- {_text(sentence)}" for sentence in words.legend(table)))
    sections.append("\n".join(_runs(table, links)))
    return "\n\n".join(filter(None, sections)) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    rules = ["---" if i < left else "---:" for i in range(len(heads))]
    for row in (heads, rules, *rows):
        yield f"| {' | '.join(row)} |"


def _cell(cell: TableCell, row: TableRow, name: str) -> str:
    shown = _text(words.value(cell, row))
    if cell.rank == 1:
        shown = f"**{shown}**"
    elif cell.rank == 2:
        shown = f"<u>{shown}</u>"
    if cell.runs:
        shown = f"[{shown}](#{name})"
    shown += f" {words.ALIKE}" * (cell.separable is False)
    between = words.interval(cell, row)
    return "<br>".join(filter(None, [shown, between and f"({between})", words.paper(cell, row)]))


def _runs(table: ResultTable, links: str | None) -> Iterator[str]:
    if any(cell.runs for row in table.rows for cell in row.cells):
        yield "Runs of each figure:\n"
    start = _start(links)
    for i, row in enumerate(table.rows, 1):
        for j, cell in enumerate(row.cells, 1):
            if cell.runs:
                keys = ", ".join(key if links is None else _link(key, links) for key in cell.runs)
                what = _text(words.whose(cell, row))
                yield f'- <a id="{start}{i}-{j}"></a>{what}: {keys}'


def _link(key: str, links: str) -> str:
    return f"[{key}]({links}/{key}.json)".replace(" ", "%20")


def _start(links: str | None) -> str:
    """How the names of a table's figures begin: with its results, since a page may hold several."""
    folder = "" if links is None else links.rstrip("/").rpartition("/")[2]
    plain = "".join(c if c.isalnum() else "-" for c in folder)
    return f"{plain}-run-" if plain.strip("-") else "run-"


def _text(words: str) -> str:
    return words.translate(_ESCAPED).replace("\n", " ")
