"""Images of a data set resized to the model's scale, with their masks and the pixels of defects."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.dataset.image_header import sizes_below
from blemish.errors import DatasetError
from blemish.images import Recipe, crop_boxes, fit, hdf5, read_eight_bit, read_mask
from blemish.images.geometry import resize

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

KEPT_BYTES = 512 << 20  # size of the cache of images
SIZES = 32  # pixels: a model's side is a multiple of so many
POINT_PIXELS = 16  # a mask of fewer pixels is a point: it says where, but not how far


@dataclass(frozen=True, eq=False)
class ScaledImage:
    """An image at the model's scale, uint8 [h, w] or [h, w, 3]; its mask, bool [h, w], if known.

    `spots` are the pixels (row, column) of each connected piece of the mask, or of the point.
    """

    pixels: Pixels
    mask: Mask | None
    spots: tuple[npt.NDArray[np.int64], ...]


@dataclass(eq=False)
class ScaledImages:
    """The images of `rows`, resized to the scale at which the model of `recipe` sees them.

    With tiles of as many pixels as the model's input has, that is the scale of the file; a side
    shorter than a tile is stretched where the model's input stretches it, and continued at its end
    by its last rows and columns where the model's input is padded so, or where it has fewer than
    `least` pixels. The images read last stay in memory (a cache of `KEPT_BYTES`).
    """

    rows: Dataset
    recipe: Recipe
    least: int
    _kept: OrderedDict[int, ScaledImage] = field(default_factory=OrderedDict, init=False)
    _bytes: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        """Look up the paths, once."""
        self._files = list(zip(self.rows.images, self.rows.masks, strict=True))

    def __len__(self) -> int:
        """The number of images."""
        return len(self._files)

    def __getitem__(self, number: int) -> ScaledImage:
        """The image of a row; ImageError for a file that cannot be read."""
        with self._lock:
            if (known := self._kept.get(number)) is not None:
                self._kept.move_to_end(number)
                return known
        image = self._read(number)
        with self._lock:
            if (other := self._kept.pop(number, None)) is not None:  # read by two threads at once
                self._bytes -= _size(other)
            self._kept[number] = image
            self._bytes += _size(image)
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                self._bytes -= _size(self._kept.popitem(last=False)[1])
        return image

    @cached_property
    def _sizes(self) -> Callable[[str], tuple[int, int]]:
        return sizes_below(self.rows.root)

    def shape(self, number: int) -> tuple[int, int]:
        """Height and width of a scaled image, from its file's header; ImageError as there."""
        size = self._sizes(self.rows.table["image"][number])
        if self.recipe.tile is None:
            ((top, left, bottom, right),) = crop_boxes(size, self.recipe)
            size = bottom - top, right - left
        height, width = self._scaled_shape(size)
        rows, columns = self._least
        return max(height, rows), max(width, columns)

    @property
    def _least(self) -> tuple[int, int]:
        """The fewest rows and columns of an image, padding included."""
        if self.recipe.resize == "pad":
            return max(self.least, self.recipe.height), max(self.least, self.recipe.width)
        return self.least, self.least

    def _read(self, number: int) -> ScaledImage:
        image, mask_file = self._files[number]
        pixels = read_eight_bit(image, self.recipe.window)
        mask = None if mask_file is None else read_mask(mask_file, pixels.shape[:2])
        if mask is None or not mask.any():
            return ScaledImage(self._filled(self._scaled(pixels)), None, ())
        is_point = int(mask.sum()) < POINT_PIXELS
        pixels = self._scaled(pixels)
        # As floats, of which none becomes 0 where many pixels make one.
        shown = self._scaled(mask.astype(np.float32)) > 0
        if not shown.any():
            raise DatasetError(
                f"the defect of {image} lies in the rim that the model does not see; leave the "
                "image out, or cut off less"
            )
        count, labels = cv2.connectedComponents(shown.astype(np.uint8))
        spots = tuple(np.argwhere(labels == piece) for piece in range(1, count))
        filled = None if is_point else self._filled(shown.astype(np.uint8), repeat=False) > 0
        return ScaledImage(self._filled(pixels), filled, spots)

    def _scaled(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Grey values, colours or a mask at the model's scale."""
        if self.recipe.tile is None:
            ((top, left, bottom, right),) = crop_boxes(pixels.shape, self.recipe)
            pixels = pixels[top:bottom, left:right]
        height, width = self._scaled_shape(pixels.shape)
        if pixels.shape[:2] == (height, width):
            return np.ascontiguousarray(pixels)
        return np.ascontiguousarray(resize(pixels, height, width))

    def _scaled_shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The shape of an image, its rim cut off, at the scale of the model's tiles."""
        tile = self.recipe.tile
        seen = shape[:2] if tile is None else tuple(min(side, tile) for side in shape[:2])
        _, valid = fit(np.zeros(seen, np.uint8), self.recipe)
        height, width = (
            max(1, round(side * float(filled) / of))
            for side, filled, of in zip(shape[:2], valid[2:], seen, strict=True)
        )
        return height, width

    def _filled(self, pixels: Pixels, *, repeat: bool = True) -> Pixels:
        """At least so many rows and columns as a patch, or the padded input, has."""
        sides = zip(self._least, pixels.shape[:2], strict=True)
        down, across = (max(0, least - side) for least, side in sides)
        if not (down or across):
            return pixels
        how = cv2.BORDER_REPLICATE if repeat else cv2.BORDER_CONSTANT
        return _pixels(cv2.copyMakeBorder(pixels, 0, down, 0, across, how, value=0))


def refuse_small_patches(rows: Dataset, recipe: Recipe) -> None:
    """Refuse a stack of patches smaller than a tile: they would be magnified, and no plate is."""
    if recipe.tile is None:
        return
    for folder in sorted({name.rpartition("/")[0] for name in rows.table["image"]}):
        shape = hdf5.stack_shape(rows.root / folder)
        if shape is not None and max(shape) < recipe.tile:
            side = max(shape) // SIZES * SIZES
            way_out = "cut larger ones"
            if side:
                way_out = f"train with --size {side} --set patch_size={side}"
            raise DatasetError(
                f"{rows.root / folder} holds patches of {shape[1]} x {shape[0]} pixels, and the "
                f"model sees tiles of {recipe.tile}; {way_out}"
            )


def _pixels(array: Any) -> Pixels:
    return np.asarray(array, np.uint8)


def _size(image: ScaledImage) -> int:
    spots = sum(spot.nbytes for spot in image.spots)
    return image.pixels.nbytes + spots + (0 if image.mask is None else image.mask.nbytes)
