"""What every format says alike: a figure's digits, a row's name, and the sentences below."""

from __future__ import annotations

from collections.abc import Iterator

from blemish.benchmark.result_table import (
    Cost,
    MethodsSummary,
    ResultTable,
    TableCell,
    TableRow,
    decimals,
)

NOTHING = "\u2013"
MINUS = "\u2212"
ALIKE = "\u2248"  # not separable from the best
_COST_HEADS = {
    **{"whole training, s": "train_seconds", "evaluation, s": "evaluate_seconds"},
    **{"peak memory, MB": "peak_rss_mb", "one image, ms": "latency_ms"},
}


def figure(value: float | None, row: TableRow) -> str:
    """A figure with the digits of its metric."""
    return NOTHING if value is None else signless(f"{value:.{decimals(row.metric)}f}")


def signless(shown: str) -> str:
    """A number with a true minus sign, and none at zero."""
    if shown.startswith("-"):
        return MINUS + shown[1:] if any(digit in shown for digit in "123456789") else shown[1:]
    return shown


def value(cell: TableCell, row: TableRow) -> str:
    """The mean over seeds and their standard deviation, or why there is none."""
    if cell.value is None:
        return NOTHING if cell.missing in ("", "no result") else cell.missing
    spread = "" if cell.spread is None else f" \u00b1 {figure(cell.spread, row)}"
    return figure(cell.value, row) + spread


def interval(cell: TableCell, row: TableRow) -> str:
    """The interval, "90.1 to 92.4", or nothing."""
    if cell.interval is None:
        return ""
    return " to ".join(figure(end, row) for end in cell.interval)


def paper(cell: TableCell, row: TableRow) -> str:
    """The published figure and ours less it, "paper 92.7, -1.4", or nothing."""
    return beside(cell.published, cell.difference, row)


def beside(published: float | None, difference: float | None, row: TableRow) -> str:
    """A published figure, and the difference where there is one, or nothing."""
    if published is None:
        return ""
    shown = f"paper {figure(published, row)}"
    if difference is None:
        return shown
    return f"{shown}, {'+' * (difference > 0)}{figure(difference, row)}"


def closing(over: MethodsSummary | None, row: TableRow) -> tuple[str, str]:
    """Mean with deviation over the methods of a row, and the published ones beside it."""
    if over is None:
        return "", ""
    ours = NOTHING
    if over.mean is not None:
        ours = f"{figure(over.mean, row)} \u00b1 {figure(over.std, row)} (of {over.n})"
    if over.published_mean is None:
        return ours, ""
    return (
        ours,
        f"paper {figure(over.published_mean, row)} \u00b1 {figure(over.published_std, row)}",
    )


def row_names(row: TableRow) -> tuple[str, str, str]:
    """Data with its variant, category, and metric with its unit and threshold.

    A category that is the whole data set, and has its name, is not named again.
    """
    data = " ".join(filter(None, [row.data, row.variant]))
    unit = ", %" if row.metric.percent else ""
    threshold = f" ({row.protocol} protocol)" if row.protocol else ""
    category = "mean" if row.category is None else row.category
    if category == row.data:
        category = ""
    return data, category, f"{row.metric.name}{unit}{threshold}"


def whose(cell: TableCell, row: TableRow) -> str:
    """Row and detector of a figure in one line."""
    return ", ".join(filter(None, [*row_names(row), cell.detector]))


def has_closing(table: ResultTable) -> bool:
    """Whether rows close with mean and deviation over the methods."""
    return any(row.over_methods is not None for row in table.rows)


def costs(table: ResultTable) -> tuple[int, list[list[str]]]:
    """What the detectors cost: how many columns are names, and the lines, the heads first.

    The last column is the machine; data and steps have one where they are told.
    """
    by_data = any(entry.data for entry in table.costs)
    with_steps = any(entry.steps for entry in table.costs)
    names = ["data"] * by_data + ["detector"]
    lines = [[*names, "runs", *_COST_HEADS, *["steps of the fit"] * with_steps, "machine"]]
    for entry in table.costs:
        numbers = [
            _number(getattr(entry, name), entry.spreads.get(name)) for name in _COST_HEADS.values()
        ]
        lines.append(
            [
                *[entry.data] * by_data,
                *(entry.detector, f"{entry.runs:,}", *numbers),
                *[_steps(entry)] * with_steps,
                entry.machine,
            ]
        )
    return len(names), lines


def _steps(entry: Cost) -> str:
    """The steps done and planned, "812 of 2,000"."""
    return NOTHING if entry.steps is None else " of ".join(f"{n:,.0f}" for n in entry.steps)


def _number(value: float | None, spread: float | None = None) -> str:
    """Three digits of a number; its spread has as many after the point."""
    if value is None:
        return NOTHING
    if spread is None:
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} \u00b1 {spread:,.{digits}f}"


def legend(table: ResultTable, best: str = "bold", second: str = "underlined") -> Iterator[str]:
    """What the marks of this very table mean, in sentences; then its notes."""
    cells = [cell for row in table.rows for cell in row.cells]
    seeds = sorted({cell.seeds for cell in cells if cell.seeds})
    if seeds[1:] or seeds[:1] > [1]:
        some = " to ".join(str(n) for n in dict.fromkeys([seeds[0], seeds[-1]]))
        yield f"Figures are means over {some} seeds \u00b1 their standard deviation."
    if any(cell.interval for cell in cells):
        yield "Intervals are of 95 % and draw or count whole parts, not images."
    if any(cell.rank == 1 for cell in cells):
        yield f"The best of a row is {best}, the second {second}, both as rounded."
    tested = [row for row in table.rows if any(cell.p is not None for cell in row.cells)]
    if tested:
        yield (
            f"{ALIKE} marks what is not separable from the best of its row: paired tests on the "
            "same parts (Obuchowski's clustered form of DeLong's test for AUROC, a bootstrap of "
            "parts for others), Holm-corrected within the row, at 5 %."
        )
    untested = [row for row in table.rows if row not in tested and _ranked(row)]
    if untested:
        names = ", ".join(dict.fromkeys(row.metric.name for row in untested))
        yield f"Rows without a test, where a missing {ALIKE} proves nothing, are among: {names}."
    if any(row.protocol for row in table.rows):
        yield (
            "Paper protocol: at the threshold with the best F1 on the test set itself. Honest "
            "protocol: at the threshold from good parts held out of training."
        )
    if table.costs:
        yield (
            "Cost: the whole training is features (unless an earlier run left them in the cache), "
            "fit, held-out scores and the model's file; one image is the median from file to score."
        )
    if table.source and any(cell.published is not None for cell in cells):
        yield f"Published figures: {table.source}; the signed number is ours less the paper's."
    yield from table.notes


def _ranked(row: TableRow) -> bool:
    return any(cell.rank is not None for cell in row.cells)
