"""Fine patterns that fill a panel; each gives the share of ink 0 to 1 at every pixel.

A pattern is a function of rows [h, 1] and columns [1, w] in pixels and of a random generator that
draws its pitch and turn; every function of this module without a leading underscore is one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from blemish.simulator.random_fields import Floats


def stripes(rows: Floats, columns: Floats, rng: np.random.Generator) -> Floats:
    """Parallel lines, thinner towards one side."""
    along, pitch = _turned(rows, columns, rng)[0], rng.uniform(7, 18)
    share = rng.uniform(0.25, 0.6)
    far = _ramp(rows, columns, rng)
    half = pitch * share * (0.45 + 0.55 * far) / 2
    return _inked(half - np.abs(_around(along, pitch)))


def hatching(rows: Floats, columns: Floats, rng: np.random.Generator) -> Floats:
    """Two sets of thin crossing lines."""
    along, across = _turned(rows, columns, rng)
    pitch, half = rng.uniform(10, 24), rng.uniform(0.6, 1.3)
    near = np.minimum(np.abs(_around(along, pitch)), np.abs(_around(across, pitch)))
    return _inked(half - near)


def halftone(rows: Floats, columns: Floats, rng: np.random.Generator) -> Floats:
    """Round dots on a turned grid that grow from one side to the other: a gradient."""
    along, across = _turned(rows, columns, rng)
    pitch = rng.uniform(7, 13)
    far = _ramp(rows, columns, rng)
    radius = pitch * (0.14 + 0.48 * far)
    return _inked(radius - np.hypot(_around(along, pitch), _around(across, pitch)))


def twill(rows: Floats, columns: Floats, rng: np.random.Generator) -> Floats:
    """A carbon-like 2/2 twill: bundles of threads that go over two and under two."""
    side = rng.uniform(9, 16)
    row, column = rows / side, columns / side
    over = np.mod(np.floor(row) + np.floor(column), 4) < 2
    thread = np.where(over, np.mod(row, 1), np.mod(column, 1)).astype(np.float32)
    fibre = np.where(over, np.mod(row * 4, 1), np.mod(column * 4, 1)).astype(np.float32)
    round_ = np.sin(np.pi * thread) ** 0.7
    light = np.where(over, 0.85, 0.45) * round_ * (0.82 + 0.18 * np.sin(2 * np.pi * fibre))
    return np.asarray(np.clip(light, 0, 1), np.float32)


def honeycomb(rows: Floats, columns: Floats, rng: np.random.Generator) -> Floats:
    """The walls of hexagonal cells."""
    pitch, half = rng.uniform(14, 30), rng.uniform(0.7, 1.6)
    tall = pitch * np.sqrt(3)

    def to_wall(down: float, right: float) -> Floats:
        row, column = _around(rows + down, tall), _around(columns + right, pitch)
        slanted = np.abs(column) / 2 + np.abs(row) * (np.sqrt(3) / 2)
        return np.asarray(pitch / 2 - np.maximum(np.abs(column), slanted), np.float32)

    return _inked(half - np.maximum(to_wall(0, 0), to_wall(tall / 2, pitch / 2)))


def rings(rows: Floats, columns: Floats, rng: np.random.Generator) -> Floats:
    """Fine rings around a point, crossed by waves: a guilloche."""
    row = rows - rng.uniform(-0.3, 1.3) * rows.size
    column = columns - rng.uniform(-0.3, 1.3) * columns.size
    pitch = rng.uniform(9, 17)
    radius = np.hypot(row, column) + 2.5 * np.sin(12 * np.arctan2(row, column))
    return _inked(rng.uniform(0.7, 1.5) - np.abs(_around(radius, pitch)))


def bars(rows: Floats, columns: Floats, rng: np.random.Generator) -> Floats:
    """Short bars set like bricks."""
    long, high = rng.uniform(22, 44), rng.uniform(8, 14)
    line = np.floor(rows / high)
    column = _around(columns + np.mod(line, 2) * (long / 2), long)
    inside = np.minimum(0.38 * long - np.abs(column), 0.27 * high - np.abs(_around(rows, high)))
    return _inked(inside)


def _turned(rows: Floats, columns: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    angle = np.deg2rad(rng.choice([0, 15, 22.5, 30, 45, 60, 75, 90, 135]) + rng.uniform(-1, 1))
    along = rows * np.float32(np.sin(angle)) + columns * np.float32(np.cos(angle))
    across = rows * np.float32(np.cos(angle)) - columns * np.float32(np.sin(angle))
    return along, across


def _ramp(rows: Floats, columns: Floats, rng: np.random.Generator) -> Floats:
    """0 to 1 from one side of the area to another."""
    down, across = (places / max(places.size - 1, 1) for places in (rows, columns))
    ways = (down + 0 * across, 1 - down + 0 * across, across + 0 * down, (down + across) / 2)
    return np.asarray(ways[int(rng.integers(len(ways)))], np.float32)


def _around(values: Floats, pitch: float) -> Floats:
    """The signed distance to the nearest multiple of the pitch."""
    return np.asarray(values - pitch * np.rint(values / pitch), np.float32)


def _inked(inside: npt.NDArray[np.floating[Any]]) -> Floats:
    """Ink 0 to 1 with an edge one pixel wide, from the distance inside a shape."""
    return np.asarray(np.clip(inside + 0.5, 0, 1), np.float32)
