"""Two strokes per image as a person would draw them, derived from the true mask, always the same.

The defect stroke runs along the middle of the largest region, at half its length at most, with a
pen of 3 pixels (1 in a region thinner than that), and covers a tenth of the region at most, a dot
of the pen apart. The background stroke is either the same one drawn again `beside` the defect, or
an ellipse drawn `around` it.
"""

from __future__ import annotations

import heapq
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

BACKGROUND, DEFECT = 1, 2
PEN, CLEAR, SHARE = 3, 8, 0.1
Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Point = tuple[int, int]


def scribbles(mask: Mask, background: str) -> Labels | None:
    """Both strokes, uint8 [H, W] of 0, 1 (background) and 2 (defect); None where one has no room.

    `mask` is bool [H, W]; `background` is "beside" or "around".
    """
    region = _largest(mask)
    if region is None:
        return None
    defect = defect_stroke(region)
    other = beside(mask, defect) if background == "beside" else around(mask, region)
    if other is None:
        return None
    labels = np.zeros(mask.shape, np.uint8)
    labels[other] = BACKGROUND
    labels[defect] = DEFECT
    return labels


def defect_stroke(region: Mask) -> Mask:
    """A stroke along the middle of a region."""
    # Without a frame of background the middle of a region that is cut off lies at the edge.
    framed = np.pad(region, 1)
    depth = cv2.distanceTransform(framed.astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    pen = PEN if depth.max() > 1.5 else 1
    line = _middle_line(depth)
    length = max(1, min(len(line) // 2, int(SHARE * region.sum() / pen)))
    start = (len(line) - length) // 2
    return _drawn(region.shape, line[start : start + length], pen)


def beside(mask: Mask, stroke: Mask) -> Mask | None:
    """The same stroke moved sideways, as near as it keeps clear of all defects and of the edge."""
    near = _grown(mask, CLEAR)
    ys, xs = np.nonzero(stroke)
    height, width = mask.shape
    for distance in range(CLEAR, max(height, width)):
        for turn in range(16):
            dy = round(distance * np.sin(turn * np.pi / 8))
            dx = round(distance * np.cos(turn * np.pi / 8))
            y, x = ys + dy, xs + dx
            if min(y.min(), x.min()) < 0 or y.max() >= height or x.max() >= width:
                continue
            if not near[y, x].any():
                moved = np.zeros(mask.shape, bool)
                moved[y, x] = True
                return moved
    return None


def around(mask: Mask, region: Mask) -> Mask | None:
    """An ellipse around a region's upright box, kept clear of all defects."""
    x, y, width, height = cv2.boundingRect(region.astype(np.uint8))
    centre = (round(x + (width - 1) / 2), round(y + (height - 1) / 2))
    axes = (round(width / 2**0.5) + CLEAR, round(height / 2**0.5) + CLEAR)
    drawn: Any = np.zeros(mask.shape, np.uint8)
    cv2.ellipse(drawn, centre, axes, 0, 0, 360, 1, PEN)
    ring = (drawn > 0) & ~_grown(mask, CLEAR // 2)
    return ring if ring.any() else None


def _largest(mask: Mask) -> Mask | None:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return None
    return np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def _middle_line(depth: NDArray[Any]) -> list[Point]:
    """The longest way through a region along its middle, from end to end."""
    inside = depth > 0
    middle = _point(int(depth.argmax()), depth)
    plain, central = np.where(inside, 1.0, np.inf), np.where(inside, depth, np.inf) ** -3.0
    central[~inside] = np.inf
    far, _ = _ways(middle, plain)
    one = _point(int(np.where(inside, far, -1).argmax()), depth)
    far, _ = _ways(one, plain)
    other = _point(int(np.where(np.isfinite(far), far, -1).argmax()), depth)
    _, before = _ways(one, central)
    line = [other]
    while line[-1] != one:
        line.append(before[line[-1]])
    return line


def _point(index: int, of: NDArray[Any]) -> Point:
    return index // of.shape[1], index % of.shape[1]


def _ways(start: Point, cost: NDArray[np.float64]) -> tuple[NDArray[Any], dict[Point, Point]]:
    """The cheapest ways from a point: cost [H, W], inf where there is none, and the step before."""
    total = np.full(cost.shape, np.inf)
    total[start] = 0
    before: dict[Point, Point] = {}
    waiting = [(0.0, start)]
    steps = [(y, x, float(np.hypot(y, x))) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]
    while waiting:
        spent, (y, x) = heapq.heappop(waiting)
        if spent > total[y, x]:
            continue
        for dy, dx, length in steps:
            there = y + dy, x + dx
            if not (0 <= there[0] < cost.shape[0] and 0 <= there[1] < cost.shape[1]):
                continue
            reached = spent + length * cost[there]
            if reached < total[there]:
                total[there], before[there] = reached, (y, x)
                heapq.heappush(waiting, (reached, there))
    total[~np.isfinite(cost)] = np.inf
    return total, before


def _drawn(shape: tuple[int, ...], line: list[Point], pen: int) -> Mask:
    canvas: Any = np.zeros(shape, np.uint8)
    points = np.array([(x, y) for y, x in line], np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [points], False, 1, pen)
    for y, x in (line[0], line[-1]):
        canvas[max(0, y - pen // 2) : y + pen // 2 + 1, max(0, x - pen // 2) : x + pen // 2 + 1] = 1
    return np.asarray(canvas > 0)


def _grown(mask: Mask, pixels: int) -> Mask:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0)
