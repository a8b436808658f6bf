"""Parquet files: what their headers declare is added up before a value is unpacked.

The footer, and the header of every page, are structures of Thrift's compact protocol: fields with a
number and a type, of which only the few that matter are kept.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from blemish.errors import DatasetError
from blemish.util.file_limit import refusal
from blemish.util.files import read_regular
from blemish.util.library_errors import reason_of, silenced, translated

MOST_COLUMNS = 10_000
_MOST_PAGES = 100_000
_A_ROW = 300  # bytes of memory for what is listed of an image
_A_VALUE = 48  # bytes for a value: its place in a column of text, and in two that are made of it
_MAGIC = b"PAR1"

# Thrift's numbers of the types, and of the fields that are kept.
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_ROWS, _SCHEMA, _GROUPS = 3, 2, 4
_CHUNKS, _CHUNK, _VALUES, _PACKED, _DATA, _DICTIONARY = 1, 3, 5, 7, 9, 11
_UNPACKED_PAGE, _PACKED_PAGE = 2, 3
_PAGE_KINDS, _OF_DICTIONARY = (5, 7, 8), 7
_ENCODING = {5: 2, 7: 2, 8: 4}  # the field, by the kind of page
_AS_DIFFERENCES = 7  # an encoding in which each text may begin as all of the one before it
_GROUP_ROWS, _PATH = 3, 3

Fields = dict[int, Any]


def read_parquet(path: Path) -> pl.DataFrame:
    """The columns of a file. Raises DatasetError for one that is damaged or would take too much."""

    def damaged(reason: str) -> DatasetError:
        return DatasetError(f"{path} cannot be read as Parquet ({reason}); write it again.")

    try:
        data = read_regular(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {reason_of(error)}.") from error
    with translated(damaged):
        refused = _refusal(data)
        if refused is not None:
            raise DatasetError(f"{path} declares {refused}")
        with silenced():
            frame = pl.read_parquet(io.BytesIO(data))
        return _within_limit(frame, path)


def column_names(path: Path) -> list[str]:
    """The names of the columns. Raises DatasetError as `read_parquet` does."""
    with translated(lambda reason: DatasetError(f"{path} is no Parquet ({reason}).")):
        data = read_regular(path)
        _footer(data)
        return list(pl.read_parquet_schema(io.BytesIO(data)))


def _within_limit(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The frame, unless its texts, of which many may be one in the file, are too much together."""
    texts = [column for column in frame.iter_columns() if column.dtype == pl.String]
    refused = refusal(2 * sum(int(text.str.len_bytes().sum()) for text in texts))
    if refused is not None:
        raise DatasetError(f"{path} holds texts that {refused}")
    return frame


def _refusal(data: bytes) -> str | None:
    """Why a file is not unpacked, by what its headers declare. Raises ValueError for damage."""
    footer = _footer(data)
    rows = footer.get(_ROWS, 0)
    values = pages = unpacked = 0
    for chunk in _chunks(footer):
        for declared, held in _pages(data, chunk):
            pages, unpacked, values = pages + 1, unpacked + declared, values + held
            if pages > _MOST_PAGES:
                raise ValueError(f"it has more than {_MOST_PAGES} pages")
    values = max(values, rows * len(footer[_SCHEMA]))
    refused = refusal(unpacked + _A_ROW * rows + _A_VALUE * values)
    return None if refused is None else f"{rows} rows, which {refused}"


def _footer(data: bytes) -> Fields:
    if len(data) < 12 or data[:4] != _MAGIC or data[-4:] != _MAGIC:
        raise ValueError("it does not begin and end as Parquet does")
    size = int.from_bytes(data[-8:-4], "little")
    if size > len(data) - 12:
        raise ValueError("its footer is cut short")
    footer = _Reader(data, len(data) - 8 - size, len(data) - 8).struct()
    columns = footer.get(_SCHEMA)
    if not isinstance(columns, list) or not isinstance(footer.get(_ROWS, 0), int):
        raise ValueError("its footer lacks the columns")
    if len(columns) > MOST_COLUMNS:
        raise ValueError(f"it has more than {MOST_COLUMNS} columns")
    if footer.get(_ROWS, 0) < 0:
        raise ValueError("its number of rows is negative")
    return footer


def _chunks(footer: Fields) -> Iterator[Fields]:
    """What the footer says of each column in each group of rows."""
    groups = footer.get(_GROUPS) or []
    if sum(group.get(_GROUP_ROWS, 0) for group in groups) != footer.get(_ROWS, 0):
        raise ValueError("its groups of rows do not add up")
    for group in groups:
        for column in group.get(_CHUNKS) or ():
            chunk = column.get(_CHUNK)
            if not isinstance(chunk, dict):
                raise ValueError("a column lies in another file")
            flat = len(chunk.get(_PATH) or ()) == 1
            if flat and chunk.get(_VALUES) != group.get(_GROUP_ROWS):
                raise ValueError("a column has more or fewer values than there are rows")
            yield chunk


def _pages(data: bytes, chunk: Fields) -> Iterator[tuple[int, int]]:
    """The bytes unpacked and the values that each page of a chunk declares."""
    starts = [chunk[field] for field in (_DATA, _DICTIONARY) if chunk.get(field)]
    place = min(starts, default=0)
    end = place + chunk.get(_PACKED, 0)
    if not 0 <= place <= end <= len(data):
        raise ValueError("a column lies outside the file")
    values = 0
    while place < end:
        reader = _Reader(data, place, len(data))
        head = reader.struct()
        kind = next((kind for kind in _PAGE_KINDS if kind in head), 0)
        held = head[kind].get(1, 0) if kind else 0
        packed, unpacked = head.get(_PACKED_PAGE, -1), head.get(_UNPACKED_PAGE, -1)
        if min(packed, unpacked, held) < 0:
            raise ValueError("a page has no size")
        as_differences = kind and head[kind].get(_ENCODING[kind]) == _AS_DIFFERENCES
        yield unpacked * held if as_differences else unpacked, held
        values += held if kind != _OF_DICTIONARY else 0
        place = reader.place + packed
    if values != chunk.get(_VALUES):
        raise ValueError("a column is not made of the pages that it should be")


class _Reader:
    """Reads structures; ValueError beyond `end`, and for what is nested deeper than any is."""

    def __init__(self, data: bytes, place: int, end: int) -> None:
        self.data, self.place, self.end = data, place, end

    def struct(self, depth: int = 0) -> Fields:
        """The fields of a structure by their numbers; doubles and maps are left out."""
        fields: Fields = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            if kind in (_TRUE, _FALSE):
                fields[number] = kind == _TRUE
            else:
                fields[number] = self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > 12:
            raise ValueError("its headers are nested too deeply")
        if kind in (4, 5, 6):
            return self._signed()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth + 1)
        if kind == _BINARY:
            return self._skip(self._unsigned())
        if kind in (_TRUE, _FALSE, _BYTE):  # in a list a truth takes a byte
            return self._skip(1)
        if kind == _DOUBLE:
            return self._skip(8)
        raise ValueError("its headers hold what Parquet does not know")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        size = head >> 4 if head >> 4 < 15 else self._unsigned()
        if size > self.end - self.place:
            raise ValueError("its headers are cut short")
        if size > MOST_COLUMNS and head & 15 == _STRUCT:
            raise ValueError(f"it has more than {MOST_COLUMNS} columns or groups of rows")
        return [self._value(head & 15, depth) for _ in range(size)]

    def _skip(self, size: int) -> None:
        self.place += size
        if self.place > self.end:
            raise ValueError("its headers are cut short")

    def _byte(self) -> int:
        self._skip(1)
        return self.data[self.place - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError("its headers hold a number that is too long")
        return value | byte << shift

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
