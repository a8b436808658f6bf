"""Pictures of a table at the model's scale, with their masks, and where in them a defect lies."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.images import Recipe, centre_box, fit, read_eight_bit, read_mask

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

KEPT_BYTES = 512 << 20  # of pictures that were read, kept for the next time
POINT_PIXELS = 16  # a mask of fewer pixels is a point: it says where, but not how far


@dataclass(frozen=True, eq=False)
class Picture:
    """uint8 [h, w] or [h, w, 3] at the model's scale, and its mask, bool [h, w], where known.

    `spots` are the pixels (row, column) of each connected piece of the mask, or of the point.
    """

    pixels: Pixels
    mask: Mask | None
    spots: tuple[npt.NDArray[np.int64], ...]


@dataclass(eq=False)
class Pictures:
    """The pictures of `rows`, brought to the scale at which the model of `recipe` sees them.

    With tiles of as many pixels as the model's input has, that is the scale of the file. A picture
    with a side below `least` pixels is continued at its end by its last rows and columns. What was
    read lately stays in memory.
    """

    rows: Dataset
    recipe: Recipe
    least: int
    _kept: OrderedDict[int, Picture] = field(default_factory=OrderedDict, init=False)
    _bytes: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        """Look up the paths, once."""
        self._files = list(zip(self.rows.images, self.rows.masks, strict=True))

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self._files)

    def __getitem__(self, number: int) -> Picture:
        """The picture of a row; ImageError for a file that cannot be read."""
        with self._lock:
            if (known := self._kept.get(number)) is not None:
                self._kept.move_to_end(number)
                return known
        picture = self._read(number)
        with self._lock:
            self._kept[number] = picture
            self._bytes += _size(picture)
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                self._bytes -= _size(self._kept.popitem(last=False)[1])
        return picture

    def _read(self, number: int) -> Picture:
        image, mask_file = self._files[number]
        pixels = read_eight_bit(image, self.recipe.window)
        mask = None if mask_file is None else read_mask(mask_file, pixels.shape[:2])
        if mask is None or not mask.any():
            return Picture(self._filled(self._scaled(pixels)), None, ())
        is_point = int(mask.sum()) < POINT_PIXELS
        pixels = self._scaled(pixels)
        shown = np.ascontiguousarray(self._scaled(mask.astype(np.uint8) * 255) > 0)
        count, labels = cv2.connectedComponents(shown.astype(np.uint8))
        spots = tuple(np.argwhere(labels == piece) for piece in range(1, count))
        filled = None if is_point else self._filled(shown.astype(np.uint8), repeat=False) > 0
        return Picture(self._filled(pixels), filled, spots)

    def _scaled(self, pixels: Pixels) -> Pixels:
        """A picture or a mask of 0 and 255 at the model's scale."""
        recipe = self.recipe
        if recipe.tile is not None:
            if recipe.tile == recipe.height:
                return pixels
            scale = recipe.height / recipe.tile
            size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            return _pixels(cv2.resize(pixels, size, interpolation=how))
        top, left, bottom, right = centre_box(pixels.shape, recipe)
        tensor, valid = fit(np.ascontiguousarray(pixels[top:bottom, left:right]), recipe)
        fitted = tensor[: int(valid[2]), : int(valid[3])]
        return np.ascontiguousarray(fitted if pixels.ndim == 3 else fitted[:, :, 0])

    def _filled(self, pixels: Pixels, *, repeat: bool = True) -> Pixels:
        """At least so many rows and columns as a patch has."""
        down, across = (max(0, self.least - side) for side in pixels.shape[:2])
        if not (down or across):
            return pixels
        how = cv2.BORDER_REPLICATE if repeat else cv2.BORDER_CONSTANT
        return _pixels(cv2.copyMakeBorder(pixels, 0, down, 0, across, how, value=0))


def _pixels(array: Any) -> Pixels:
    return np.asarray(array, np.uint8)


def _size(picture: Picture) -> int:
    spots = sum(spot.nbytes for spot in picture.spots)
    return picture.pixels.nbytes + spots + (0 if picture.mask is None else picture.mask.nbytes)
