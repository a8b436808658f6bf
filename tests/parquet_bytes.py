"""A writer of Parquet for the tests: a column of texts in an encoding that polars does not write.

Each text is told by how much of the one before it is its start, and by what follows.
"""

from __future__ import annotations

import struct

_AS_DIFFERENCES, _NUMBERS = 7, 3
_BINARY, _LIST, _STRUCT, _INT32, _INT64 = 8, 9, 12, 5, 6


def repeated_text(text: bytes, times: int) -> bytes:
    """A file of the column `image`, which holds one text over and over, and the text once."""
    prefixes = _packed(0, len(text), times)
    data = prefixes + _packed(len(text), 0, times) + text
    page = _Struct().int32(1, 0).int32(2, len(data)).int32(3, len(data))
    page.struct(5, _Struct().int32(1, times).int32(2, _AS_DIFFERENCES).int32(3, 3).int32(4, 3))
    stored = page.end() + data
    chunk = _Struct().int32(1, 6).list(2, _INT32, [_signed(_AS_DIFFERENCES)])
    chunk.list(3, _BINARY, [_text(b"image")]).int32(4, 0).int64(5, times)
    chunk.int64(6, len(stored)).int64(7, len(stored)).int64(9, 4)
    column = _Struct().int64(2, 4).struct(3, chunk).end()
    group = _Struct().list(1, _STRUCT, [column]).int64(2, len(stored)).int64(3, times).end()
    schema = [
        _Struct().field(4, _BINARY, _text(b"schema")).int32(5, 1).end(),
        _Struct().int32(1, 6).int32(3, 0).field(4, _BINARY, _text(b"image")).int32(6, 0).end(),
    ]
    footer = _Struct().int32(1, 1).list(2, _STRUCT, schema).int64(3, times)
    ended = footer.list(4, _STRUCT, [group]).end()
    return b"PAR1" + stored + ended + struct.pack("<I", len(ended)) + b"PAR1"


class _Struct:
    """A structure of Thrift's compact protocol, field by field in their order."""

    def __init__(self) -> None:
        self._bytes = b""
        self._last = 0

    def field(self, number: int, kind: int, value: bytes) -> _Struct:
        self._bytes += bytes([(number - self._last) << 4 | kind]) + value
        self._last = number
        return self

    def int32(self, number: int, value: int) -> _Struct:
        return self.field(number, _INT32, _signed(value))

    def int64(self, number: int, value: int) -> _Struct:
        return self.field(number, _INT64, _signed(value))

    def struct(self, number: int, value: _Struct) -> _Struct:
        return self.field(number, _STRUCT, value.end())

    def list(self, number: int, kind: int, values: list[bytes]) -> _Struct:
        return self.field(number, _LIST, bytes([len(values) << 4 | kind]) + b"".join(values))

    def end(self) -> bytes:
        return self._bytes + b"\0"


def _packed(first: int, others: int, count: int) -> bytes:
    """Numbers as differences, in blocks of four times 32: `first`, then `others` ever again."""
    step = others - first
    least = min(step, 0)
    width = abs(step).bit_length()
    head = b"".join(map(_unsigned, (128, 4, count))) + _signed(first)
    above = [step - least] + [-least] * (count - 2) + [0] * 128
    numbers = [above[start : start + 32] for start in range(0, 128, 32)]
    block = b"".join(
        sum(value << (place * width) for place, value in enumerate(some)).to_bytes(
            4 * width, "little"
        )
        for some in numbers
    )
    more = _signed(0) + bytes(4)  # 128 times the same, in no bits
    return head + _signed(least) + bytes([width] * 4) + block + more * (-(-(count - 1) // 128) - 1)


def _text(value: bytes) -> bytes:
    return _unsigned(len(value)) + value


def _signed(value: int) -> bytes:
    return _unsigned(2 * value if value >= 0 else -2 * value - 1)


def _unsigned(value: int) -> bytes:
    held = bytearray()
    while value > 127:
        held.append(value & 127 | 128)
        value >>= 7
    return bytes([*held, value])
