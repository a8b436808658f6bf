"""Curves of a metric against the defects in training: one line per detector.

Defects that creep into the good training images, and real ones that are taught.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from blemish.benchmark.figures import _svg as svg
from blemish.benchmark.figures._values import block_categories, by_seed, file_name, title
from blemish.benchmark.protocol import Metric
from blemish.benchmark.selection import Selection
from blemish.benchmark.table_spec import RowBlock
from blemish.dataset.label_words import name_some

WIDTH, HEIGHT = 680, 380
LEFT, RIGHT, TOP, FOOT = 60, 210, 40, 52
FEW = 5  # curves whose bands can be told apart; more of them get a higher figure without bands
HIGHER = 120


@dataclass(frozen=True)
class Axis:
    """The x axis of a figure: a setting of splits, and its label."""

    setting: str
    name: str
    words: str


NOISE = Axis("alpha", "noise", "share of the training parts that are defective (alpha)")
TAUGHT = Axis("taught", "taught", "real defective parts that are learnt from")
AXES = (NOISE, TAUGHT)


@dataclass(frozen=True)
class CurvePoint:
    """The mean over categories at one value of the axis, once per seed."""

    at: float
    values: tuple[float, ...]


@dataclass(frozen=True)
class Curve:
    """The curve of one detector: its points along the axis."""

    detector: str
    points: tuple[CurvePoint, ...]


def draw(selection: Selection, metrics: Sequence[Metric]) -> Iterator[tuple[str, str]]:
    """A figure for each data set with several values on an axis, and each metric."""
    for axis in AXES:
        there = [block for block in selection.blocks if _at(block, axis) is not None]
        for data in sorted({block.data for block in there}):
            blocks = [block for block in there if block.data == data]
            absent = _absent(blocks, selection)
            for metric in metrics:
                lines, missing = curves(selection, data, metric, axis)
                if len({point.at for curve in lines for point in curve.points}) > 1:
                    drawn = svg_curves(lines, data, title(metric), missing, absent, axis)
                    yield file_name(axis.name, data, metric.path), drawn


def _absent(blocks: Sequence[RowBlock], selection: Selection) -> list[str]:
    """The categories of the protocol without any result."""
    there = {category for block in blocks for category in selection.categories[block]}
    return [name for name in blocks[0].categories if name not in there]


def curves(
    selection: Selection, data: str, metric: Metric, axis: Axis = NOISE
) -> tuple[list[Curve], list[str]]:
    """The curves of one data set, and the means withheld because a category is missing.

    A mean counts only when every category that occurs in the results has its value.
    """
    found: dict[tuple[str, float, int], dict[str, float]] = defaultdict(dict)
    for where in block_categories(selection):
        block, category = where
        at = _at(block, axis)
        if block.data != data or at is None:
            continue
        for label, of_label in by_seed(selection, where, metric).items():
            for seed, measured in of_label.items():
                found[label, at, seed][category] = measured
    categories = {category for values in found.values() for category in values}
    means: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    withheld = []
    for (detector, at, seed), values in sorted(found.items()):
        if categories - values.keys():
            withheld.append(f"{detector} at {at:g}, seed {seed}")
        else:
            means[detector][at].append(fmean(values.values()))
    return [
        Curve(detector, tuple(CurvePoint(at, tuple(v)) for at, v in sorted(points.items())))
        for detector, points in means.items()
    ], withheld


def svg_curves(
    lines: Sequence[Curve],
    data: str,
    metric: str,
    missing: Sequence[str] = (),
    absent: Sequence[str] = (),
    axis: Axis = NOISE,
) -> str:
    """The curves as SVG: the mean over the seeds, and from the lowest to the highest seed.

    `metric` is what it is called in the heading; `missing` names the means that are withheld, and
    `absent` the categories of the protocol that none of them is over.
    """
    values = [each for curve in lines for point in curve.points for each in point.values]
    ticks = sorted({point.at for curve in lines for point in curve.points})
    levels = svg.ticks(min(values), max(values))
    height = HEIGHT + HIGHER * (len(lines) > FEW)
    base, right = height - FOOT, WIDTH - RIGHT

    def x(at: float) -> float:
        return LEFT + (right - LEFT) * (at - ticks[0]) / ((ticks[-1] - ticks[0]) or 1)

    def y(measured: float) -> float:
        return base - (base - TOP) * (measured - levels[0]) / (levels[-1] - levels[0])

    body = [svg.words(LEFT, 22, f"{data}: {metric}", "title")]
    for level in levels:
        body.append(svg.line(LEFT, y(level), right, y(level)))
        body.append(svg.words(LEFT - 8, y(level) + 4, f"{level:g}", "soft", "end"))
    body += [svg.words(x(at), base + 18, f"{at:g}", "soft", "middle") for at in ticks]
    middle = (LEFT + right) / 2
    body.append(svg.words(middle, base + 38, axis.words, "soft", "middle"))
    ends = [(y(fmean(curve.points[-1].values)), curve) for curve in lines]
    labels = svg.spread([end for end, _ in ends], svg.LINE, TOP, base)
    for place, ((end, curve), label) in enumerate(zip(ends, labels, strict=True)):
        places = [
            (x(p.at), y(fmean(p.values)), y(max(p.values)), y(min(p.values))) for p in curve.points
        ]
        body.append(_curve(places, place, band=len(lines) <= FEW))
        last = places[-1][0]
        body.append(svg.line(last + 6, end, right + 30, label, svg.colour(place), 0.8))
        body.append(svg.mark(right + 36, label, place))
        body.append(svg.words(right + 46, label + 4, curve.detector))
    note, bottom = svg.paragraph(LEFT, height + 10, _note(lines, missing, absent), WIDTH - 2 * LEFT)
    return svg.page(WIDTH, bottom, f"{data}: {metric} over {axis.words}", "".join(body) + note)


def _curve(places: Sequence[tuple[float, float, float, float]], number: int, *, band: bool) -> str:
    """One line through (x, mean, highest, lowest), perhaps with the band between the seeds."""
    colour = svg.colour(number)
    upper = [f"{x:.1f},{high:.1f}" for x, _, high, _ in places]
    lower = [f"{x:.1f},{low:.1f}" for x, _, _, low in reversed(places)]
    through = " ".join(f"{x:.1f},{mean:.1f}" for x, mean, _, _ in places)
    dots = "".join(
        (svg.line(x, high, x, low, colour, 1.2) if low > high else "") + svg.mark(x, mean, number)
        for x, mean, high, low in places
    )
    between = f'<polygon points="{" ".join(upper + lower)}" fill="{colour}" opacity="0.12"/>'
    return between * band + (
        f'<polyline points="{through}" fill="none" stroke="{colour}" stroke-width="2" '
        f'stroke-dasharray="{svg.dashes(number)}" stroke-linejoin="round"/>{dots}'
    )


def _note(lines: Sequence[Curve], missing: Sequence[str], absent: Sequence[str]) -> str:
    counts = sorted({len(point.values) for curve in lines for point in curve.points})
    if counts[-1] == 1:
        said = "One seed: no spread is known."
    else:
        seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        drawn = "bars and bands" if len(lines) <= FEW else "bars"
        said = f"Mean over {seeds} seeds; {drawn} reach from the lowest seed to the highest."
    if missing:
        said += f" Withheld, because a category is missing: {name_some(missing)}."
    if absent:
        said += f" No mean of the protocol's: nothing is there of {name_some(absent)}."
    return said


def _at(block: RowBlock, axis: Axis) -> float | None:
    value = dict(block.split_settings).get(axis.setting)
    return None if value is None else float(value)
