"""A mask never claims what cannot be seen: the one rule that every generator's changes pass.

A pixel counts as changed where it differs from the image by more than the *bound*: three grey
levels, or the local noise where that is more. The mask holds all such pixels that belong to a
visible spot, with the gaps between them; other spots are put back. So outside the mask no pixel
differs by more than the bound.

A spot is visible when it has at least six pixels, and its mean change, after a mean over 3 x 3
pixels that levels mere grain, is at least six grey levels and at least the local noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.errors import ImageError
from blemish.synthesis.base import Mask, Pixels, Synthetic

Floats = npt.NDArray[np.float32]

TRIES = 10
LEAST_PIXELS = 6
LEAST_LEVELS = 3.0  # a smaller step is seen by nobody
LEAST_CONTRAST = 6.0  # grey levels
_GRAIN = (9, 9)  # finer than this is grain: the size of a small defect
_AROUND = 8  # pixels around a change that tell its local noise
_SAMPLE = 1 << 14  # pixels that are enough for a median or a range


@dataclass(frozen=True)
class Greys:
    """The grey values of an image: black, one level, and the highest value that it can have.

    In 8 bits 0, 1 and 255. In 16 bits the lowest value that the image uses, a 255th of the range
    from there to the highest, and the lowest power of two above all its values, less one: 4095 for
    12 bits.
    """

    black: float
    level: float
    top: int

    @classmethod
    def of(cls, image: Pixels) -> Greys:
        """Raises ImageError for an array that no generator takes."""
        _refuse_other(image)
        if image.dtype == np.uint8:
            return cls(0.0, 1.0, 255)
        low, high = np.quantile(_thinned(image), [0.001, 0.999])
        top = max(255, (1 << int(image.max()).bit_length()) - 1)
        return cls(float(low), max(1.0, float(high - low) / 255), top)


@dataclass(frozen=True, eq=False)
class PixelChange:
    """New values, float32 [h, w] or [h, w, 3], of the window at (top, left), and its noise.

    Changed pixels less than `gap` apart are one spot, and the mask holds what lies between: of a
    pasted piece some pixels happen to be as they were.
    """

    top: int
    left: int
    pixels: Floats
    noise: float
    gap: int = 3


def first_visible(image: Pixels, draw: Callable[[Greys], PixelChange | None]) -> Synthetic:
    """The first of ten drawn changes that can be seen; else the image as it is, and no mask."""
    greys = Greys.of(image)
    mask = np.zeros(image.shape[:2], bool)
    for _ in range(TRIES):
        change = draw(greys)
        if change is None:
            continue
        rows = slice(change.top, change.top + change.pixels.shape[0])
        columns = slice(change.left, change.left + change.pixels.shape[1])
        before = np.ascontiguousarray(image[rows, columns])
        after = np.rint(np.clip(change.pixels, 0, greys.top)).astype(image.dtype)
        seen, put_back = _seen(before, after, change, greys)
        if not seen.any():
            continue
        after[put_back] = before[put_back]
        altered = np.array(image, order="C")
        altered[rows, columns] = after
        mask[rows, columns] = seen
        return Synthetic(altered, mask)
    return Synthetic(np.array(image, order="C"), mask)


def bound(noise: float, greys: Greys) -> float:
    """The largest change of a pixel outside the mask."""
    return max(noise, LEAST_LEVELS * greys.level)


def noise_of(pixels: npt.NDArray[Any]) -> float:
    """The standard deviation of the grain: 1.4826 times the MAD of what a mean of 9 x 9 takes off.

    Of colours that of the noisiest channel.
    """
    values = pixels.astype(np.float32)
    high = _thinned(values - cv2.blur(values, _GRAIN)).reshape(-1, *values.shape[2:])
    deviation = np.median(np.abs(high - np.median(high, axis=0)), axis=0)
    return float(1.4826 * deviation.max())


def around(image: Pixels, top: int, left: int, bottom: int, right: int) -> Pixels:
    """The window with a few pixels on each side, for its noise."""
    rows = slice(max(0, top - _AROUND), bottom + _AROUND)
    return image[rows, max(0, left - _AROUND) : right + _AROUND]


def _seen(before: Pixels, after: Pixels, change: PixelChange, greys: Greys) -> tuple[Mask, Mask]:
    """The mask of the visible spots, and the changed pixels that belong to none."""
    step = after.astype(np.float32) - before.astype(np.float32)
    changed = _largest(step) > bound(change.noise, greys)
    near = np.ones((change.gap, change.gap), np.uint8)
    closed = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_CLOSE, near)
    count, labels = cv2.connectedComponents(closed, connectivity=8)
    spots = labels.ravel()
    area = np.bincount(spots, minlength=count)
    smooth = _largest(cv2.blur(step, (3, 3)))
    contrast = np.bincount(spots, smooth.ravel(), minlength=count) / np.maximum(area, 1)
    least = max(change.noise, LEAST_CONTRAST * greys.level)
    visible = (area >= LEAST_PIXELS) & (contrast >= least)
    visible[0] = False
    seen = visible[labels]
    return seen, changed & ~seen


def _largest(step: npt.NDArray[Any]) -> Floats:
    size = np.abs(step)
    return np.asarray(size.max(axis=2) if size.ndim == 3 else size, np.float32)


def _thinned(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Every n-th row and column, so that about `_SAMPLE` pixels are left."""
    every = max(1, int(np.sqrt(pixels.shape[0] * pixels.shape[1] / _SAMPLE)))
    return pixels[::every, ::every]


def _refuse_other(image: Pixels) -> None:
    shape = list(np.shape(image))
    if shape[2:] not in ([], [3]) or len(shape) < 2 or 0 in shape:
        raise ImageError(f"a defect is drawn on pixels [H, W] or [H, W, 3], not on {shape}")
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"a defect is drawn on uint8 or uint16 pixels, not on {image.dtype}; "
            "convert the image first"
        )
