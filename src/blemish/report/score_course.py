"""Scores of parts in the order of time, beside those on which the threshold was set, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from blemish.report.words import counted, number, text

WIDTH, HEIGHT = 1240, 320
LEFT, RIGHT, TOP, BOTTOM = 60, 1230, 14, 286
MOST_POINTS = 1500  # of more parts, the highest score of each run of neighbours is drawn
TIMES = 6  # labels under the axis


@dataclass(frozen=True)
class Point:
    """The score of a part, its decision, and when it was taken: seconds, and in words."""

    score: float
    decision: str
    time: float | None
    shown: str


def course(points: Sequence[Point], threshold: float, held_out: Sequence[float]) -> str:
    """The chart with its caption; in the order of time where every part has one."""
    if not points:
        return '<p class="none">No part has a score.</p>'
    timed = all(point.time is not None for point in points)
    if timed:
        points = sorted(points, key=lambda point: point.time or 0.0)
    drawn = _thinned(points)
    low, high = _range([point.score for point in points], threshold, held_out)

    def y(score: float) -> float:
        share = (min(max(score, low), high) - low) / (high - low)
        return round(BOTTOM - share * (BOTTOM - TOP), 1)

    def x(place: int) -> float:
        return round(LEFT + (place + 0.5) / len(points) * (RIGHT - LEFT), 1)

    parts = [f'<line class="axis" x1="{LEFT}" x2="{RIGHT}" y1="{BOTTOM}" y2="{BOTTOM}"/>']
    if held_out:
        top, bottom, median = y(max(held_out)), y(min(held_out)), y(float(np.median(held_out)))
        parts += [
            f'<rect class="band" x="{LEFT}" width="{RIGHT - LEFT}" y="{top}" '
            f'height="{round(bottom - top, 1)}"><title>held-out good parts</title></rect>',
            f'<line class="median" x1="{LEFT}" x2="{RIGHT}" y1="{median}" y2="{median}"/>',
        ]
    limit = y(threshold)
    parts += [
        f'<line class="limit" x1="{LEFT}" x2="{RIGHT}" y1="{limit}" y2="{limit}"/>',
        f'<text x="{LEFT - 6}" y="{limit + 4}" text-anchor="end">{number(threshold)}</text>',
        *(_mark(x(place), y(point.score), point, high) for place, point in drawn),
        *(_times(points, x) if timed else ()),
    ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Part scores in time">'
        f"{''.join(parts)}</svg>"
        f'<p class="small">{text(_caption(points, timed, held_out, high))}</p>'
    )


def _thinned(points: Sequence[Point]) -> list[tuple[int, Point]]:
    """The points with their places; of many neighbours the one with the highest score."""
    run = -(-len(points) // MOST_POINTS)
    places = range(0, len(points), run)
    highest = (
        max(range(start, min(start + run, len(points))), key=lambda i: points[i].score)
        for start in places
    )
    return [(place, points[place]) for place in highest]


def _range(
    scores: Sequence[float], threshold: float, held_out: Sequence[float]
) -> tuple[float, float]:
    """The ends of the axis: it does not follow outliers above three times the usual distance."""
    low = min([*scores, *held_out, threshold])
    usual = max([threshold, *held_out]) - min([threshold, *held_out], default=threshold)
    most = max([*scores, threshold])
    high = min(most, threshold + 3 * usual) if usual > 0 else most
    span = (high - low) or abs(low) or 1.0
    return low - 0.04 * span, high + 0.04 * span


def _mark(x: float, y: float, point: Point, high: float) -> str:
    words = text(f"{number(point.score)} {point.decision} {point.shown}".strip())
    if point.score > high:
        shape = f'<path class="{point.decision}" d="M{x - 4} {y + 7}L{x} {y}L{x + 4} {y + 7}Z">'
        return f"{shape}<title>{words}</title></path>"
    radius = 3.5 if point.decision == "reject" else 2.2
    return (
        f'<circle class="{point.decision}" cx="{x}" cy="{y}" r="{radius}">'
        f"<title>{words}</title></circle>"
    )


def _times(points: Sequence[Point], x: Callable[[int], float]) -> list[str]:
    places = np.unique(np.linspace(0, len(points) - 1, min(TIMES, len(points))).round().astype(int))
    ends = {0: "start", len(points) - 1: "end"}
    return [
        f'<text x="{x(int(place))}" y="{BOTTOM + 18}" '
        f'text-anchor="{ends.get(int(place), "middle")}">{text(points[int(place)].shown)}</text>'
        for place in places
    ]


def _caption(points: Sequence[Point], timed: bool, held_out: Sequence[float], high: float) -> str:
    words = [
        "Each dot is a part" + (", in the order of time" if timed else ", in the order inspected")
    ]
    if len(points) > MOST_POINTS:
        words[0] = f"Each dot is the highest of {-(-len(points) // MOST_POINTS)} neighbours"
    words.append("red ones are rejected; the dashed line is the threshold")
    if held_out:
        words.append(
            f"the band spans the scores of the {counted(len(held_out), 'good part')} that it was "
            "set on, with their median: parts like those lie in it"
        )
    if above := sum(point.score > high for point in points):
        words.append(f"triangles at the upper edge lie above it ({above:,})")
    return "; ".join(words) + "."
