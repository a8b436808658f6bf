"""The pixels of an image that Pillow has decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blemish.images.formats._header import MaskPixels

_BAND_PIXELS = 1 << 18
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}


def bytes_a_pixel(mode: str) -> int:
    """What a pixel of a mode takes inside of Pillow."""
    return _BYTES.get(mode, 4)


def pixels_of(image: Image.Image) -> NDArray[Any]:
    """Copy a decoded image into an array, in bands, so that no second whole copy is made."""
    width, height = image.size
    rows = max(1, _BAND_PIXELS // width)
    first = _band(image, 0, min(rows, height))
    pixels = np.empty((height, *first.shape[1:]), first.dtype.newbyteorder("="))
    pixels[:rows] = first
    for top in range(rows, height, rows):
        pixels[top : top + rows] = _band(image, top, min(top + rows, height))
    return pixels


def mask_pixels_of(image: Image.Image) -> MaskPixels:
    """A decoded image as a mask: a palette is not expanded, and alpha is kept where it varies."""
    if image.mode in ("P", "PA"):
        indices = np.asarray(image)
        if image.mode == "PA":
            indices = indices[:, :, 0]
        palette = bytes(image.getpalette() or ())
        return MaskPixels(np.ascontiguousarray(indices), indexed=not is_grey_scale(palette))
    alpha = varying(image, "A") if image.mode in ("LA", "RGBA") else None
    return MaskPixels(pixels_of(image), alpha)


def is_grey_scale(palette: bytes) -> bool:
    """Whether each colour of an RGB palette is the grey of its index."""
    return palette == bytes(grey for grey in range(len(palette) // 3) for _ in range(3))


def varying(image: Image.Image, channel: str) -> NDArray[Any] | None:
    """A channel of an image [H, W]; None where it is the same everywhere."""
    values = image.getchannel(channel)
    low, high = values.getextrema()
    return None if low == high else pixels_of(values)


def refuse_beyond_palette(image: Image.Image, colours: int) -> None:
    """Raise ValueError where a pixel names a colour that a palette of `colours` does not have."""
    _, highest = image.getextrema()
    if isinstance(highest, (int, float)) and highest >= colours:
        raise ValueError(f"colour {highest} of a palette of {colours}")


def _band(image: Image.Image, top: int, bottom: int) -> NDArray[Any]:
    """Rows of a Pillow image as [h, w] or [h, w, 3], without alpha."""
    band = image.crop((0, top, image.width, bottom))
    if band.mode == "PA":
        band = band.convert("RGBA")
    if band.mode == "P":
        band = band.convert("RGB")
    values = np.asarray(band)
    if band.mode == "1":
        return values.astype(np.uint8) * np.uint8(255)
    if values.ndim == 3:
        values = values[:, :, 0] if band.mode == "LA" else values[:, :, :3]
    return values
