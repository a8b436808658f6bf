"""One fixed range of grey values that brings 16-bit and float images to 8 bits."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blemish.errors import ImageError
from blemish.images.reading import depth, read_image
from blemish.util.finite import is_usable

QUANTILE = 1e-4
MARGIN = 0.1


@dataclass(frozen=True)
class Window:
    """The grey values that become 0 and 255; what lies outside is clipped."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        usable = is_usable(self.low) and is_usable(self.high)
        if not (usable and self.low < self.high and is_usable(255 / (self.high - self.low))):
            raise ImageError(
                f"a window from {self.low} to {self.high} holds no grey values; "
                "low must be below high"
            )


def apply_window(image: NDArray[Any], window: Window) -> NDArray[np.uint8]:
    """Map grey values to uint8 of the same shape: low to 0, high to 255, clipped, rounded."""
    if image.dtype == np.uint16:
        return np.take(_to_eight_bit(np.arange(65536), window), image)
    return _to_eight_bit(image, window)


def _to_eight_bit(values: NDArray[Any], window: Window) -> NDArray[np.uint8]:
    scaled = values.astype(np.float32)
    scaled -= np.float32(window.low)
    scaled *= np.float32(255.0 / (window.high - window.low))
    np.clip(scaled, 0, 255, out=scaled)
    return np.rint(scaled, out=scaled).astype(np.uint8)


def find_window(paths: Iterable[str | os.PathLike[str]]) -> Window | None:
    """Choose one window for a whole set of images; None when all of them are 8-bit.

    From the lowest 0.01 % quantile of any image to the highest 99.99 % quantile, widened by a tenth
    of that range on each side, and kept inside 0 to 65535 for integers.
    Raises ImageError when images of different depth are mixed, or all pixels are of one grey.
    """
    files = [Path(path) for path in paths]
    first_of: dict[str, Path] = {}
    for path in files:
        first_of.setdefault(depth(path), path)
    if len(first_of) > 1:
        kinds = ", ".join(f"{path} is {kind}" for kind, path in sorted(first_of.items()))
        raise ImageError(f"the images differ in depth: {kinds}; save all of them in one depth")
    if not first_of or "uint8" in first_of:
        return None
    ranges = [_range(read_image(path)) for path in files]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if low == high:
        raise ImageError(
            f"{files[0]} and all images with it hold one grey value, {low:g}; check the camera"
        )
    margin = MARGIN * (high - low)
    if "uint16" in first_of:
        return Window(max(0.0, low - margin), min(65535.0, high + margin))
    return Window(low - margin, high + margin)


def _range(image: NDArray[Any]) -> tuple[float, float]:
    """The 0.01 % and the 99.99 % quantile: values that occur, never interpolated."""
    below = int(QUANTILE * (image.size - 1))
    above = image.size - 1 - below
    if image.dtype == np.uint16:
        ranks = np.cumsum(np.bincount(image.ravel(), minlength=65536))
        low, high = np.searchsorted(ranks, [below, above], side="right")
    else:
        low, high = np.partition(image, [below, above], axis=None)[[below, above]]
    return float(low), float(high)


def read_eight_bit(path: str | os.PathLike[str], window: Window | None = None) -> NDArray[np.uint8]:
    """Read an image as uint8, [H, W] when it is grey and [H, W, 3] when it is RGB.

    Raises ImageError as `read_image` does, for a 16-bit or float image without a window, and for an
    8-bit image with one.
    """
    return to_eight_bit(read_image(path), path, window)


def to_eight_bit(image: NDArray[Any], name: object, window: Window | None) -> NDArray[np.uint8]:
    """An image as it is stored, of that name, as uint8 of the same shape.

    Raises ImageError for a 16-bit or float image without a window, and for an 8-bit image with one.
    """
    if window is None and image.dtype != np.uint8:
        raise ImageError(
            f"{name} holds {image.dtype.name} pixels, but the model or data set is 8-bit; "
            "save it in 8 bits as the others were"
        )
    if window is not None and image.dtype == np.uint8:
        raise ImageError(
            f"{name} is 8-bit, but the model or data set is 16-bit or float, with a window from "
            f"{window.low:g} to {window.high:g}; save it in the depth of the others"
        )
    return image if window is None else apply_window(image, window)


def read_rgb(path: str | os.PathLike[str], window: Window | None = None) -> NDArray[np.uint8]:
    """Read an image as uint8 RGB [H, W, 3]; a grey one is repeated. Raises as `read_eight_bit`."""
    image = read_eight_bit(path, window)
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
