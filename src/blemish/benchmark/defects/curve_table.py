"""The table of a learning curve, in the columns of ISP-AD's Tables 2 and 3, as text and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from blemish.benchmark.defects.curve import DefectCurve, DefectCurvePoint, group_name
from blemish.benchmark.defects.decisions import Interval
from blemish.report.words import percentage

HEADS = ("Defect group", "#Real", "MCC", "Recall", "FPR", "TN", "TP", "FN", "FP")
PAPER = ("MCC", "Recall", "FPR")
NONE = "\u2013"

_ORDER = ("tn", "tp", "fn", "fp")


def rows(curve: DefectCurve) -> list[list[str]]:
    """A row of texts for each point, under `HEADS`, then `PAPER` of the paper protocol."""
    return [
        [
            group_name(point.step),
            str(point.step.number),
            *_rates(point.honest),
            *(count(point.honest[name]) for name in _ORDER),
            *_rates(point.paper),
        ]
        for point in curve.points
    ]


def lines(curve: DefectCurve) -> list[str]:
    """The table for a terminal, with the intervals of recall and FPR behind it."""
    heads = [*HEADS, "recall, 95 %", "FPR, 95 %"]
    body = [
        [
            *row[: len(HEADS)],
            within(p.decisions.recall_interval()),
            within(p.decisions.fpr_interval()),
        ]
        for row, p in zip(rows(curve), curve.points, strict=True)
    ]
    return aligned([heads, *body], left=1)


def aligned(table: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Lines of columns of one width; the first `left` columns begin at the left."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def as_csv(curve: DefectCurve) -> str:
    """The table as CSV, one row per point, rates as shares from 0 to 1."""
    ends = ("low", "high")
    heads = ["defect_group", "n_real", "mcc", "recall", "fpr", *_ORDER]
    heads += [f"{name}_{end}" for name in ("recall", "fpr", "mcc") for end in ends]
    heads += [f"paper_{name}" for name in ("mcc", "recall", "fpr", *_ORDER)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(heads)
    for point in curve.points:
        writer.writerow(_csv_row(point))
    return file.getvalue()


def _csv_row(point: DefectCurvePoint) -> list[object]:
    found = point.decisions
    honest, paper = point.honest, point.paper or {}
    names = ("mcc", "recall", "fpr", *_ORDER)
    intervals = (found.recall_interval(), found.fpr_interval(), found.mcc_interval())
    return [
        group_name(point.step),
        point.step.number,
        *(_written(honest[name]) for name in names),
        *(_written(end) for pair in intervals for end in pair or (None, None)),
        *(_written(paper.get(name)) for name in names),
    ]


def _written(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _rates(values: Mapping[str, float | None] | None) -> list[str]:
    if values is None:
        return [NONE] * 3
    mcc = values["mcc"]
    return [NONE if mcc is None else f"{mcc:.2f}", share(values["recall"]), share(values["fpr"])]


def share(value: float | None) -> str:
    """A rate in percent, with a decimal as the paper's."""
    return NONE if value is None else f"{100 * value:.1f} %"


def count(value: float | None) -> str:
    """A count, with a decimal where it is no whole mean."""
    if value is None:
        return NONE
    return f"{value:.0f}" if abs(value - round(value)) < 0.05 else f"{value:.1f}"


def within(interval: Interval | None) -> str:
    """An interval of rates, "33 to 49"."""
    return NONE if interval is None else " to ".join(map(percentage, interval))
