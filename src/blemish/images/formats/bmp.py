"""BMP: it has no checksum, so damage to its pixels is told only where run lengths do not fit."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile

from blemish.images.formats._header import Header, MaskPixels, NotRead, Picture, size_of
from blemish.images.formats._pillow import bytes_a_pixel, mask_pixels_of, pixels_of

NAME = "BMP"
MAGIC = (b"BM",)
SUFFIXES = (".bmp",)
LOSSLESS = True

_FILE_HEADER = 14
_OLD_HEADER = 12
_HEADERS = (_OLD_HEADER, 40, 52, 56, 64, 108, 124)
_NIBBLES = 2  # run lengths of 4-bit indices
_ROW_END, _END, _MOVE = 0, 1, 2  # escapes
_PAIRS = 1 << 14  # that are looked at together; no run takes more than 129
_RUN_PIXELS = 128  # that a byte of run lengths holds: at most 255 in two


@dataclass(frozen=True, eq=False)
class _Declared:
    """A header, and Pillow's image of it, which is not decoded. `stride` is 0 for run lengths."""

    image: BmpImageFile
    bits: int
    compression: int
    data_size: int
    palette: NDArray[np.uint8]
    offset: int
    stride: int
    downwards: bool

    @property
    def indexed(self) -> bool:
        """Whether pixels are indices into the palette."""
        return self.bits <= 8

    @property
    def grey(self) -> bool:
        """Whether the palette is that of a grey image."""
        return self.indexed and self.image.mode != "P"


def picture(file: BinaryIO) -> Picture:
    """Read the header. Raises NotRead for colours that are not read.

    Its pixels raise ValueError or EOFError for damage.
    """
    declared = _declared(file)
    width, height = declared.image.size
    after = max(0, size_of(file) - declared.offset)
    pixels, channels = width * height, 1 if declared.grey else 3
    capacity = after // declared.stride * width if declared.stride else _RUN_PIXELS * after
    if declared.indexed:
        decoding = pixels + (after if not declared.stride else declared.stride * height)
    else:
        decoding = pixels * bytes_a_pixel(declared.image.mode)
    header = Header(
        width,
        height,
        channels,
        "uint8",
        memory=decoding + pixels * channels,
        capacity=capacity,
    )
    return Picture(header, partial(_pixels, file, declared), partial(_mask_pixels, file, declared))


def _pixels(file: BinaryIO, declared: _Declared) -> NDArray[Any]:
    if not declared.indexed:
        declared.image.load()
        return pixels_of(declared.image)
    indices = _indices_downwards(file, declared)
    if declared.grey:
        return _grey(indices, declared)
    image = Image.frombytes("P", declared.image.size, np.ascontiguousarray(indices))
    image.putpalette(declared.palette.tobytes())
    return pixels_of(image)


def _mask_pixels(file: BinaryIO, declared: _Declared) -> MaskPixels:
    if not declared.indexed:
        declared.image.load()
        return mask_pixels_of(declared.image)
    indices = _indices_downwards(file, declared)
    if declared.grey:
        return MaskPixels(_grey(indices, declared))
    if sorted(declared.palette.tolist()) == [[0] * 3, [255] * 3]:
        # A BMP has no other way to say 1 bit a pixel; some writers put white before black.
        return MaskPixels(declared.palette[indices, 0])
    return MaskPixels(np.ascontiguousarray(indices), indexed=True)


def _grey(indices: NDArray[np.uint8], declared: _Declared) -> NDArray[np.uint8]:
    two = len(declared.palette) == 2
    return indices * np.uint8(255) if two else np.ascontiguousarray(indices)


def _declared(file: BinaryIO) -> _Declared:
    file.seek(0)
    head = file.read(_FILE_HEADER + 40)
    if len(head) < _FILE_HEADER + _OLD_HEADER:
        raise EOFError("cut off")
    (kind,) = struct.unpack_from("<I", head, _FILE_HEADER)
    if kind not in _HEADERS:
        raise ValueError("a header that no BMP has")
    compression = data_size = colours = 0
    if kind == _OLD_HEADER:
        (bits,) = struct.unpack_from("<H", head, _FILE_HEADER + 10)
    elif len(head) < _FILE_HEADER + 40:
        raise EOFError("cut off")
    else:
        bits, compression, data_size = struct.unpack_from("<HII", head, _FILE_HEADER + 14)
        (colours,) = struct.unpack_from("<I", head, _FILE_HEADER + 32)
    file.seek(0)
    image = BmpImageFile(file)
    if image.mode not in ("1", "L", "P", "RGB", "RGBA"):
        raise NotRead(f"has colours of kind {image.mode}; save it as RGB or grey")
    if image.width < 1 or image.height < 1:
        raise ValueError(f"{image.width} x {image.height} pixels")
    [tile] = image.tile
    arguments = cast("tuple[Any, ...]", tile.args)
    palette = np.empty((0, 3), np.uint8)
    if bits <= 8:
        entry = 3 if kind == _OLD_HEADER else 4
        file.seek(_FILE_HEADER + kind)
        entries = np.frombuffer(file.read(entry * (colours or 1 << bits)), np.uint8)
        palette = entries[: len(entries) // entry * entry].reshape(-1, entry)[:, 2::-1]
    return _Declared(
        image,
        bits,
        compression,
        data_size,
        palette,
        tile.offset,
        stride=int(arguments[1]) if tile.codec_name == "raw" else 0,
        downwards=arguments[-1] == 1,
    )


def _indices_downwards(file: BinaryIO, declared: _Declared) -> NDArray[np.uint8]:
    """The index of each pixel [H, W], top row first; ValueError for one beyond the palette."""
    indices = _indices(file, declared)
    if not declared.downwards:
        indices = indices[::-1]
    colours = len(declared.palette)
    if indices.max() >= colours:
        raise ValueError(f"colour {indices.max()} of a palette of {colours}")
    return indices


def _indices(file: BinaryIO, declared: _Declared) -> NDArray[np.uint8]:
    """The index of each pixel [H, W], in the order of the file's rows."""
    width, height = declared.image.size
    file.seek(declared.offset)
    if not declared.stride:
        data = file.read()
        nibbles = declared.compression == _NIBBLES
        indices, used = _run_lengths(data, width, height, nibbles=nibbles)
        if declared.data_size and not 0 <= declared.data_size - used < 4:
            raise ValueError("run lengths of another size than declared")
        return indices
    data = file.read(declared.stride * height)
    rows = np.frombuffer(data, np.uint8).reshape(height, declared.stride)
    if declared.bits == 1:
        return np.unpackbits(rows, axis=1)[:, :width]
    if declared.bits == 4:
        rows = np.stack([rows >> 4, rows & 15], axis=2).reshape(height, -1)
    return rows[:, :width]


def _run_lengths(
    data: bytes, width: int, height: int, *, nibbles: bool
) -> tuple[NDArray[np.uint8], int]:
    """The index of each pixel [H, W], in the order of the file's rows, and the bytes they took.

    Raises ValueError for a run beyond its row and for pixels without an index, EOFError where the
    end is missing.
    """
    pairs = np.frombuffer(data, np.uint8, len(data) // 2 * 2).reshape(-1, 2)
    pixels = np.empty(width * height, np.uint8)
    at = rows = filled = 0
    while at < len(pairs):
        block = pairs[at : at + _PAIRS]
        is_run, times = _runs(block, nibbles=nibbles)
        escapes = np.where(is_run & (block[: len(is_run), 0] == 0), block[: len(is_run), 1], 255)
        ends = np.flatnonzero(escapes == _END)
        used = int(ends[0]) if len(ends) else len(is_run)
        block, escapes, times = block[:used], escapes[:used], times[:used]
        if (escapes == _MOVE).any():
            raise ValueError("pixels without a colour")
        is_row_end = escapes == _ROW_END
        row_ends = (rows + 1 + np.cumsum(is_row_end) - is_row_end) * width
        filled_by = filled + np.cumsum(times.sum(axis=1))
        if (filled_by > np.minimum(row_ends, len(pixels))).any():
            raise ValueError("a run beyond its row")
        if (filled_by < row_ends)[is_row_end].any():
            raise ValueError("pixels without a colour")
        start, filled = filled, int(filled_by[-1]) if used else filled
        pixels[start:filled] = _expanded(block, times, nibbles=nibbles)
        at, rows = at + used, rows + int(is_row_end.sum())
        if len(ends):
            if filled < len(pixels):
                raise ValueError("pixels without a colour")
            return pixels.reshape(height, width), 2 * (at + 1)
        if not used:
            break
    raise EOFError("cut off")


def _runs(
    block: NDArray[np.uint8], *, nibbles: bool
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which pairs of bytes [n, 2] begin a run, and the pixels of each byte [n, 2].

    A pair is a count and a value, or a zero and an escape: with one above 2 that many indices
    follow, padded to pairs. Ends before a run that goes on behind the block.
    """
    found = np.flatnonzero((block[:, 0] == 0) & (block[:, 1] > _MOVE))
    counts = block[found, 1].astype(np.int64)
    taken = (counts + 1) // 2 if nibbles else counts
    after = found + 1 + (taken + 1) // 2
    if (found[1:] < after[:-1]).any():  # what looks like a start is an index
        following, number, kept = np.searchsorted(found, after).tolist(), 0, []
        while number < len(found):
            kept.append(number)
            number = following[number]
        found, counts, taken, after = found[kept], counts[kept], taken[kept], after[kept]
    size = len(block)
    if len(after) and after[-1] > size:
        size = int(found[-1])
        found, counts, taken, after = found[:-1], counts[:-1], taken[:-1], after[:-1]
    steps = np.zeros(size + 1, np.int8)
    steps[found + 1] = 1
    steps[after] = -1
    stored = np.cumsum(steps[:size]).astype(bool)
    times = np.zeros((size, 2), np.int64)
    times[:, 1] = np.where(stored, 0, block[:size, 0])
    times[stored] = 2 if nibbles else 1
    times[after - 1, 1] *= taken % 2 == 0
    times[after - 1, (taken + 1) % 2] -= counts % 2 if nibbles else 0
    return ~stored, times


def _expanded(
    block: NDArray[np.uint8], times: NDArray[np.int64], *, nibbles: bool
) -> NDArray[np.uint8]:
    """Each byte of the block as often as it counts; of nibbles the upper and the lower in turn."""
    flat, times = block.ravel(), times.ravel()
    found = np.repeat(flat, times)
    if not nibbles:
        return found
    is_lower = np.repeat(((np.cumsum(times) - times) & 1).astype(np.uint8), times)
    is_lower[1::2] ^= 1
    found >>= (is_lower ^ 1) << 2
    found &= 15
    return found
