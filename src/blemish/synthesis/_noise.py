"""Perlin noise: smooth random fields."""

from __future__ import annotations

import cv2
import numpy as np

from blemish.synthesis.visible import Floats

_LONGEST = 512  # pixels of a side that is computed; a longer one is interpolated


def perlin(shape: tuple[int, int], cells: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Perlin noise [H, W] with that many cells down and across, about -1 to 1.

    The fade is 6 t^5 - 15 t^4 + 10 t^3, the gradients have length 1, the sum is multiplied by the
    root of 2.
    """
    angles = rng.uniform(0, 2 * np.pi, (cells[0] + 1, cells[1] + 1)).astype(np.float32)
    slopes = (np.sin(angles), np.cos(angles))
    height, width = (min(side, max(_LONGEST, 4 * n)) for side, n in zip(shape, cells, strict=True))
    down = (np.arange(height, dtype=np.float32) + 0.5) * np.float32(cells[0] / height)
    across = (np.arange(width, dtype=np.float32) + 0.5) * np.float32(cells[1] / width)
    row = np.minimum(down.astype(np.int64), cells[0] - 1)
    column = np.minimum(across.astype(np.int64), cells[1] - 1)
    y, x = down - row, across - column
    fade_y, fade_x = _fade(y)[:, None], _fade(x)

    def corner(below: int, right: int) -> Floats:
        at = np.ix_(row + below, column + right)
        return np.asarray(slopes[0][at] * (y - below)[:, None] + slopes[1][at] * (x - right))

    above = corner(0, 0) * (1 - fade_x) + corner(0, 1) * fade_x
    beneath = corner(1, 0) * (1 - fade_x) + corner(1, 1) * fade_x
    found = np.float32(np.sqrt(2)) * (above * (1 - fade_y) + beneath * fade_y)
    if (height, width) == tuple(shape):
        return np.asarray(found, np.float32)
    return np.asarray(cv2.resize(found, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _fade(t: Floats) -> Floats:
    return np.asarray(t * t * t * (t * (t * 6 - 15) + 10), np.float32)
