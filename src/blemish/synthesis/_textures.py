"""Procedural textures: what fills a shape where the user has no folder of textures.

All of them are ours. A texture is a function of the image, the size of a window and a random
generator; it gives float32 [h, w] or [h, w, 3] in grey levels of the image, 0 to 255.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from blemish.synthesis._noise import perlin
from blemish.synthesis.base import Pixels
from blemish.synthesis.visible import Floats, Greys

Size = tuple[int, int]
Texture = Callable[[Pixels, Size, np.random.Generator], Floats]


def clouds(image: Pixels, size: Size, rng: np.random.Generator) -> Floats:
    """Perlin noise in four octaves."""
    field = np.zeros(size, np.float32)
    for octave in range(4):
        cells = [min(2 ** (octave + 1), max(1, side // 2)) for side in size]
        field += perlin(size, (cells[0], cells[1]), rng) / np.float32(2**octave)
    return _stretched(field)


def cells(image: Pixels, size: Size, rng: np.random.Generator) -> Floats:
    """Voronoi cells, each of one grey."""
    count = int(rng.integers(8, 128))
    seeds = np.ones(size, np.uint8)
    seeds.ravel()[rng.integers(0, seeds.size, count)] = 0
    _, labels = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    greys = rng.uniform(0, 255, int(labels.max()) + 1).astype(np.float32)
    return np.asarray(greys[labels], np.float32)


def grating(image: Pixels, size: Size, rng: np.random.Generator) -> Floats:
    """Parallel stripes of a random period and angle, soft or sharp."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 32)
    rows = np.arange(size[0], dtype=np.float32)[:, None]
    columns = np.arange(size[1], dtype=np.float32)
    phase = rows * np.float32(np.sin(angle)) + columns * np.float32(np.cos(angle))
    waves = np.sin(np.float32(2 * np.pi / period) * phase + np.float32(rng.uniform(0, 6.3)))
    return np.asarray(127.5 + 127.5 * np.clip(waves * rng.choice([1, 8]), -1, 1), np.float32)


def blocks(image: Pixels, size: Size, rng: np.random.Generator) -> Floats:
    """A piece of the image itself, cut into blocks that are shuffled and turned over."""
    room = np.subtract(image.shape[:2], size)
    top, left = rng.integers(0, np.maximum(room, 0), endpoint=True).tolist()
    piece = image[top : top + size[0], left : left + size[1]].astype(np.float32)
    side = int(rng.integers(4, 33))
    wide = [-(-length // side) * side for length in size]
    ends = ((0, wide[0] - size[0]), (0, wide[1] - size[1]))
    piece = np.pad(
        piece, (*ends, (0, 0))[: piece.ndim], mode="reflect" if min(size) > side else "edge"
    )
    tiles = piece.reshape(wide[0] // side, side, wide[1] // side, side, -1).swapaxes(1, 2)
    order = rng.permutation(tiles.shape[0] * tiles.shape[1])
    mixed = tiles.reshape(-1, side, side, tiles.shape[-1])[order][:, :: rng.choice([-1, 1])]
    mixed = mixed.reshape(tiles.shape).swapaxes(1, 2).reshape(piece.shape)
    greys = Greys.of(image)
    return np.asarray((mixed[: size[0], : size[1]] - greys.black) / greys.level, np.float32)


TEXTURES: dict[str, Texture] = {
    "blocks": blocks,
    "cells": cells,
    "clouds": clouds,
    "grating": grating,
}


def _stretched(field: Floats) -> Floats:
    low, high = float(field.min()), float(field.max())
    return np.asarray((field - low) * (255 / max(high - low, 1e-6)), np.float32)
