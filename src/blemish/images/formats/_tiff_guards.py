"""Make a compressed strip longer, by bytes of our own behind what it holds, without decoding it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from blemish.images.formats._tiff_directory import LZW, PACK_BITS, ZSTD

Bytes = bytes | memoryview
Parts = Sequence[Bytes]

# No picture goes on with these bytes by chance. A guard is zeros behind them.
MARK = bytes.fromhex("9e3779b97f4a7c15f39cc0605cedc835")

_LZW_CLEAR, _LZW_END = 256, 257
_ZSTD_STORED, _ZSTD_REPEATED = 0, 1
_ZSTD_CHECKSUM = 4
_ZSTD_RUN = 1024  # a block holds no more than the window of its frame, and none is smaller


def _longer_pack_bits(strips: Sequence[bytes], guard: bytes) -> Iterator[Parts]:
    runs, rest = divmod(len(guard) - len(MARK), 128)
    packed = bytes([len(MARK) - 1]) + MARK + b"\x81\0" * runs
    if rest:
        packed += bytes([(257 - rest) % 256, 0])
    return ((strip, packed) for strip in strips)


def _longer_lzw(strips: Sequence[bytes], guard: bytes) -> Iterator[Parts]:
    """The end code becomes a clear code, behind which all codes have 9 bits."""
    codes = np.array([*MARK, *_lzw_zeros(len(guard) - len(MARK)), _LZW_END])
    bits = 9 * len(codes)
    packed = np.packbits(codes[:, None] >> np.arange(8, -1, -1) & 1).tobytes()
    behind = int.from_bytes(packed, "big") >> (-bits % 8)
    for strip in strips:
        head, end, end_bits = lzw_end(strip)
        end += _LZW_CLEAR - _LZW_END
        yield head, _aligned(end << bits | behind, end_bits + bits)


def _lzw_zeros(length: int) -> list[int]:
    """Codes for zeros: after a clear code each may stand for one more than the one before."""
    rising = [_LZW_CLEAR, 0, *range(_LZW_CLEAR + 2, _LZW_CLEAR + 251)]
    times, rest = divmod(length, 250 * 251 // 2)
    codes, longest = rising * times, 0
    if rest:
        codes.append(_LZW_CLEAR)
    while rest:
        longest = min(longest + 1, rest)
        codes.append(0 if longest == 1 else _LZW_CLEAR + longest)
        rest -= longest
    return codes


def lzw_end(strip: bytes) -> tuple[Bytes, int, int]:
    """The strip but for its last two bytes; these, up to the end code, as bits, and their count."""
    strip = strip.rstrip(b"\0")
    end = int.from_bytes(strip[-2:], "big")
    spare = (end & -end).bit_length() - 1
    if len(strip) < 2 or (end >> spare) & 0x1FF != _LZW_END:
        raise ValueError("a strip or tile without an end")
    return memoryview(strip)[:-2], end >> spare, 16 - spare


def _aligned(bits: int, count: int) -> bytes:
    return (bits << (-count % 8)).to_bytes(-(-count // 8), "big")


def with_wide_end(strip: bytes) -> bytes:
    """An LZW strip whose end code is one bit wider."""
    head, end, bits = lzw_end(strip)
    return bytes(head) + _aligned(end >> 9 << 10 | _LZW_END, bits + 1)


def _longer_zstd(strips: Sequence[bytes], guard: bytes) -> Iterator[Parts]:
    """Without the checksum, which the guard would break, and the last block no longer the last."""
    times, rest = divmod(len(guard) - len(MARK), _ZSTD_RUN)
    behind = _zstd_block(_ZSTD_STORED, len(MARK)) + MARK
    behind += (_zstd_block(_ZSTD_REPEATED, _ZSTD_RUN) + b"\0") * times
    behind += _zstd_block(_ZSTD_STORED, rest, last=True) + bytes(rest)
    for strip in strips:
        last, end = zstd_last_block(strip)
        flags = bytes([_zstd_flags(strip) & ~_ZSTD_CHECKSUM])
        view = memoryview(strip)
        goes_on = bytes([strip[last] & ~1])
        yield view[:4], flags, view[5:last], goes_on, view[last + 1 : end], behind


def zstd_has_checksum(strip: bytes) -> bool:
    """Whether a frame ends with a checksum of its content."""
    return bool(_zstd_flags(strip) & _ZSTD_CHECKSUM)


def _zstd_flags(strip: bytes) -> int:
    if len(strip) < 6 or not strip.startswith(b"\x28\xb5\x2f\xfd"):
        raise ValueError("a strip or tile that is no zstd frame")
    return strip[4]


def zstd_length(strip: bytes) -> int | None:
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


def zstd_last_block(strip: bytes) -> tuple[int, int]:
    """Where the last block begins and ends; behind it may be the checksum and a byte of padding."""
    block = _zstd_blocks(strip)
    while block + 3 <= len(strip):
        header = int.from_bytes(strip[block : block + 3], "little")
        end = block + 3 + (1 if header >> 1 & 3 == _ZSTD_REPEATED else header >> 3)
        if header & 1:
            checksum = 4 if zstd_has_checksum(strip) else 0
            if not 0 <= len(strip) - end - checksum <= 1:
                break
            return block, end
        block = end
    raise ValueError("a strip or tile without an end")


def _zstd_block(kind: int, size: int, *, last: bool = False) -> bytes:
    return (size << 3 | kind << 1 | last).to_bytes(3, "little")


LONGER = {LZW: _longer_lzw, PACK_BITS: _longer_pack_bits, ZSTD: _longer_zstd}
