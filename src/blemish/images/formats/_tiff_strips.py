"""Strips and tiles of a TIFF, compressed: each holds exactly its rows, or the file is damaged.

libtiff stops decoding a strip once its rows are full, and so never sees what the end would tell.
Here a TIFF is built anew in memory, and decoded once, by libtiff, with the predictor and whatever
else its tags say:

- Deflate and LZMA strips are inflated here, up to their checksum, and handed on without compression
  in a deflate stream.
- LZW, PackBits and zstd strips are made longer by guard rows, in their own compression. Decoded,
  each guard stands unchanged behind its strip only where the strip ended where it should.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from blemish.images.formats import _tiff_guards as guards
from blemish.images.formats._header import size_of
from blemish.images.formats._tiff_directory import (
    ADOBE_DEFLATE,
    BITS,
    COLOUR_MAP,
    COMPRESSION,
    DEFLATE,
    EXTRA_SAMPLES,
    FILL_ORDER,
    HEIGHT,
    LZMA,
    LZW,
    PACK_BITS,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    RAW,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SAMPLES,
    STRIP_OFFSETS,
    TILE_HEIGHT,
    TILE_WIDTH,
    WIDTH,
    ZSTD,
    Directory,
)
from blemish.images.formats._tiff_guards import Bytes, Parts
from blemish.images.formats._tiff_writing import tiff

# How many times its own bytes a strip can hold: LZW repeats its longest string, a tenth of a bit is
# the least that LZMA spends on 273 bytes, a block of zstd has 4 bytes or more and at most 128 KiB.
MOST_INFLATED = {
    RAW: 1,
    LZW: 2560,
    ADOBE_DEFLATE: 1032,
    PACK_BITS: 64,
    DEFLATE: 1032,
    LZMA: 1 << 14,
    ZSTD: 1 << 15,
}
_INFLATED_HERE = frozenset({ADOBE_DEFLATE, DEFLATE, LZMA})
_KEPT = (BITS, PHOTOMETRIC, SAMPLES, PLANAR, COLOUR_MAP, EXTRA_SAMPLES, SAMPLE_FORMAT)
_FILL = 3  # bytes, up to the next place that a writer likes
_LZMA_MEMORY = 1 << 27
_BYTES_A_PIECE = 1500  # of the objects of Python that stand for a strip or tile
_MOST_REMEMBERED = 1 << 16
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

Decode = Callable[[bytes], NDArray[Any]]


def memory(found: Directory, taken: int) -> int:
    """Bytes that `pixels` takes at its peak, where decoding alone would take `taken`.

    What the strips take of the file is not in it. Raises ValueError where these are not as many as
    cover the picture.
    """
    taken += _BYTES_A_PIECE * len(found.pieces)  # which raises before so many are listed
    length = sum(_lengths(found))
    if found.first(COMPRESSION, RAW) in _INFLATED_HERE:
        return taken + length
    guards_length = len(found.pieces) * _guard_rows(found) * _row_bytes(found)
    return taken * (length + guards_length) // length + guards_length


def refuse_other_sizes(found: Directory) -> None:
    """Raise for strips that are not compressed and have other sizes than their rows.

    ValueError for longer ones: they are compressed, and the tag that says how is lost. Some writers
    give the last strip the size of the others, or fill up each. EOFError for shorter ones.
    """
    longest = _row_bytes(found) * found.piece[1] + _FILL
    for (_, size), length in zip(found.pieces, _lengths(found), strict=True):
        if size < length:
            raise EOFError("strips or tiles that are too short for their rows")
        if size > longest:
            raise ValueError("strips or tiles of more bytes than their rows have")


def pixels(file: BinaryIO, found: Directory, decode: Decode) -> NDArray[Any]:
    """The pixels [H, W] or [H, W, 3] of a TIFF, as far as sound as its codec can tell.

    `decode` turns the bytes of a TIFF into its pixels. Raises ValueError or EOFError for damage,
    and what `decode` raises.
    """
    compression = found.first(COMPRESSION, RAW)
    if compression == RAW:  # a list that is not kept while it is decoded
        return decode(_tiff(found, [[strip] for strip in _strips(file, found)], RAW))
    strips = _strips(file, found)
    if compression in _INFLATED_HERE:
        return decode(_stored_tiff(found, strips))
    if compression == ZSTD:
        for strip in strips:
            guards.zstd_last_block(strip)
        lengths = [guards.zstd_length(strip) for strip in strips]
        as_it_is = _tiff(found, [[strip] for strip in strips], ZSTD)
        if lengths == _lengths(found):  # which zstd itself compares, and the checksum
            return decode(as_it_is)
        if any(length is not None for length in lengths):
            raise ValueError("strips or tiles of other lengths than their rows have")
        if any(guards.zstd_has_checksum(strip) for strip in strips):
            decode(as_it_is)
    if compression != LZW:
        return _guarded(found, strips, decode)
    for strip in strips:
        guards.lzw_end(strip)
    try:
        return _guarded(found, strips, decode)
    except (ValueError, OSError):
        return _guarded(found, [*_with_wide_ends(found, strips, decode)], decode)


# ---------------------------------------------------------------------------- what a strip holds


def _row_bytes(found: Directory) -> int:
    """Bytes of a row of a strip or tile, decoded."""
    width, _ = found.piece
    bits = found.bits[0] if found.planes > 1 else sum(found.bits)
    return -(-width * bits // 8)


def _across(found: Directory) -> int:
    """Strips or tiles beside each other."""
    return -(-found.width // found.piece[0])


def _heights(found: Directory) -> list[int]:
    """Rows of the strips or tiles that lie below each other; the last strip may have fewer."""
    _, height = found.piece
    down = -(-found.height // height)
    return [height] * (down - 1) + [height if found.tiled else found.height - height * (down - 1)]


def _lengths(found: Directory) -> list[int]:
    """The bytes of each strip or tile, decoded."""
    row_bytes, across = _row_bytes(found), _across(found)
    plane = [rows * row_bytes for rows in _heights(found) for _ in range(across)]
    return plane * found.planes


def _strips(file: BinaryIO, found: Directory) -> list[bytes]:
    """The bytes of each strip or tile, checked against those that it decodes to."""
    pieces, lengths = found.pieces, _lengths(found)
    if found.first(COMPRESSION, RAW) == RAW:  # of which some writers tell another size
        pieces = [(offset, length) for (offset, _), length in zip(pieces, lengths, strict=True)]
    most = MOST_INFLATED[found.first(COMPRESSION, RAW)]
    if sum(size for _, size in pieces) > size_of(file):
        raise ValueError("strips or tiles that overlap")
    if any(size * most < length for (_, size), length in zip(pieces, lengths, strict=True)):
        raise EOFError("strips or tiles that are too short for their rows")
    strips = []
    for offset, size in pieces:
        file.seek(offset)
        strip = file.read(size)
        if len(strip) < size:
            raise EOFError("cut off")
        strips.append(strip.translate(_REVERSED) if found.first(FILL_ORDER, 1) == 2 else strip)
    return strips


# ------------------------------------------------------------------------------ deflate and LZMA


def _stored_tiff(found: Directory, strips: Sequence[bytes]) -> bytes:
    inflated = _inflated_lzma if found.first(COMPRESSION, RAW) == LZMA else _inflated
    stored = [
        [*_stored(*inflated(strip, length))]
        for strip, length in zip(strips, _lengths(found), strict=True)
    ]
    return _tiff(found, stored, ADOBE_DEFLATE)


def _inflated(strip: bytes, length: int) -> tuple[bytes, bytes]:
    """The content of a deflate stream, which is to have `length` bytes, and its checksum."""
    stream = zlib.decompressobj()
    content = stream.decompress(strip, length + 1)
    if not stream.eof and len(content) == length:
        stream.decompress(stream.unconsumed_tail, 1)
    _refuse_other_end(len(content), length, stream.eof, stream.unused_data)
    end = len(strip) - len(stream.unused_data)
    return content, strip[end - 4 : end]


def _inflated_lzma(strip: bytes, length: int) -> tuple[bytes, bytes]:
    """As `_inflated`, of an xz stream, which rarely has a checksum of its content."""
    import lzma  # some builds of Python lack it

    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY)
    content = stream.decompress(strip, length + 1)
    if not stream.eof and len(content) == length:
        content += stream.decompress(b"", 1)
    _refuse_other_end(len(content), length, stream.eof, stream.unused_data)
    return content, zlib.adler32(content).to_bytes(4, "big")


def _refuse_other_end(got: int, length: int, ended: bool, behind: bytes) -> None:
    if got != length or not ended:
        more = "more" if got >= length else "fewer"
        raise ValueError(f"a strip or tile of {more} bytes than its rows have")
    if len(behind) > 1:
        raise ValueError(f"{len(behind)} bytes behind a strip or tile")


def _stored(content: bytes, checksum: bytes) -> Iterator[Bytes]:
    """A deflate stream without compression."""
    view = memoryview(content)
    yield b"\x78\x01"
    for start in range(0, len(view), 65535):
        block = view[start : start + 65535]
        last = start + 65535 >= len(view)
        yield struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF)
        yield block
    yield checksum


# -------------------------------------------------------------------- guards: LZW, PackBits, zstd


def _guarded(found: Directory, strips: Sequence[bytes], decode: Decode) -> NDArray[Any]:
    """Decode the strips with a guard behind each; ValueError where one does not come back."""
    rows = _guard_rows(found)
    guard = guards.MARK.ljust(rows * _row_bytes(found), b"\0")
    compression = found.first(COMPRESSION, RAW)
    longer = guards.LONGER[compression](strips, guard)
    decoded = decode(_tiff(found, [*longer], compression, rows))

    width, _ = found.piece
    alone = replace(found, tags=found.tags | _strip_tags(width, rows, rows))
    stored = [*_stored(guard, zlib.adler32(guard).to_bytes(4, "big"))]
    alone_tiff = _tiff(alone, [stored] * found.planes, ADOBE_DEFLATE)
    small = len(alone_tiff) <= _MOST_REMEMBERED
    expected = _remembered(alone_tiff, decode) if small else decode(alone_tiff)

    ends = np.cumsum(np.array(_heights(found)) + rows)
    is_guard = np.zeros(ends[-1], bool)
    is_guard[(ends[:, None] - 1 - np.arange(rows)).ravel()] = True
    parts = (len(ends), rows, _across(found), width, *decoded.shape[2:])
    shown = decoded[is_guard].reshape(parts)
    if not np.array_equal(_as_bytes(shown), _as_bytes(np.broadcast_to(expected[:, None], parts))):
        raise ValueError("a strip or tile of more bytes than its rows have")
    return np.ascontiguousarray(decoded[~is_guard][: found.height, : found.width])


@lru_cache(maxsize=16)
def _remembered(content: bytes, decode: Decode) -> NDArray[Any]:
    """The guard as pixels: the same for all pictures of a kind."""
    return decode(content)


def _as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """For a comparison in which NaN equals itself."""
    return np.ascontiguousarray(values).view(np.uint8)


def _guard_rows(found: Directory) -> int:
    """As few as hold the mark."""
    return -(-len(guards.MARK) // _row_bytes(found))


def _with_wide_ends(found: Directory, strips: Sequence[bytes], decode: Decode) -> Iterator[bytes]:
    """LZW strips whose end codes have the width that is due; ValueError for damaged ones.

    Up to 2017 libtiff wrote the end code one bit too narrow where the code before it was the last
    of its width. Which strips are like this, halving tells.
    """
    lengths = _lengths(found)
    count = len(strips) // found.planes
    for start in range(0, len(strips), count):
        plane = slice(start, start + count)
        yield from _with_wide_ends_in(found, strips[plane], lengths[plane], decode)


def _with_wide_ends_in(
    found: Directory, strips: Sequence[bytes], lengths: Sequence[int], decode: Decode
) -> Iterator[bytes]:
    row_bytes = _row_bytes(found)
    rows = lengths[0] // row_bytes
    tags = {COMPRESSION: (LZW,)} | _strip_tags(row_bytes, sum(lengths) // row_bytes, rows)
    bytes_ = replace(found, tags=tags | {BITS: (8,), PHOTOMETRIC: (1,)})
    try:
        _guarded(bytes_, strips, decode)
    except (ValueError, OSError):
        half = len(strips) // 2
        if half:
            yield from _with_wide_ends_in(found, strips[:half], lengths[:half], decode)
            yield from _with_wide_ends_in(found, strips[half:], lengths[half:], decode)
            return
        strips = [guards.with_wide_end(strips[0])]
        _guarded(bytes_, strips, decode)
    yield from strips


# ----------------------------------------------------------------------------- the TIFF built anew


def _strip_tags(width: int, height: int, rows: int) -> dict[int, tuple[int, ...]]:
    """The tags of a picture in strips of `rows` rows."""
    return {WIDTH: (width,), HEIGHT: (height,), ROWS_PER_STRIP: (rows,), STRIP_OFFSETS: (0,)}


def _tiff(
    found: Directory, strips: Sequence[Parts], compression: int, guard_rows: int = 0
) -> bytes:
    """A TIFF of these strips or tiles, with `guard_rows` more rows in each."""
    width, height = found.width, found.height
    piece_width, piece_height = found.piece
    if guard_rows:
        heights = _heights(found)
        width, height = piece_width * _across(found), sum(heights) + guard_rows * len(heights)
    tags = {tag: found.tags[tag] for tag in _KEPT if tag in found.tags}
    tags |= {WIDTH: (width,), HEIGHT: (height,), COMPRESSION: (compression,)}
    rows = (piece_height + guard_rows,)
    tags |= (
        {TILE_WIDTH: (piece_width,), TILE_HEIGHT: rows} if found.tiled else {ROWS_PER_STRIP: rows}
    )
    if found.first(COMPRESSION, RAW) != PACK_BITS and PREDICTOR in found.tags:
        tags[PREDICTOR] = found.tags[PREDICTOR]
    return tiff(found.order, tags, strips)
