"""Compressed strips and tiles of a TIFF: each holds exactly its rows, or the file is damaged.

libtiff stops decoding a strip once its rows are full, and so never sees what the end would tell.
Here a TIFF is built anew in memory, and decoded once, by libtiff, with the predictor and whatever
else its tags say:

- Deflate and LZMA strips are inflated here, up to their checksum, and handed on without compression
  in a deflate stream.
- LZW, PackBits and zstd strips are made longer by guard rows, in their own compression. Decoded,
  each guard stands behind its strip unchanged only where the strip ended where it should.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from blemish.images.formats._header import size_of
from blemish.images.formats._tiff_directory import (
    BITS,
    COLOUR_MAP,
    COMPRESSION,
    EXTRA_SAMPLES,
    FILL_ORDER,
    HEIGHT,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SAMPLES,
    STRIP_OFFSETS,
    STRIP_SIZES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_SIZES,
    TILE_WIDTH,
    WIDTH,
    Directory,
)

RAW, LZW, ADOBE_DEFLATE, PACK_BITS, DEFLATE, LZMA, ZSTD = 1, 5, 8, 32773, 32946, 34925, 50000

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
_SHORT, _LONG, _LONG8 = 3, 4, 16
_BYTES = {_SHORT: 2, _LONG: 4, _LONG8: 8}
_LZMA_MEMORY = 1 << 27
# No picture goes on with these bytes by chance. Zeros fill the guard's rows behind them.
_MARK = bytes.fromhex("9e3779b97f4a7c15f39cc0605cedc835")
_LZW_CLEAR, _LZW_END = 256, 257
_ZSTD_STORED, _ZSTD_REPEATED = 0, 1
_ZSTD_CHECKSUM = 4
_ZSTD_RUN = 1024  # a block holds no more than the window of its frame, and none is smaller
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

Bytes = bytes | memoryview
Parts = Sequence[Bytes]
Decode = Callable[[bytes], NDArray[Any]]


def memory(found: Directory) -> int:
    """Bytes that `pixels` takes for the TIFF that it builds, beside what decoding it takes."""
    if found.first(COMPRESSION, RAW) in _INFLATED_HERE:
        return sum(_lengths(found))
    return sum(size + len(_guard(found)) for _, size in found.pieces)


def pixels(file: BinaryIO, found: Directory, decode: Decode) -> NDArray[Any]:
    """The pixels [H, W] or [H, W, 3] of a compressed TIFF, as far as sound as its codec can tell.

    `decode` turns the bytes of a TIFF into its pixels. Raises ValueError or EOFError for damage,
    and what `decode` raises.
    """
    strips = _strips(file, found)
    compression = found.first(COMPRESSION, RAW)
    if compression in _INFLATED_HERE:
        inflated = _inflated_lzma if compression == LZMA else _inflated
        stored = [
            list(_stored(*inflated(strip, length)))
            for strip, length in zip(strips, _lengths(found), strict=True)
        ]
        return decode(_tiff(found, stored, ADOBE_DEFLATE))
    if compression == ZSTD and all(_zstd_length(strip) is not None for strip in strips):
        # zstd itself then compares the length and, where there is one, the checksum.
        if [_zstd_length(strip) for strip in strips] != _lengths(found):
            raise ValueError("strips or tiles of other lengths than their rows have")
        for strip in strips:
            _zstd_last_block(strip)
        return decode(_tiff(found, [[strip] for strip in strips], ZSTD))
    if compression == ZSTD and any(_zstd_flags(strip) & _ZSTD_CHECKSUM for strip in strips):
        decode(_tiff(found, [[strip] for strip in strips], ZSTD))  # for the checksums
    try:
        return _guarded(found, strips, decode)
    except (ValueError, OSError):
        if compression != LZW:
            raise
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
    pieces = found.pieces
    most = MOST_INFLATED[found.first(COMPRESSION, RAW)]
    if sum(size for _, size in pieces) > size_of(file):
        raise ValueError("strips or tiles that overlap")
    if any(size * most < length for (_, size), length in zip(pieces, _lengths(found), strict=True)):
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
    guard = _guard(found)
    rows = len(guard) // _row_bytes(found)
    compression = found.first(COMPRESSION, RAW)
    decoded = decode(_tiff(found, [*_LONGER[compression](strips, guard)], compression, rows))
    alone = [[*_stored(guard, zlib.adler32(guard).to_bytes(4, "big"))]] * found.planes
    width, _ = found.piece
    one = replace(found, tags=found.tags | _strip_tags(width, rows, rows))
    expected = decode(_tiff(one, alone, ADOBE_DEFLATE))

    ends = np.cumsum(np.array(_heights(found)) + rows)
    is_guard = np.zeros(ends[-1], bool)
    is_guard[(ends[:, None] - 1 - np.arange(rows)).ravel()] = True
    across = _across(found)
    guards = decoded[is_guard].reshape(len(ends), rows, across, width, *decoded.shape[2:])
    if not np.array_equal(
        _as_bytes(guards), _as_bytes(np.broadcast_to(expected[:, None], guards.shape))
    ):
        raise ValueError("a strip or tile of more bytes than its rows have")
    return np.ascontiguousarray(decoded[~is_guard][: found.height, : found.width])


def _as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """For a comparison in which NaN equals itself."""
    return np.ascontiguousarray(values).view(np.uint8)


def _guard(found: Directory) -> bytes:
    """Whole rows, which begin with the mark."""
    row_bytes = _row_bytes(found)
    return _MARK.ljust(-(-len(_MARK) // row_bytes) * row_bytes, b"\0")


def _longer_pack_bits(strips: Sequence[bytes], guard: bytes) -> Iterator[Parts]:
    runs, rest = divmod(len(guard) - len(_MARK), 128)
    packed = bytes([len(_MARK) - 1]) + _MARK + b"\x81\0" * runs
    if rest:
        packed += bytes([(257 - rest) % 256, 0])
    return ((strip, packed) for strip in strips)


def _longer_lzw(strips: Sequence[bytes], guard: bytes) -> Iterator[Parts]:
    """The end code becomes a clear code, behind which all codes have 9 bits."""
    codes = np.array([*_MARK, *_lzw_zeros(len(guard) - len(_MARK)), _LZW_END])
    bits = 9 * len(codes)
    packed = np.packbits(codes[:, None] >> np.arange(8, -1, -1) & 1).tobytes()
    behind = int.from_bytes(packed, "big") >> (-bits % 8)
    for strip in strips:
        head, end, end_bits = _lzw_end(strip)
        end += _LZW_CLEAR - _LZW_END
        yield head, _aligned(end << bits | behind, end_bits + bits)


def _lzw_zeros(length: int) -> Iterator[int]:
    """Codes for zeros: after a clear code each may stand for one more than the one before."""
    while length:
        yield _LZW_CLEAR
        for longest in range(1, min(length, 250) + 1):
            run = min(longest, length)
            length -= run
            yield 0 if run == 1 else _LZW_CLEAR + run
            if not length:
                return


def _lzw_end(strip: bytes) -> tuple[Bytes, int, int]:
    """The strip but for its last two bytes; these, up to the end code, as bits, and their count."""
    strip = strip.rstrip(b"\0")
    end = int.from_bytes(strip[-2:], "big")
    spare = (end & -end).bit_length() - 1
    if len(strip) < 2 or (end >> spare) & 0x1FF != _LZW_END:
        raise ValueError("a strip or tile without an end")
    return memoryview(strip)[:-2], end >> spare, 16 - spare


def _aligned(bits: int, count: int) -> bytes:
    return (bits << (-count % 8)).to_bytes(-(-count // 8), "big")


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
        head, end, bits = _lzw_end(strips[0])
        strips = [bytes(head) + _aligned(end >> 9 << 10 | _LZW_END, bits + 1)]
        _guarded(bytes_, strips, decode)
    yield from strips


def _longer_zstd(strips: Sequence[bytes], guard: bytes) -> Iterator[Parts]:
    """Without the checksum, which the guard would break, and the last block no longer the last."""
    behind = _zstd_block(_ZSTD_STORED, len(_MARK)) + _MARK
    zeros = len(guard) - len(_MARK)
    for start in range(0, zeros, _ZSTD_RUN):
        behind += _zstd_block(_ZSTD_REPEATED, min(_ZSTD_RUN, zeros - start)) + b"\0"
    behind += _zstd_block(_ZSTD_STORED, 0, last=True)
    for strip in strips:
        last, end = _zstd_last_block(strip)
        flags = bytes([_zstd_flags(strip) & ~_ZSTD_CHECKSUM])
        view = memoryview(strip)
        goes_on = bytes([strip[last] & ~1])
        yield view[:4], flags, view[5:last], goes_on, view[last + 1 : end], behind


def _zstd_flags(strip: bytes) -> int:
    if len(strip) < 6 or not strip.startswith(b"\x28\xb5\x2f\xfd"):
        raise ValueError("a strip or tile that is no zstd frame")
    return strip[4]


def _zstd_length(strip: bytes) -> int | None:
    """The bytes that a frame says to have, decoded."""
    flags = _zstd_flags(strip)
    single, size = flags >> 5 & 1, (1, 2, 4, 8)[flags >> 6]
    if not single and size == 1:
        return None
    start = _zstd_blocks(strip) - size
    return int.from_bytes(strip[start : start + size], "little") + (256 if size == 2 else 0)


def _zstd_blocks(strip: bytes) -> int:
    """Where the first block begins."""
    flags = _zstd_flags(strip)
    single = flags >> 5 & 1
    return 6 - single + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6]


def _zstd_last_block(strip: bytes) -> tuple[int, int]:
    """Where the last block begins and ends; behind it may be the checksum and a byte of padding."""
    block = _zstd_blocks(strip)
    while block + 3 <= len(strip):
        header = int.from_bytes(strip[block : block + 3], "little")
        end = block + 3 + (1 if header >> 1 & 3 == _ZSTD_REPEATED else header >> 3)
        if header & 1:
            checksum = 4 if _zstd_flags(strip) & _ZSTD_CHECKSUM else 0
            if not 0 <= len(strip) - end - checksum <= 1:
                break
            return block, end
        block = end
    raise ValueError("a strip or tile without an end")


def _zstd_block(kind: int, size: int, *, last: bool = False) -> bytes:
    return (size << 3 | kind << 1 | last).to_bytes(3, "little")


_LONGER = {LZW: _longer_lzw, PACK_BITS: _longer_pack_bits, ZSTD: _longer_zstd}


# ----------------------------------------------------------------------------- the TIFF built anew


def _strip_tags(width: int, height: int, rows: int) -> dict[int, tuple[int, ...]]:
    """The tags of a picture in strips of `rows` rows."""
    return {WIDTH: (width,), HEIGHT: (height,), ROWS_PER_STRIP: (rows,), STRIP_OFFSETS: (0,)}


def _tiff(
    found: Directory, strips: Sequence[Parts], compression: int, guard_rows: int = 0
) -> bytes:
    """A BigTIFF of these strips or tiles, each in parts, with `guard_rows` more rows in each."""
    width, height = found.width, found.height
    piece_width, piece_height = found.piece
    if guard_rows:
        width, height = piece_width * _across(found), sum(_heights(found))
        height += guard_rows * len(_heights(found))
    tags = {tag: found.tags[tag] for tag in _KEPT if tag in found.tags}
    tags |= {WIDTH: (width,), HEIGHT: (height,), COMPRESSION: (compression,)}
    if found.first(COMPRESSION, RAW) != PACK_BITS and PREDICTOR in found.tags:
        tags[PREDICTOR] = found.tags[PREDICTOR]
    sizes = np.array([sum(map(len, parts)) for parts in strips])
    if found.tiled:
        offsets_tag, sizes_tag = TILE_OFFSETS, TILE_SIZES
        tags |= {TILE_WIDTH: (piece_width,), TILE_HEIGHT: (piece_height + guard_rows,)}
    else:
        offsets_tag, sizes_tag = STRIP_OFFSETS, STRIP_SIZES
        tags[ROWS_PER_STRIP] = (piece_height + guard_rows,)
    packed = {
        tag: (_SHORT, np.array(values, found.order + "u2").tobytes())
        if max(values) < 1 << 16
        else (_LONG, np.array(values, found.order + "u4").tobytes())
        for tag, values in tags.items()
    }
    inside = sum(len(content) for _, content in packed.values()) + 20 * (len(packed) + 2)
    # Pillow does not read a BigTIFF in big-endian order: none is made where another will do.
    big = inside + 16 * len(sizes) + int(sizes.sum()) >= 1 << 32
    place, counts, kind = ("Q", "Q", _LONG8) if big else ("I", "H", _LONG)
    inline, head = struct.calcsize(place), 16 if big else 8
    numbers = f"{found.order}u{inline}"
    packed[offsets_tag] = packed[sizes_tag] = (kind, sizes.astype(numbers).tobytes())
    values_at = head + struct.calcsize("=" + counts) + (4 + 2 * inline) * len(packed) + inline
    outside = sum(len(content) for _, content in packed.values() if len(content) > inline)
    offsets = values_at + outside + np.cumsum(sizes) - sizes
    packed[offsets_tag] = (kind, offsets.astype(numbers).tobytes())

    mark = b"II" if found.order == "<" else b"MM"
    start = (43, 8, 0, 16) if big else (42, 8)
    written = [mark, struct.pack(found.order + ("HHHQ" if big else "HI"), *start)]
    written.append(struct.pack(found.order + counts, len(packed)))
    values = []
    for tag, (kind, content) in sorted(packed.items()):
        count = len(content) // _BYTES[kind]
        written.append(struct.pack(found.order + "HH" + place, tag, kind, count))
        if len(content) > inline:
            values.append(content)
            content = struct.pack(found.order + place, values_at)
            values_at += len(values[-1])
        written.append(content.ljust(inline, b"\0"))
    written.append(bytes(inline))  # no other directory
    return b"".join([*written, *values, *(part for parts in strips for part in parts)])
