"""Write a TIFF of strips or tiles that are there already, compressed."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

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
    place, inline = ("Q", 8) if wide else ("I", 4)
    places = _LONG8 if wide else _LONG
    tiled = TILE_WIDTH in tags
    fields = {tag: _field(order, values) for tag, values in tags.items()}
    numbers = f"{order}u{inline}"
    fields[TILE_SIZES if tiled else STRIP_SIZES] = places, sizes.astype(numbers).tobytes()
    offsets_tag = TILE_OFFSETS if tiled else STRIP_OFFSETS
    fields[offsets_tag] = fields[TILE_SIZES if tiled else STRIP_SIZES]  # as long, for the sum below

    head = (b"II" if order == "<" else b"MM") + (
        struct.pack(order + "HHHQQ", 43, 8, 0, 16, len(fields))
        if wide
        else struct.pack(order + "HIH", 42, 8, len(fields))
    )
    values_at = len(head) + (4 + 2 * inline) * len(fields) + inline
    outside = sum(len(content) for _, content in fields.values() if len(content) > inline)
    offsets = values_at + outside + np.cumsum(sizes) - sizes
    fields[offsets_tag] = places, offsets.astype(numbers).tobytes()

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
    return b"".join([*entries, *values, *(part for parts in strips for part in parts)])


def _field(order: str, values: tuple[int, ...]) -> tuple[int, bytes]:
    kind = _SHORT if max(values) < 1 << 16 else _LONG
    return kind, struct.pack(f"{order}{len(values)}{_FORMATS[kind]}", *values)
