"""Which pieces of an image the model sees (all of it, tiles, its centre), and one map of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from blemish.errors import ImageError
from blemish.images.geometry import Recipe, fit

MOST_TILES = 20_000
"""Of one picture; more take minutes, and nobody means them."""

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in original pixels; bottom and right are exclusive."""


@dataclass(frozen=True, eq=False)
class Crop:
    """One piece of an image as the model sees it.

    `box` is its place in the image; `tensor` is uint8 [height, width, 3]; `valid` is the box of
    `fit`, float32 [4] in model pixels.
    """

    box: Box
    tensor: NDArray[np.uint8]
    valid: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the piece in original pixels, as `unfit` wants them."""
        top, left, bottom, right = self.box
        return bottom - top, right - left


def tile_boxes(height: int, width: int, tile: int, overlap: float) -> list[Box]:
    """Cover an image with square tiles, row by row; the last of a row or column is shifted inwards.

    `tile` is the side in pixels, `overlap` the share of it that neighbours have in common. A side
    of the image that is shorter than a tile is taken whole.
    """
    rows, columns = _starts(height, tile, overlap), _starts(width, tile, overlap)
    return [
        (top, left, min(top + tile, height), min(left + tile, width))
        for top, left in product(rows, columns)
    ]


def _starts(size: int, tile: int, overlap: float) -> list[int]:
    if size <= tile:
        return [0]
    step = max(1, round(tile * (1 - overlap)))
    return [*range(0, size - tile, step), size - tile]


def centre_box(shape: tuple[int, ...], recipe: Recipe) -> Box:
    """The middle of an image of that shape (H, W), all of it without a margin; never empty.

    Cut in whole original pixels before the image is resized, which is the centre crop of papers,
    made after resizing, to within one pixel, and is defined for any aspect ratio.
    """
    top = shape[0] * recipe.margin // (recipe.height + 2 * recipe.margin)
    left = shape[1] * recipe.margin // (recipe.width + 2 * recipe.margin)
    return top, left, shape[0] - top, shape[1] - left


def crop_boxes(shape: tuple[int, ...], recipe: Recipe) -> list[Box]:
    """The boxes of the crops of an image of that shape (H, W): one, or one for each tile.

    Raises ImageError for more tiles than `MOST_TILES`.
    """
    height, width, tile, overlap = shape[0], shape[1], recipe.tile, recipe.overlap
    if tile is None:
        return [centre_box(shape, recipe)]
    count = len(_starts(height, tile, overlap)) * len(_starts(width, tile, overlap))
    if count > MOST_TILES:
        raise ImageError(
            f"an image of {width} x {height} pixels would be cut into {count:,} tiles of {tile} "
            f"pixels that overlap by {overlap:g}, more than {MOST_TILES:,}; train a model with "
            "larger tiles"
        )
    return tile_boxes(height, width, tile, overlap)


def crops(image: NDArray[np.uint8], recipe: Recipe) -> Iterator[Crop]:
    """Yield what the model sees of an image: the whole or its centre once, or each tile.

    `image` is uint8 [H, W] or [H, W, 3]; a grey image becomes RGB only tile by tile.
    Raises ImageError as `fit` and `crop_boxes` do.
    """
    for box in crop_boxes(image.shape, recipe):
        top, left, bottom, right = box
        tensor, valid = fit(image[top:bottom, left:right], recipe)
        yield Crop(box, tensor, valid)


def stitch(
    maps: Iterable[NDArray[np.float32]], boxes: Sequence[Box], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Blend the maps of overlapping tiles into one map of the image, float32 [H, W].

    Each map is [h, w] of its box in original pixels (`unfit` to `Crop.shape`). Where tiles overlap
    their weights fall linearly towards each tile's border and never reach zero. A single map of the
    whole image is returned as it is.
    Raises ValueError when maps and boxes do not match in number or leave a pixel uncovered.
    """
    if list(boxes) == [(0, 0, shape[0], shape[1])]:
        (whole,) = maps
        return whole
    total = np.zeros((shape[0], shape[1]), np.float32)
    weights = np.zeros_like(total)
    for map_, (top, left, bottom, right) in zip(maps, boxes, strict=True):
        weight = np.outer(_ramp(bottom - top), _ramp(right - left))
        total[top:bottom, left:right] += weight * map_
        weights[top:bottom, left:right] += weight
    if not weights.all():
        raise ValueError("the boxes do not cover the image")
    total /= weights
    return total


def surround(map_: NDArray[np.float32], box: Box, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The map of a piece, [h, w] of its box, as one of the image, float32 [H, W].

    Around the box it takes the lowest value: nothing was found there, for nobody looked.
    """
    if box == (0, 0, shape[0], shape[1]):
        return map_
    top, left, bottom, right = box
    whole = np.full((shape[0], shape[1]), map_.min(), np.float32)
    whole[top:bottom, left:right] = map_
    return whole


def _ramp(size: int) -> NDArray[np.float32]:
    """Weights along one side of a tile: 1 in the middle, falling towards both ends, above 0."""
    position = np.arange(size)
    ramp = (np.minimum(position, size - 1 - position) + 1) / ((size + 1) // 2)
    return ramp.astype(np.float32)
