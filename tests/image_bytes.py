"""Writers of image files for the tests, of kinds that Pillow itself does not write."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any, Literal

import numpy as np
from PIL import Image


def encoded(image: Image.Image | np.ndarray, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(
    pixels: np.ndarray, order: Literal["<", ">"] = "<", photometric: int = 1, planar: int = 1
) -> bytes:
    """An uncompressed TIFF of one strip, written from the specification."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    sample_format = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    stored = np.moveaxis(pixels, -1, 0) if planar == 2 else pixels
    data = stored.astype(pixels.dtype.newbyteorder(order)).tobytes()
    parts = channels if planar == 2 else 1
    bits, starts, sizes = 8, 8 + 2 * channels, 8 + 2 * channels + 4 * parts
    start = sizes + 4 * parts
    length = len(data) // parts
    head = struct.pack(order + f"{channels}H", *[8 * pixels.itemsize] * channels)
    head += struct.pack(order + f"{parts}I", *[start + k * length for k in range(parts)])
    head += struct.pack(order + f"{parts}I", *[length] * parts)
    short, long = 3, 4
    entries = [
        (256, long, 1, pixels.shape[1]),
        (257, long, 1, pixels.shape[0]),
        (258, short, channels, bits if channels > 1 else 8 * pixels.itemsize),
        (259, short, 1, 1),
        (262, short, 1, photometric),
        (273, long, parts, starts if parts > 1 else start),
        (277, short, 1, channels),
        (278, long, 1, pixels.shape[0]),
        (279, long, parts, sizes if parts > 1 else length),
        (284, short, 1, planar),
        (339, short, 1, sample_format),
    ]
    directory = struct.pack(order + "H", len(entries))
    for tag, kind, count, value in entries:
        packed = struct.pack(
            order + ("HH" if kind == short and count == 1 else "I"),
            value,
            *([0] if kind == short and count == 1 else []),
        )
        directory += struct.pack(order + "HHI", tag, kind, count) + packed
    mark = b"II" if order == "<" else b"MM"
    return (
        mark + struct.pack(order + "HI", 42, start + len(data)) + head + data + directory + bytes(4)
    )


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png_of(header: bytes, data: bytes, palette: bytes = b"", before: bytes = b"") -> bytes:
    """A PNG of one header and compressed rows, written from the specification."""
    chunks = [(b"IHDR", header), *([(b"PLTE", palette)] if palette else [])]
    head = b"".join(png_chunk(*chunk) for chunk in chunks)
    return b"\x89PNG\r\n\x1a\n" + head + before + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def png16(pixels: np.ndarray, colour_type: int) -> bytes:
    """A 16-bit PNG without filters."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return png_of(header, zlib.compress(rows))


def bmp(
    width: int,
    height: int,
    data: bytes,
    *,
    bits: int = 8,
    compression: int = 0,
    palette: bytes = b"",
    size: int | None = None,
) -> bytes:
    """A BMP of rows or run lengths, written from the specification; `size` is what it declares."""
    start = 54 + len(palette)
    head = struct.pack("<IiiHHI", 40, width, height, 1, bits, compression)
    head += struct.pack("<IiiII", len(data) if size is None else size, 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + palette + data
