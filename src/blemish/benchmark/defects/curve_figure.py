"""Figures of the learning curve: recall, FPR and MCC, and the recall of each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from blemish.benchmark.defects.curve import DefectCurve, DefectCurvePoint
from blemish.benchmark.defects.decisions import Interval
from blemish.benchmark.figures import _svg as svg

WIDTH, HEIGHT = 620, 340
LEFT, RIGHT, TOP, FOOT = 52, 168, 44, 54
FEW = 3  # lines whose bands can be told apart

Scale = Callable[[Any], float]

AXIS = "real defective parts learnt from (evenly spaced, whatever their numbers)"


@dataclass(frozen=True)
class PlotLine:
    """One line: a value and its interval at each number of real defects."""

    name: str
    values: tuple[tuple[int, float, Interval | None], ...]


def rates_figure(curve: DefectCurve) -> str:
    """SVG of recall, FPR and MCC of all kinds, with 95 % bands; "" without two points."""
    points = curve.mixed
    lines = [
        _line("recall", points, "recall", [p.decisions.recall_interval() for p in points]),
        _line("FPR", points, "fpr", [p.decisions.fpr_interval() for p in points]),
        _line("MCC", points, "mcc", [p.decisions.mcc_interval() for p in points]),
    ]
    return draw(f"{curve.experiment.data.name}: what real defects are worth", lines)


def kinds_figure(curve: DefectCurve) -> str:
    """SVG of the recall of each kind of defect; "" without kinds or two points."""
    points = curve.mixed
    kinds = sorted({kind for point in points for kind in point.kinds})
    lines = []
    for kind in kinds:
        there = [point for point in points if kind in point.kinds]
        parts = max(point.kinds[kind][1] for point in there)
        rates = [
            (p.step.number, p.kinds[kind][0] / p.kinds[kind][1], p.kind_interval(kind))
            for p in there
        ]
        lines.append(PlotLine(f"{kind} ({parts})", tuple(rates)))
    return draw(f"{curve.experiment.data.name}: recall by kind of defect (tested parts)", lines)


def draw(title: str, lines: Sequence[PlotLine]) -> str:
    """Lines over numbers of parts, from 0 (or the lowest value) to 1; numbers are evenly spaced."""
    numbers = sorted({number for line in lines for number, _, _ in line.values})
    if len(numbers) < 2:
        return ""
    lowest = min(
        min(value, *(band or (value,))) for line in lines for _, value, band in line.values
    )
    levels = svg.ticks(min(0.0, lowest), 1.0, 5)
    height = max(HEIGHT, TOP + FOOT + svg.LINE * len(lines))
    base, right = height - FOOT, WIDTH - RIGHT

    def x(number: int) -> float:
        return LEFT + (right - LEFT) * numbers.index(number) / (len(numbers) - 1)

    def y(value: float) -> float:
        return base - (base - TOP) * (value - levels[0]) / (levels[-1] - levels[0])

    body = [svg.words(LEFT, 24, title, "title")]
    for level in levels:
        body.append(svg.line(LEFT, y(level), right, y(level)))
        body.append(svg.words(LEFT - 8, y(level) + 4, f"{level:g}", "soft", "end"))
    body += [svg.words(x(number), base + 18, number, "soft", "middle") for number in numbers]
    body.append(svg.words((LEFT + right) / 2, base + 40, AXIS, "soft", "middle"))
    if len(lines) <= FEW:
        body += [_band(line, place, x, y) for place, line in enumerate(lines)]
    body += [_through(line, place, x, y) for place, line in enumerate(lines)]
    ends = [y(line.values[-1][1]) for line in lines]
    labels = svg.spread(ends, svg.LINE, TOP, base)
    for place, (line, end, label) in enumerate(zip(lines, ends, labels, strict=True)):
        body.append(svg.line(x(line.values[-1][0]) + 6, end, right + 18, label, svg.colour(place)))
        body.append(svg.mark(right + 24, label, place))
        body.append(svg.words(right + 34, label + 4, line.name))
    return svg.page(WIDTH, height, title, "".join(body))


def _line(
    name: str, points: Sequence[DefectCurvePoint], rate: str, bands: Sequence[Interval | None]
) -> PlotLine:
    values = [
        (point.step.number, value, band)
        for point, band in zip(points, bands, strict=True)
        if (value := point.honest[rate]) is not None
    ]
    return PlotLine(name, tuple(values))


def _band(line: PlotLine, place: int, x: Scale, y: Scale) -> str:
    known = [(number, band) for number, _, band in line.values if band is not None]
    upper = [f"{x(number):.1f},{y(high):.1f}" for number, (_, high) in known]
    lower = [f"{x(number):.1f},{y(low):.1f}" for number, (low, _) in reversed(known)]
    shape = " ".join(upper + lower)
    return f'<polygon class="band" points="{shape}" fill="{svg.colour(place)}" opacity="0.13"/>'


def _through(line: PlotLine, place: int, x: Scale, y: Scale) -> str:
    points = " ".join(f"{x(number):.1f},{y(value):.1f}" for number, value, _ in line.values)
    marks = "".join(svg.mark(x(number), y(value), place) for number, value, _ in line.values)
    return (
        f'<polyline points="{points}" fill="none" stroke="{svg.colour(place)}" stroke-width="2" '
        f'stroke-dasharray="{svg.dashes(place)}" stroke-linejoin="round"/>{marks}'
    )
