"""JPEG: what libjpeg warns of is an error, but for bytes that fill up the end of a scan.

Huffman codes have no checksum: most flipped bits give other pixels and no warning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from blemish.images.formats._header import Header, NotRead, Picture, size_of

NAME = "JPEG"
MAGIC = (b"\xff\xd8\xff",)
SUFFIXES = (".jpg", ".jpeg")
LOSSLESS = False

_START_OF_SCAN = 0xDA
_LOSSLESS_HUFFMAN = 0xC3
_HUFFMAN = {0xC0: 2, 0xC1: 2, 0xC2: 1, _LOSSLESS_HUFFMAN: 64}  # bits that a block takes at least
_ARITHMETIC = {0xC9, 0xCA}
_PROGRESSIVE = {0xC2, 0xCA}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment
_STRAY = "extraneous bytes before marker"
_MOST_SEGMENTS = 2_000  # before the first scan, each of at most 64 KiB
_MOST_FILL = 1000  # bytes before a marker
_MOST_SCANS = 32
_BLOCK = 1024  # bytes: 64 codes of at most 32 bits, of which each byte may be followed by a zero
_BESIDE_SCANS = 1 << 20  # bytes of tables, markers and stray bytes from the first scan on
_ARITHMETIC_PIXELS = 1 << 20  # that a byte may hold; the coder itself knows no bound
# Bytes of one value before a marker: before the end, or where decoding starts anew.
_FILL = re.compile(rb"((?:\xff\x00)?)(?:\x00+|(.)\2{3,})(?=\xff+[\xd0-\xd7\xd9])", re.DOTALL)


@dataclass(frozen=True)
class _Frame:
    """The segment that declares the size: `kind` is its marker, `sampling` that of each channel.

    `scanned` are the channels in the first scan, and `scans` is where it begins.
    """

    kind: int
    width: int
    height: int
    sampling: tuple[tuple[int, int], ...]
    scanned: int = 0
    scans: int = 0

    @property
    def one_scan(self) -> bool:
        """Whether the first scan is all, and libjpeg refuses another."""
        return self.kind not in _PROGRESSIVE and self.scanned == len(self.sampling)

    @property
    def longest(self) -> int:
        """The bytes of a file that can be of the picture; a camera may write others behind it."""
        times = 1 if self.one_scan else _MOST_SCANS
        return self.scans + times * _BLOCK * self.blocks + _BESIDE_SCANS

    @property
    def blocks(self) -> int:
        """Of 8 x 8 samples, in all channels."""
        most_across = max(across for across, _ in self.sampling)
        most_down = max(down for _, down in self.sampling)
        return sum(
            -(-self.width * across // (8 * most_across)) * -(-self.height * down // (8 * most_down))
            for across, down in self.sampling
        )


def picture(file: BinaryIO) -> Picture:
    """Read the frame's segment. Raises NotRead for CMYK, and for what libjpeg does not read.

    Its pixels raise ValueError for all that libjpeg warns of, and NotRead for very many scans.
    """
    frame = _frame(file)
    if len(frame.sampling) == 4:
        raise NotRead("is a CMYK image, made for print; save it as RGB or grey")
    size, pixels = min(size_of(file), frame.longest), frame.width * frame.height
    channels = 1 if len(frame.sampling) == 1 else 3
    if frame.kind in _ARITHMETIC:
        capacity = _ARITHMETIC_PIXELS * size
    else:
        capacity = size * 8 * pixels // max(1, frame.blocks * _HUFFMAN[frame.kind])
    coefficients = 0 if frame.one_scan else 128 * frame.blocks
    header = Header(
        frame.width,
        frame.height,
        channels,
        "uint8",
        memory=size + pixels * channels + coefficients,
        capacity=capacity,
    )
    return Picture(header, partial(_pixels, file, frame))


def _pixels(file: BinaryIO, frame: _Frame) -> NDArray[Any]:
    file.seek(0)
    data = file.read(frame.longest)
    if not frame.one_scan:
        _refuse_many_scans(data)
    grey = len(frame.sampling) == 1
    colours = "GRAY" if grey else "RGB"
    try:
        decoded = simplejpeg.decode_jpeg(data, colorspace=colours, strict=True)
    except ValueError as error:
        if _STRAY not in str(error):
            raise
        decoded = _without_stray(data, colours)
    return np.asarray(decoded[:, :, 0] if grey else decoded)


def _without_stray(data: bytes, colours: str) -> NDArray[np.uint8]:
    """Decode strictly without the bytes of one value that a camera fills up its scans with.

    The whole run goes, so that zeros in place of a scan's last codes go too, and are missed. Other
    bytes may be codes of pixels that were lost: NotRead.
    """
    try:
        filled = _FILL.sub(rb"\1", data)
        return np.asarray(simplejpeg.decode_jpeg(filled, colorspace=colours, strict=True))
    except ValueError as error:
        if _STRAY not in str(error):
            raise
        raise NotRead(
            f"is damaged, or its camera leaves bytes in it that no pixel needs ({error}); copy it "
            "again from its source, or let the camera save it in another format"
        ) from error


def _frame(file: BinaryIO) -> _Frame:
    """The frame, once the first scan begins. Raises EOFError or ValueError where there is none."""
    found: _Frame | None = None
    file.seek(2)
    for _ in range(_MOST_SEGMENTS):
        marker = _marker(file)
        if marker in _ALONE:
            continue
        length = int.from_bytes(_exactly(file, 2), "big") - 2
        if marker == _START_OF_SCAN and found:
            return replace(found, scanned=_exactly(file, 1)[0], scans=file.tell())
        if length < 0 or marker == _START_OF_SCAN:
            break
        if marker in _FRAMES:
            found = _frame_of(marker, _exactly(file, length))
        else:
            file.seek(length, 1)
    raise ValueError("no header")


def _marker(file: BinaryIO) -> int:
    if _exactly(file, 1) != b"\xff":
        raise ValueError("no marker where one should be")
    for _ in range(_MOST_FILL):
        if (marker := _exactly(file, 1)) != b"\xff":
            return marker[0]
    raise ValueError("no marker after many bytes of fill")


def _exactly(file: BinaryIO, count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise EOFError("cut off")
    return content


def _frame_of(kind: int, content: bytes) -> _Frame:
    if kind not in _HUFFMAN and kind not in _ARITHMETIC:
        raise NotRead(f"is a JPEG of kind {kind - 0xC0}; save it as a plain JPEG or as PNG")
    if len(content) < 6 or len(content) < 6 + 3 * content[5]:
        raise ValueError("a short header")
    if content[0] != 8:
        raise NotRead(f"is a JPEG with {content[0]} bits a sample; save it as PNG or TIFF")
    height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
    factors = [content[7 + 3 * channel] for channel in range(content[5])]
    sampling = tuple((factor >> 4, factor & 15) for factor in factors)
    if not (width and height and sampling) or not all(1 <= f <= 4 for s in sampling for f in s):
        raise ValueError("a header that no JPEG has")
    return _Frame(kind, width, height, sampling)


def _refuse_many_scans(data: bytes) -> None:
    """Raise NotRead where each of very many scans would go over the whole picture."""
    start = bytes((0xFF, _START_OF_SCAN))
    if data.count(start) <= _MOST_SCANS:
        return
    scans, position = 0, 2
    while (position := data.find(b"\xff", position)) >= 0 and position + 4 <= len(data):
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif not marker or marker in _ALONE:
            position += 2
        else:
            scans += marker == _START_OF_SCAN
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    if scans > _MOST_SCANS:
        raise NotRead(
            f"has {scans} scans, more than the {_MOST_SCANS} that are read; "
            "save it as a plain JPEG or as PNG"
        )
