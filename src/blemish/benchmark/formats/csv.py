"""A table as CSV, one line per figure, with the digits that were computed and the runs' keys."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from blemish.benchmark.result_table import Cost, ResultTable, TableCell, TableRow

SUFFIX = ".csv"
COLUMNS = (
    *("data", "variant", "category", "metric", "path", "protocol", "unit", "detector", "value"),
    *("spread", "seeds", "low", "high", "rank", "p_against_best", "separable", "published"),
    *("difference", "missing", "machine", "runs"),
)
_COSTS = (
    *(("train_seconds", "s"), ("evaluate_seconds", "s")),
    *(("peak_rss_mb", "MB"), ("latency_ms", "ms")),
)
_STEPS = ("steps", "steps_planned")


def render(table: ResultTable, links: str | None = None) -> str:
    """The figures, the mean and deviation over methods, and the costs with their machine."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        writer.writerows(_of_cell(cell, row) for cell in row.cells)
        writer.writerows(_over_methods(row))
    for entry in table.costs:
        writer.writerows(_of_cost(entry))
    return text.getvalue()


def _of_row(row: TableRow) -> dict[str, object]:
    return {
        "data": row.data,
        "variant": row.variant,
        "category": "mean" if row.category is None else row.category,
        "metric": row.metric.name,
        "path": row.metric.path,
        "protocol": row.protocol,
        "unit": "%" if row.metric.percent else "",
    }


def _of_cell(cell: TableCell, row: TableRow) -> dict[str, object]:
    low, high = cell.interval or (None, None)
    return _of_row(row) | {
        "detector": cell.detector,
        "value": cell.value,
        "spread": cell.spread,
        "seeds": cell.seeds,
        "low": low,
        "high": high,
        "rank": cell.rank,
        "p_against_best": cell.p,
        "separable": None if cell.separable is None else ("yes" if cell.separable else "no"),
        "published": cell.published,
        "difference": cell.difference,
        "missing": cell.missing,
        "runs": " ".join(cell.runs),
    }


def _over_methods(row: TableRow) -> Iterator[dict[str, object]]:
    over = row.over_methods
    if over is None:
        return
    pairs = (("mean", over.mean, over.published_mean), ("std", over.std, over.published_std))
    for name, value, published in pairs:
        detector = f"({name} over {over.n} methods)"
        yield _of_row(row) | {"detector": detector, "value": value, "published": published}


def _of_cost(entry: Cost) -> Iterator[dict[str, object]]:
    whose = {"data": entry.data, "detector": entry.detector, "machine": entry.machine}
    for key, unit in _COSTS:
        number = {"value": getattr(entry, key), "spread": entry.spreads.get(key)}
        yield whose | number | {"metric": key, "path": f"cost.{key}", "unit": unit}
    for key, steps in zip(_STEPS, entry.steps or (), strict=False):
        yield whose | {"metric": key, "path": f"fit.{key}", "value": steps}
