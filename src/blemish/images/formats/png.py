"""PNG: every checksum is compared, and the stream of pixels must be whole.

The stream is inflated here, once. Pillow would notice neither a wrong checksum at its end nor
pixels that are missing or too many; it is left the filters, from a stream of stored blocks.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blemish.images.formats._header import Header, MaskPixels, NotRead, Picture, size_of
from blemish.images.formats._pillow import (
    bytes_a_pixel,
    mask_pixels_of,
    pixels_of,
    refuse_beyond_palette,
    varying,
)

NAME = "PNG"
MAGIC = (b"\x89PNG\r\n\x1a\n",)
SUFFIXES = (".png",)
LOSSLESS = True

_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_SAMPLES = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGB_ALPHA: 4}
# Pillow's mode and raw mode of each colour type and its bits.
_MODES = {
    (_GREY, 1): ("1", "1"),
    (_GREY, 2): ("L", "L;2"),
    (_GREY, 4): ("L", "L;4"),
    (_GREY, 8): ("L", "L"),
    (_GREY, 16): ("I;16", "I;16B"),
    (_RGB, 8): ("RGB", "RGB"),
    (_RGB, 16): ("RGB", "RGB;16B"),
    (_PALETTE, 1): ("P", "P;1"),
    (_PALETTE, 2): ("P", "P;2"),
    (_PALETTE, 4): ("P", "P;4"),
    (_PALETTE, 8): ("P", "P"),
    (_GREY_ALPHA, 8): ("LA", "LA"),
    (_GREY_ALPHA, 16): ("RGBA", "RGBA"),  # of a pixel's four bytes the first two are its grey
    (_RGB_ALPHA, 8): ("RGBA", "RGBA"),
    (_RGB_ALPHA, 16): ("RGBA", "RGBA;16B"),
}
# Left, top and the two steps of each pass over an interlaced picture.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_BLOCK = (1 << 16) - 1  # the most that a stored block holds
_MOST_INFLATED = 1032  # times the bytes of a deflate stream
_MOST_CHUNKS = 10_000  # and one for each _CHUNK bytes of the file
_CHUNK = 1024
_LONGEST_CHUNK = (1 << 31) - 1  # by the specification
_LONGEST_PALETTE = 3 << 8
_MOST_NOTES = 1 << 28  # bytes of chunks without pixels
_NOTE = 1 << 13  # bytes that looking at one more of them costs


@dataclass(frozen=True)
class _Declared:
    """The first chunk of a file."""

    width: int
    height: int
    bits: int
    colour: int
    interlaced: bool

    @property
    def deep_colour(self) -> bool:
        """16 bits, which Pillow keeps for grey alone."""
        return self.bits == 16 and self.colour != _GREY

    @property
    def pixel_bits(self) -> int:
        return self.bits * _SAMPLES[self.colour]

    @property
    def stream(self) -> int:
        """The bytes that the stream inflates to: rows, each with the number of its filter."""
        if not self.interlaced:
            return self.height * (1 + -(-self.width * self.pixel_bits // 8))
        size = 0
        for left, top, right, down in _PASSES:
            width, height = -(-(self.width - left) // right), -(-(self.height - top) // down)
            if width > 0 and height > 0:
                size += height * (1 + -(-width * self.pixel_bits // 8))
        return size


def picture(file: BinaryIO) -> Picture:
    """Read the chunks before the pixels. Raises NotRead for an animation.

    Its pixels raise ValueError, EOFError or zlib.error for damage.
    """
    declared = _declared(file)
    for kind, length in _chunks(file):
        if kind == b"acTL":
            frames = int.from_bytes(file.read(min(length, 4)), "big")
            if frames > 1:
                raise NotRead(f"holds {frames} pages; save each page as a file of its own")
        elif kind == b"IDAT":
            break
    channels = 1 if declared.colour in (_GREY, _GREY_ALPHA) else 3
    pixels = declared.width * declared.height
    mode, _ = _MODES[declared.colour, declared.bits]
    array = pixels * channels * (2 if declared.bits == 16 else 1)
    # Beside Pillow's image there is the stream, then the array; a deep one has two halves.
    halves = 2 if declared.deep_colour else 1
    header = Header(
        declared.width,
        declared.height,
        channels,
        "uint16" if declared.bits == 16 else "uint8",
        memory=pixels * bytes_a_pixel(mode) * halves + max(declared.stream, array * halves),
        capacity=_MOST_INFLATED * size_of(file) * 8 // declared.pixel_bits,
    )
    return Picture(header, partial(_pixels, file, declared), partial(_mask_pixels, file, declared))


def _pixels(file: BinaryIO, declared: _Declared) -> NDArray[Any]:
    stored, palette = _content(file, declared)
    if declared.deep_colour:
        return _deep(declared, stored)[0]
    return pixels_of(_image(declared, stored, palette))


def _mask_pixels(file: BinaryIO, declared: _Declared) -> MaskPixels:
    stored, palette = _content(file, declared)
    if declared.deep_colour:
        values, high = _deep(declared, stored)
        channel = {_GREY_ALPHA: "B", _RGB_ALPHA: "A"}.get(declared.colour)
        return MaskPixels(values, None if channel is None else varying(high, channel))
    return mask_pixels_of(_image(declared, stored, palette))


def _content(file: BinaryIO, declared: _Declared) -> tuple[_Stored, bytes]:
    """The whole stream of pixels, and the palette."""
    stored = _Stored(declared.stream)
    palette, notes, seen = b"", 0, set[bytes]()
    for kind, length in _chunks(file):
        _refuse_out_of_place(kind, length, seen)
        seen.add(kind)
        content = _checked(file, kind, length)
        if kind == b"IDAT":
            stored.take(content)
        elif kind == b"PLTE":
            palette = b"".join(content)
        else:
            notes += length + _NOTE
            if notes > _MOST_NOTES:
                raise NotRead("holds far more than its pixels; save it anew, without notes")
            deque(content, maxlen=0)
    stored.refuse_unfinished()
    return stored, palette


def _image(declared: _Declared, stored: _Stored, palette: bytes) -> Image.Image:
    mode, raw_mode = _MODES[declared.colour, declared.bits]
    image = _unfiltered(declared, stored.stream, mode, raw_mode)
    stored.stream.clear()
    if mode == "P":
        refuse_beyond_palette(image, len(palette) // 3)
        image.putpalette(palette)
    return image


def _refuse_out_of_place(kind: bytes, length: int, seen: set[bytes]) -> None:
    """Raise for a chunk that a picture needs and that cannot be where it is; `seen` are before it.

    ValueError where there is another of its kind or it is too late, NotRead for an unknown one. The
    kinds of chunks that may be left out begin with a small letter.
    """
    if kind[0] & 0x20 or kind == b"IDAT":
        return
    if kind == b"IHDR":
        wrong = bool(seen)
    elif kind == b"PLTE":
        wrong = length % 3 > 0 or length > _LONGEST_PALETTE or bool(seen & {b"PLTE", b"IDAT"})
    elif kind == b"IEND":
        wrong = length > 0
    else:
        raise NotRead(f"needs a chunk {kind.decode('latin-1')!r}, which is not known; save it anew")
    if wrong:
        raise ValueError(f"{kind.decode()!r} where it cannot be")


def _declared(file: BinaryIO) -> _Declared:
    file.seek(len(MAGIC[0]))
    length, kind = _chunk_head(file)
    content = file.read(13)
    if (kind, length) != (b"IHDR", 13):
        raise ValueError("it does not begin with its header")
    if len(content) < 13:
        raise EOFError("cut off")
    width, height, bits, colour, deflate, filters, interlaced = struct.unpack(">IIBBBBB", content)
    if not width or not height:
        raise ValueError(f"{width} x {height} pixels")
    if (colour, bits) not in _MODES or deflate or filters or interlaced > 1:
        raise ValueError("a header that no PNG has")
    return _Declared(width, height, bits, colour, bool(interlaced))


def _chunk_head(file: BinaryIO) -> tuple[int, bytes]:
    head = file.read(8)
    if len(head) < 8:
        raise EOFError("cut off")
    return int.from_bytes(head[:4], "big"), head[4:]


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The kind and length of each chunk up to IEND, with the file at the chunk's content."""
    position = len(MAGIC[0])
    for _ in range(_MOST_CHUNKS + size_of(file) // _CHUNK):
        file.seek(position)
        length, kind = _chunk_head(file)
        if length > _LONGEST_CHUNK:
            raise ValueError("a chunk that is longer than any")
        yield kind, length
        if kind == b"IEND":
            return
        position += 12 + length
    raise ValueError("chunks without end")


def _checked(file: BinaryIO, kind: bytes, length: int) -> Iterator[bytes]:
    """The content of a chunk in blocks; ValueError after the last where its checksum is wrong."""
    checksum = zlib.crc32(kind)
    while length > 0:
        block = file.read(min(length, _BLOCK))
        if not block:
            raise EOFError("cut off")
        checksum = zlib.crc32(block, checksum)
        length -= len(block)
        yield block
    end = file.read(4)
    if len(end) < 4:
        raise EOFError("cut off")
    if end != checksum.to_bytes(4, "big"):
        raise ValueError(f"wrong checksum of {kind.decode('latin-1')!r}")


class _Stored:
    """A deflate stream made one of stored blocks, which costs nothing to inflate again."""

    def __init__(self, size: int) -> None:
        self.stream = bytearray(b"\x78\x01")
        self._left = size
        self._inflate = zlib.decompressobj()

    def take(self, blocks: Iterable[bytes]) -> None:
        """Inflate more of it. Raises ValueError, or zlib.error, as soon as it is wrong."""
        for block in blocks:
            waiting = block
            while True:
                room = min(self._left, _BLOCK)
                piece = self._inflate.decompress(waiting, room or 1)
                if len(piece) > room or self._inflate.unused_data:
                    raise ValueError("more pixels than declared")
                waiting = self._inflate.unconsumed_tail
                if not piece and not waiting:
                    break
                self._left -= len(piece)
                self.stream += b"\0" + struct.pack("<HH", len(piece), len(piece) ^ 0xFFFF)
                self.stream += piece

    def refuse_unfinished(self) -> None:
        """Raise ValueError for pixels, an end or a checksum that did not come."""
        if self._left or not self._inflate.eof:
            raise ValueError("fewer pixels than declared")


def _unfiltered(declared: _Declared, stream: bytearray, mode: str, raw_mode: str) -> Image.Image:
    size = declared.width, declared.height
    return Image.frombytes(mode, size, stream, "zip", raw_mode, int(declared.interlaced))


def _deep(declared: _Declared, stored: _Stored) -> tuple[NDArray[np.uint16], Image.Image]:
    """16-bit colour, or grey with alpha, which Pillow decodes by halves; and the image of the high.

    Of grey with alpha that image has both halves, of the grey and then of alpha.
    """
    mode, raw_mode = _MODES[declared.colour, declared.bits]
    high = _unfiltered(declared, stored.stream, mode, raw_mode)
    if declared.colour == _GREY_ALPHA:
        stored.stream.clear()
        grey = np.asarray(high)[:, :, :2].copy().view(">u2")[:, :, 0]
        return grey.astype(np.uint16), high
    low = _unfiltered(declared, stored.stream, mode, raw_mode.replace("16B", "16L"))
    stored.stream.clear()
    pixels = pixels_of(high).astype(np.uint16)
    pixels <<= 8
    pixels |= pixels_of(low)
    return pixels, high
