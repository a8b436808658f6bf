"""Write a TIFF of strips or tiles that are there already, compressed."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from blemish.images.formats._tiff_directory import (
    STRIP_OFFSETS,
    STRIP_SIZES,
    TILE_OFFSETS,
    TILE_SIZES,
    TILE_WIDTH,
)
from blemish.images.formats._tiff_guards import Parts

_SHORT, _LONG, _LONG8 = 3, 4, 16
_FORMATS = {_SHORT: "H", _LONG: "I", _LONG8: "Q"}


def tiff(order: str, tags: dict[int, tuple[int, ...]], strips: Sequence[Parts]) -> bytes:
    """A TIFF of these strips, or tiles where the tags have a width of tiles, each given in parts.

    `order` is "<" or ">". It becomes a BigTIFF only where it has to: Pillow reads none that is
    big-endian.
    """
    sizes = np.array([sum(map(len, parts)) for parts in strips])
    about = int(sizes.sum()) + 16 * len(sizes) + 8 * sum(map(len, tags.values())) + 1000
    wide = about >= 1 << 32
    tiled = TILE_WIDTH in tags
    offsets_tag = TILE_OFFSETS if tiled else STRIP_OFFSETS
    fields = {tag: _field(order, values) for tag, values in tags.items()}
    fields[TILE_SIZES if tiled else STRIP_SIZES] = _places(order, sizes, wide=wide)
    # The directory is as long whatever the offsets are.
    fields[offsets_tag] = _places(order, sizes, wide=wide)
    start = len(_head(order, fields, wide=wide))
    fields[offsets_tag] = _places(order, start + np.cumsum(sizes) - sizes, wide=wide)
    head = _head(order, fields, wide=wide)
    return b"".join([head, *(part for parts in strips for part in parts)])


def head_alone(order: str, tags: dict[int, tuple[int, ...]]) -> bytes:
    """The start of a TIFF, up to the end of its only directory, which is of these tags.

    Raises ValueError for one that Pillow would not read.
    """
    wide = max(map(max, tags.values())) >= 1 << 32
    if wide and order == ">":
        raise ValueError("a BigTIFF in the order of bytes that is not read")
    return _head(order, {tag: _field(order, values) for tag, values in tags.items()}, wide=wide)


def _head(order: str, fields: dict[int, tuple[int, bytes]], *, wide: bool) -> bytes:
    place, inline = ("Q", 8) if wide else ("I", 4)
    head = (b"II" if order == "<" else b"MM") + (
        struct.pack(order + "HHHQQ", 43, 8, 0, 16, len(fields))
        if wide
        else struct.pack(order + "HIH", 42, 8, len(fields))
    )
    values_at = len(head) + (4 + 2 * inline) * len(fields) + inline
    entries, values = [head], []
    for tag, (kind, content) in sorted(fields.items()):
        count = len(content) // struct.calcsize("=" + _FORMATS[kind])
        entries.append(struct.pack(order + "HH" + place, tag, kind, count))
        if len(content) <= inline:
            entries.append(content.ljust(inline, b"\0"))
        else:
            entries.append(struct.pack(order + place, values_at))
            values.append(content)
            values_at += len(content)
    entries.append(bytes(inline))  # no other directory
    return b"".join([*entries, *values])


def _places(order: str, values: NDArray[np.int64], *, wide: bool) -> tuple[int, bytes]:
    return _LONG8 if wide else _LONG, values.astype(f"{order}u{8 if wide else 4}").tobytes()


def _field(order: str, values: tuple[int, ...]) -> tuple[int, bytes]:
    most = max(values)
    kind = _SHORT if most < 1 << 16 else _LONG if most < 1 << 32 else _LONG8
    return kind, struct.pack(f"{order}{len(values)}{_FORMATS[kind]}", *values)
