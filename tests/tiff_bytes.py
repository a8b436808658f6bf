"""A writer of compressed TIFFs for the tests: strips or tiles, planes, predictors, both orders."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import Any, Literal

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

CODES = {"packbits": 32773, "tiff_lzw": 5, "zstd": 50000, "lzma": 34925, "deflate": 8}
CODES |= {"old deflate": 32946}

Encode = Callable[[bytes], bytes]
Pixels = np.ndarray[Any, Any]


def encoder(codec: str) -> Encode:
    """What makes a strip of bytes: zlib, and for the other codecs libtiff."""
    return zlib.compress if "deflate" in codec else partial(_by_libtiff, codec=codec)


def compressed_tiff(
    pixels: Pixels,
    codec: str,
    *,
    encode: Encode | None = None,
    rows: int | None = None,
    tile: tuple[int, int] | None = None,
    planar: bool = False,
    predictor: Literal[1, 2, 3] = 1,
    order: Literal["<", ">"] = "<",
    tags: dict[int, tuple[int, ...]] | None = None,
) -> bytes:
    """Pixels [H, W] or [H, W, channels], in strips of `rows` rows or tiles of (height, width).

    `encode` is called with the bytes of each strip; `tags` come on top of those that are due.
    """
    encode = encode or encoder(codec)
    height, width = pixels.shape[:2]
    step_y, step_x = tile or (rows or height, width)
    planes = np.moveaxis(np.atleast_3d(pixels), -1, 0)[..., None] if planar else [pixels]
    strips = []
    for plane in planes:
        for y in range(0, height, step_y):
            for x in range(0, width, step_x):
                part = np.atleast_3d(plane[y : y + step_y, x : x + step_x])
                if tile:
                    missing = step_y - part.shape[0], step_x - part.shape[1]
                    part = np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)))
                strips.append(encode(_stored(part, predictor, order)))
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    fields = {
        256: (width,),
        257: (height,),
        258: (8 * pixels.itemsize,) * channels,
        259: (CODES[codec],),
        262: (2 if channels > 2 else 1,),
        277: (channels,),
        284: (2 if planar else 1,),
        317: (predictor,),
        339: ({"u": 1, "i": 2, "f": 3}[pixels.dtype.kind],) * channels,
    }
    fields |= {322: (step_x,), 323: (step_y,)} if tile else {278: (step_y,)}
    if channels in (2, 4):
        fields[338] = (2,)
    return tiff_of_strips(fields | (tags or {}), strips, order)


def tiff_of_strips(
    tags: dict[int, tuple[int, ...]],
    strips: Sequence[bytes],
    order: Literal["<", ">"] = "<",
    over: dict[int, tuple[int, ...]] | None = None,
) -> bytes:
    """A TIFF of tags and of strips, or tiles, that are compressed already.

    `over` goes over all of them; without values it takes a tag away.
    """
    offsets, sizes = (324, 325) if 322 in tags else (273, 279)
    starts = np.cumsum([8, *map(len, strips)])
    listed = tags | {offsets: tuple(starts[:-1]), sizes: tuple(map(len, strips))} | (over or {})
    at = int(starts[-1])
    listed = {tag: numbers for tag, numbers in listed.items() if numbers}
    entries, values = struct.pack(order + "H", len(listed)), b""
    values_at = at + 2 + 12 * len(listed) + 4
    for tag, numbers in sorted(listed.items()):
        content = struct.pack(f"{order}{len(numbers)}I", *map(int, numbers))
        entries += struct.pack(order + "HHI", tag, 4, len(numbers))
        if len(content) == 4:
            entries += content
        else:
            entries += struct.pack(order + "I", values_at + len(values))
            values += content
    mark = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, at)
    return mark + b"".join(strips) + entries + bytes(4) + values


def strips_of(data: bytes) -> list[slice]:
    """Where the strips or tiles of a TIFF lie in it."""
    tags = TiffImageFile(BytesIO(data)).tag_v2
    places = zip(tags.get(273, tags.get(324)), tags.get(279, tags.get(325)), strict=True)
    return [slice(start, start + length) for start, length in places]


def _by_libtiff(content: bytes, codec: str) -> bytes:
    file = BytesIO()
    Image.frombytes("L", (len(content), 1), content).save(file, "TIFF", compression=codec)
    (strip,) = strips_of(file.getvalue())
    return file.getvalue()[strip]


def _stored(part: Pixels, predictor: int, order: str) -> bytes:
    """The bytes of a strip [h, w, channels] as a codec is given them."""
    if predictor == 3:
        height, width, channels = part.shape
        by_byte = part.astype(">f4").view(np.uint8).reshape(height, width * channels, 4)
        planes = by_byte.transpose(0, 2, 1).reshape(height, -1)
        return _differences(planes, channels).tobytes()
    if predictor == 2:
        height, width, channels = part.shape
        part = _differences(part.reshape(height, -1), channels)
    return part.astype(part.dtype.newbyteorder(order)).tobytes()


def _differences(rows: Pixels, step: int) -> Pixels:
    changed = rows.copy()
    changed[:, step:] -= rows[:, :-step]
    return changed
