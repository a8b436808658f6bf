"""A table as a page of its own, which loads nothing from elsewhere; figures lead to their runs."""

from __future__ import annotations

from importlib import resources
from string import Template
from urllib.parse import quote

from blemish.benchmark.formats import _words as words
from blemish.benchmark.result_table import ResultTable, TableCell, TableRow
from blemish.report.words import text

SUFFIX = ".html"


def render(table: ResultTable, links: str | None = None) -> str:
    """The whole page as HTML text."""
    return Template(_asset("blemish.benchmark.formats", "table.html")).substitute(
        css=_asset("blemish.report", "page.css"),
        title=text(table.title),
        source=text(table.source),
        figures=_figures(table),
        costs=_costs(table),
        legend="".join(f"<p>{text(sentence)}</p>" for sentence in words.legend(table)),
        runs=_runs(table, links),
    )


def _asset(package: str, name: str) -> str:
    return (resources.files(package) / name).read_text(encoding="utf-8")


def _figures(table: ResultTable) -> str:
    closing = words.has_closing(table)
    heads = "<th>Data</th><th>Category</th><th>Metric</th>"
    heads += "".join(f'<th class="n">{text(name)}</th>' for name in table.detectors)
    heads += '<th class="n">Over methods</th>' * closing
    rows = []
    for i, row in enumerate(table.rows, 1):
        names = "".join(f'<th scope="row">{text(name)}</th>' for name in words.row_names(row))
        cells = "".join(_cell(cell, row, f"run-{i}-{j}") for j, cell in enumerate(row.cells, 1))
        ours, published = map(text, words.closing(row.over_methods, row))
        over = ours + f'<br><span class="small">{published}</span>' * bool(published)
        rows.append(f"<tr>{names}{cells}{f'<td class=n>{over}</td>' * closing}</tr>")
    return _table(heads, rows)


def _cell(cell: TableCell, row: TableRow, name: str) -> str:
    shown = text(words.value(cell, row))
    if cell.rank in (1, 2):
        tag = "b" if cell.rank == 1 else "u"
        shown = f"<{tag}>{shown}</{tag}>"
    if cell.runs:
        shown = f'<a href="#{name}">{shown}</a>'
    if cell.separable is False:
        shown += f' <abbr title="not separable from the best">{words.ALIKE}</abbr>'
    below = [words.interval(cell, row), words.paper(cell, row)]
    shown += "".join(f'<br><span class="small">{text(line)}</span>' for line in below if line)
    return f'<td class="n">{shown}</td>'


def _costs(table: ResultTable) -> str:
    if not table.costs:
        return ""
    names, (heads, *lines) = words.costs(table)
    rows = []
    for line in lines:
        *cells, machine = map(text, line)
        start = "".join(f'<th scope="row">{name}</th>' for name in cells[:names])
        middle = "".join(f'<td class="n">{number}</td>' for number in cells[names:])
        rows.append(f'<tr>{start}{middle}<td class="small">{machine}</td></tr>')
    named = [head[:1].upper() + head[1:] for head in heads]
    head = "".join(f"<th>{name}</th>" for name in named[:names])
    head += "".join(f'<th class="n">{name}</th>' for name in named[names:-1])
    return f"<section><h2>Cost</h2>{_table(f'{head}<th>{named[-1]}</th>', rows)}</section>"


def _runs(table: ResultTable, links: str | None) -> str:
    items = []
    for i, row in enumerate(table.rows, 1):
        for j, cell in enumerate(row.cells, 1):
            if cell.runs:
                what = text(words.whose(cell, row))
                keys = ", ".join(_key(key, links) for key in cell.runs)
                items.append(f'<li id="run-{i}-{j}">{what}: {keys}</li>')
    return f'<section class="small"><h2>Runs</h2><ul>{"".join(items)}</ul></section>' * bool(items)


def _key(key: str, links: str | None) -> str:
    if links is None:
        return text(key)
    return f'<a href="{text(quote(f"{links}/{key}.json"))}">{text(key)}</a>'


def _table(heads: str, rows: list[str]) -> str:
    return (
        f'<div class="views"><table class="wide"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
