"""The first directory of a TIFF: every tag lies inside the file, or the file is damaged."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from blemish.images.formats._header import size_of

KIND, WIDTH, HEIGHT, BITS, COMPRESSION = 254, 256, 257, 258, 259
PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP = 262, 266, 273, 277, 278
STRIP_SIZES, PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT = 279, 284, 317, 320, 322, 323
TILE_OFFSETS, TILE_SIZES, INNER, EXTRA_SAMPLES, SAMPLE_FORMAT = 324, 325, 330, 338, 339

# Compressions.
RAW, LZW, ADOBE_DEFLATE, PACK_BITS, DEFLATE, LZMA, ZSTD = 1, 5, 8, 32773, 32946, 34925, 50000

# The bytes of a value of each type, and the format of those that are whole numbers.
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BYTES |= {14: 2, 15: 8, 16: 8, 17: 8, 18: 8}
_WHOLE = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_USED = frozenset(
    {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, SAMPLES}
)
_USED |= {ROWS_PER_STRIP, STRIP_SIZES, PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT}
_USED |= {TILE_OFFSETS, TILE_SIZES, EXTRA_SAMPLES, SAMPLE_FORMAT, KIND, INNER}
_MOST_ENTRIES = 1 << 16
_MOST_VALUES = 1 << 16  # more strips than any picture within reason has
MOST_PAGES = 1000  # that are counted


@dataclass(frozen=True)
class Directory:
    """The first directory: the whole numbers of the tags that tell where and what the pixels are.

    `order` is "<" or ">". `offset` is where it begins and `next` where the next one does, 0 where
    there is none.
    """

    offset: int
    order: str
    big: bool
    tags: dict[int, tuple[int, ...]]
    next: int

    def first(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return self.tags.get(tag, (default,))[0]

    @property
    def width(self) -> int:
        """Pixels of a row, as stored."""
        return self.first(WIDTH, 0)

    @property
    def height(self) -> int:
        """Rows, as stored."""
        return self.first(HEIGHT, 0)

    @property
    def bits(self) -> tuple[int, ...]:
        """The bits of each sample of a pixel."""
        bits, samples = self.tags.get(BITS, (1,)), self.first(SAMPLES, 1)
        return bits * samples if len(bits) == 1 else bits[:samples]

    @property
    def tiled(self) -> bool:
        """Whether the pixels are in tiles, not in strips."""
        return STRIP_OFFSETS not in self.tags

    @property
    def piece(self) -> tuple[int, int]:
        """Width and height of a tile, or of a strip, of which the last may have fewer rows.

        Raises ValueError where they are nothing.
        """
        if self.tiled:
            width, height = self.first(TILE_WIDTH, 0), self.first(TILE_HEIGHT, 0)
        else:
            width, height = self.width, min(self.first(ROWS_PER_STRIP, self.height), self.height)
        if width < 1 or height < 1:
            raise ValueError("strips or tiles without rows")
        return width, height

    @property
    def planes(self) -> int:
        """How often the picture is covered: once, or once for each sample."""
        return len(self.bits) if self.first(PLANAR, 1) == 2 else 1

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """Offset and bytes of each strip or tile; ValueError where they do not fit the picture."""
        offsets = self.tags.get(TILE_OFFSETS if self.tiled else STRIP_OFFSETS, ())
        sizes = self.tags.get(TILE_SIZES if self.tiled else STRIP_SIZES, ())
        width, height = self.piece
        count = -(-self.width // width) * -(-self.height // height) * self.planes
        if len(offsets) != count or len(sizes) != count:
            raise ValueError(f"{len(offsets)} strips or tiles, of which {count} cover the picture")
        return list(zip(offsets, sizes, strict=True))


def directory(file: BinaryIO) -> Directory:
    """Read the first directory. Raises EOFError or ValueError for what lies outside the file."""
    file.seek(0)
    head = file.read(16)
    order = "<" if head.startswith(b"II") else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    place = "Q" if big else "I"
    try:
        (offset,) = struct.unpack_from(order + place, head, 8 if big else 4)
    except struct.error:
        raise EOFError("cut off") from None
    entry = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
    size, after = size_of(file), struct.calcsize(order + place)
    count = _count(file, offset, order, big=big)
    if file.tell() + count * entry.size + after > size:
        raise EOFError("cut off")
    if count > _MOST_ENTRIES:
        raise ValueError(f"{count} tags")
    listed = file.read(count * entry.size)
    (following,) = struct.unpack(order + place, file.read(after))
    tags: dict[int, tuple[int, ...]] = {}
    total = 0
    for tag, kind, values, content in entry.iter_unpack(listed):
        if tag in tags or kind not in _BYTES or not values:
            continue
        length, used = values * _BYTES[kind], tag in _USED and kind in _WHOLE
        if used and values > _MOST_VALUES:
            raise ValueError(f"{values} values of tag {tag}")
        if length > after:
            (at,) = struct.unpack(order + place, content)
            total += length
            if at + length > size or total > size:
                raise EOFError("cut off")
            if used:
                file.seek(at)
                content = file.read(length)
        if used:
            tags[tag] = struct.unpack(f"{order}{values}{_WHOLE[kind]}", content[:length])
    return Directory(offset, order, big, tags, following)


def pages(file: BinaryIO, first: Directory) -> int:
    """How many directories a file holds, counted to 1,001; a circle ends where it closes.

    Raises EOFError for one that lies outside the file.
    """
    place = "Q" if first.big else "I"
    after, entry = struct.calcsize(first.order + place), 20 if first.big else 12
    seen = {first.offset}
    offset = first.next
    while offset and offset not in seen and len(seen) <= MOST_PAGES:
        seen.add(offset)
        count = _count(file, offset, first.order, big=first.big)
        file.seek(count * entry, 1)
        content = file.read(after)
        if len(content) < after:
            raise EOFError("cut off")
        (offset,) = struct.unpack(first.order + place, content)
    return len(seen)


def _count(file: BinaryIO, offset: int, order: str, *, big: bool) -> int:
    kind = order + ("Q" if big else "H")
    length = struct.calcsize(kind)
    if offset + length > size_of(file):
        raise EOFError("cut off")
    file.seek(offset)
    (count,) = struct.unpack(kind, file.read(length))
    return int(count)
