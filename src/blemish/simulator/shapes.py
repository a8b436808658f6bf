"""Soft-edged shapes that defects are made of: lumps and curled lines."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from blemish.simulator.random_fields import Floats

Path = npt.NDArray[np.float64]

_SHIFT = 4  # binary digits of a pixel in OpenCV's coordinates


def lump(rng: np.random.Generator, size: int, radius: float, uneven: float) -> Floats:
    """Signed distance in pixels to the edge of a lump in the middle of [size, size], inside > 0.

    `uneven` is the deviation of the edge as a share of the radius: 0 gives a circle.
    """
    middle = (size - 1) / 2
    rows, columns = np.mgrid[:size, :size].astype(np.float32) - np.float32(middle)
    angle = np.arctan2(rows, columns)
    edge = np.ones_like(angle)
    for order in range(2, 7):
        share, phase = uneven * rng.standard_normal() / order * 1.6, rng.uniform(0, 2 * np.pi)
        edge += np.float32(share) * np.cos(order * angle + np.float32(phase))
    turn, squeeze = rng.uniform(0, np.pi), 1 + rng.uniform(0, 2.5 * uneven)
    along = np.cos(turn) * columns + np.sin(turn) * rows
    across = -np.sin(turn) * columns + np.cos(turn) * rows
    distance = np.sqrt((along / squeeze) ** 2 + (across * np.sqrt(squeeze)) ** 2)
    return np.asarray(radius * np.clip(edge, 0.35, 2) - distance, np.float32)


def curl(rng: np.random.Generator, length: float, bend: float, steadiness: float) -> Path:
    """A line of points (row, column) a pixel apart: its curvature wanders around 0.

    `bend` is the deviation of the curvature in radians a pixel; `steadiness` below 1 says how
    slowly it changes.
    """
    count = max(int(length), 3)
    curvature = np.zeros(count)
    value = bend * rng.standard_normal()
    for step in range(count):
        value = steadiness * value + np.sqrt(1 - steadiness**2) * bend * rng.standard_normal()
        curvature[step] = value
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(curvature)
    points = np.cumsum(np.stack([np.sin(heading), np.cos(heading)], axis=1), axis=0)
    return np.asarray(points - (points.max(axis=0) + points.min(axis=0)) / 2, np.float64)


def around(path: Path, margin: int) -> tuple[Path, tuple[int, int]]:
    """A path moved so that it lies `margin` pixels inside a box, and the box's shape."""
    low, high = path.min(axis=0), path.max(axis=0)
    height, width = (int(np.ceil(side)) + 2 * margin + 1 for side in high - low)
    return path - low + margin, (height, width)


def stroke(path: Path, shape: tuple[int, int], widths: npt.ArrayLike) -> Floats:
    """A line along a path, 1 on it and 0 elsewhere, of varying width in pixels, smooth-edged."""
    fine = 4
    canvas = np.zeros((shape[0] * fine, shape[1] * fine), np.uint8)
    points = np.rint((path[:, ::-1] * fine + (fine - 1) / 2) * 2**_SHIFT).astype(np.int32)
    wide = np.broadcast_to(np.asarray(widths, np.float64), len(path))
    for start, end, width in zip(points[:-1], points[1:], wide[:-1], strict=True):
        if width > 0:
            thick = max(round(width * fine), 1)
            cv2.line(canvas, start.tolist(), end.tolist(), 255, thick, cv2.LINE_8, _SHIFT)
    small = cv2.resize(canvas, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def soft(distance: Floats, edge: float = 1.0) -> Floats:
    """0 outside to 1 inside a shape, over `edge` pixels of its signed distance."""
    t = np.clip(distance / np.float32(edge) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
