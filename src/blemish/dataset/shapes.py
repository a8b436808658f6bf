"""Shapes as labelling tools store them, and the pixels that each covers.

Coordinates are x to the right and y down in pixels, from the picture's upper left corner: pixel 0
reaches from 0 to 1. A shape covers the pixels whose centres lie in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

MOST_CROSSINGS = 10**7  # of an outline with the rows of its picture
_TURNS = 360  # points of an ellipse: off by a hundredth of a pixel at a radius of 250


@dataclass(frozen=True, eq=False)
class Outline:
    """Closed rings [N, 2] of x and y; each covers by the even-odd rule, and they are united."""

    rings: tuple[Points, ...]


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of pixels in a rectangle int64 [N], background first, by row or by column."""

    counts: NDArray[np.int64]
    left: int
    top: int
    width: int
    height: int
    by_column: bool = False


@dataclass(frozen=True, eq=False)
class Shape:
    """One object on a picture: its kind, and its area, which a line or a point has not."""

    kind: str
    area: Outline | Runs | None
    is_box: bool = False


def box(left: float, top: float, right: float, bottom: float, angle: float = 0.0) -> Outline:
    """A box by its sides, turned about its centre by degrees, clockwise as one sees it."""
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
    return Outline((_turned(corners, corners.mean(axis=0), angle),))


def ellipse(x: float, y: float, across: float, down: float, angle: float = 0.0) -> Outline:
    """An ellipse by its centre and its two radii, turned as a box is."""
    turn = np.linspace(0, 2 * np.pi, _TURNS, endpoint=False)
    points = np.stack([x + across * np.cos(turn), y + down * np.sin(turn)], axis=1)
    return Outline((_turned(points, np.array([x, y]), angle),))


def bounds(area: Outline | Runs) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of an area."""
    if isinstance(area, Runs):
        return area.left, area.top, area.left + area.width, area.top + area.height
    points = np.concatenate(area.rings)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def crossings(area: Outline | Runs, height: int) -> float:
    """How often outlines cross the rows of a picture, at most: what it costs to fill them."""
    if isinstance(area, Runs):
        return 0.0
    steps = (np.abs(np.diff(ring[:, 1], append=ring[:1, 1])) for ring in area.rings)
    return sum(float(np.minimum(step, height).sum()) + len(step) for step in steps)


def draw(shapes: Iterable[Shape], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The union of the shapes' areas as bool [H, W]; what lies beyond the border is cut off.

    An outline that holds no pixel's centre marks the pixels that it passes instead.
    """
    mask = np.zeros(size, bool)
    for shape in shapes:
        if isinstance(shape.area, Runs):
            _place(mask, shape.area)
        elif shape.area is not None:
            filled = [_fill(mask, ring) for ring in shape.area.rings]
            if not any(filled):
                for ring in shape.area.rings:
                    _trace(mask, ring)
    return mask


def pixels(runs: Runs) -> NDArray[np.bool_]:
    """The pixels of runs as bool [height, width]."""
    values = np.repeat(np.arange(len(runs.counts)) % 2 == 1, runs.counts)
    if runs.by_column:
        return values.reshape(runs.width, runs.height).T
    return values.reshape(runs.height, runs.width)


def _place(mask: NDArray[np.bool_], runs: Runs) -> None:
    height, width = mask.shape
    top, bottom = max(runs.top, 0), min(runs.top + runs.height, height)
    left, right = max(runs.left, 0), min(runs.left + runs.width, width)
    if top < bottom and left < right:
        inner = pixels(runs)[
            top - runs.top : bottom - runs.top, left - runs.left : right - runs.left
        ]
        mask[top:bottom, left:right] |= inner


def _fill(mask: NDArray[np.bool_], ring: Points) -> bool:
    """Mark the pixels whose centres lie in a ring; False where there is none.

    Each edge toggles, in the rows whose centres it passes, the pixels to its right.
    """
    height, width = mask.shape
    (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
    first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, height).astype(np.int64)
    count = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, height).astype(np.int64) - first
    edge = np.repeat(np.arange(len(ring)), count)
    if not len(edge):
        return False
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    share = (row + 0.5 - y0[edge]) / (y1 - y0)[edge]
    x = x0[edge] + share * (x1 - x0)[edge]
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    top, left = int(row.min()), int(column.min())
    tall, wide = int(row.max()) - top + 1, int(column.max()) - left
    spots = (row - top) * (wide + 1) + column - left
    toggles = np.bincount(spots, minlength=tall * (wide + 1)).reshape(tall, wide + 1) % 2 == 1
    inner = np.logical_xor.accumulate(toggles, axis=1)[:, :wide]
    mask[top : top + tall, left : left + wide] |= inner
    return bool(inner.any())


def _trace(mask: NDArray[np.bool_], ring: Points) -> None:
    """Mark the pixels that a ring passes."""
    height, width = mask.shape
    for start, end in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        steps = int(np.ceil(2 * np.abs(end - start).max())) + 1
        x, y = np.floor(np.linspace(start, end, steps + 1)).astype(np.int64).T
        # A border that lies on the picture's own belongs to the last pixel.
        x, y = np.where(x == width, width - 1, x), np.where(y == height, height - 1, y)
        there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        mask[y[there], x[there]] = True


def _turned(points: Points, centre: Points, angle: float) -> Points:
    if not angle:
        return points
    turn = np.deg2rad(angle)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    turned: Points = (points - centre) @ matrix + centre
    return turned
