r"""A table in LaTeX, to be put into a paper; it needs \usepackage{booktabs}."""

from __future__ import annotations

from collections.abc import Iterator

from blemish.benchmark.formats import _words as words
from blemish.benchmark.result_table import ResultTable, TableCell, TableRow

SUFFIX = ".tex"
_ESCAPED = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "\u00b1": r"$\pm$", "\u2248": r"$\approx$"}
    | {"\u2212": "$-$", "\u2013": "--", "\n": " "}
)


def render(table: ResultTable, links: str | None = None) -> str:
    """A table with a caption, one of the costs, and the runs of each figure as comments."""
    closing = words.has_closing(table)
    heads = ["data", "category", "metric", *table.detectors, *["over methods"] * closing]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\begin{{tabular}}{{lll{'r' * (len(heads) - 3)}}}",
        *(r"\toprule", " & ".join(map(_text, heads)) + r" \\", r"\midrule"),
        *(line for row in table.rows for line in _lines(row, closing)),
        *(r"\bottomrule", r"\end{tabular}"),
        rf"\caption{{{_text(' '.join([_sentence(table.title), *words.legend(table)]))}}}",
        r"\end{table}",
        *(_costs(table) if table.costs else ()),
        *(_runs(table)),
    ]
    return "\n".join(lines) + "\n"


def _lines(row: TableRow, closing: bool) -> Iterator[str]:
    """The figures; intervals and published figures stand below them in small print."""
    over = words.closing(row.over_methods, row)
    cells = [*map(_text, words.row_names(row)), *(_value(cell, row) for cell in row.cells)]
    yield " & ".join([*cells, *[_text(over[0])] * closing]) + r" \\"
    for further in (words.interval, words.paper):
        texts = [further(cell, row) for cell in row.cells]
        texts += [over[1] if further is words.paper else ""] * closing
        if any(texts):
            small = (rf"{{\scriptsize {_text(text)}}}" if text else "" for text in texts)
            yield " & ".join(["", "", "", *small]).strip() + r" \\"


def _value(cell: TableCell, row: TableRow) -> str:
    shown = _text(words.value(cell, row))
    if cell.rank in (1, 2):
        shown = rf"\{'textbf' if cell.rank == 1 else 'underline'}{{{shown}}}"
    return shown + r" $\approx$" * (cell.separable is False)


def _costs(table: ResultTable) -> Iterator[str]:
    names, (heads, *lines) = words.costs(table)
    yield r"\begin{table}"
    yield r"\centering"
    yield rf"\begin{{tabular}}{{{'l' * names}{'r' * (len(heads) - names - 1)}l}}"
    yield r"\toprule"
    yield " & ".join(map(_text, heads)) + r" \\"
    yield r"\midrule"
    for line in lines:
        yield " & ".join(map(_text, line)) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield rf"\caption{{Cost: {_text(table.title)}}}"
    yield r"\end{table}"


def _runs(table: ResultTable) -> Iterator[str]:
    for row in table.rows:
        for cell in row.cells:
            if cell.runs:
                what = words.whose(cell, row).replace("\n", " ")
                yield f"% {what}: {' '.join(cell.runs)}"


def _sentence(title: str) -> str:
    return title if title.endswith((".", "?", "!")) else f"{title}."


def _text(words: str) -> str:
    return words.translate(_ESCAPED)
