"""A file of records to which only is added; what a kill cut off at its end is dropped."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blemish.errors import DatasetError
from blemish.util.array_files import arrays_of
from blemish.util.files import open_regular
from blemish.util.library_errors import translated

Record = Mapping[str, npt.NDArray[Any]]

_HEAD = struct.Struct("<II")  # length and CRC-32 of what follows


def packed(record: Record) -> bytes:
    """A record as bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **dict(record))  # type: ignore[arg-type]
    data = buffer.getvalue()
    return _HEAD.pack(len(data), zlib.crc32(data)) + data


def add(path: Path, record: bytes) -> None:
    """Add a packed record, and see it onto the disk."""
    with path.open("ab") as file:
        file.write(record)
        file.flush()
        os.fsync(file.fileno())


def records(path: Path) -> Iterator[tuple[int, Record]]:
    """The whole records from the start of the file, each with the position of its end."""
    if not path.exists():
        return
    try:
        file = open_regular(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}; begin anew.") from error
    with file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            data = file.read(min(length, os.fstat(file.fileno()).st_size))
            if not data or len(data) < length or zlib.crc32(data) != checksum:
                return
            with translated(lambda reason: DatasetError(f"{path} is no journal ({reason}).")):
                record = arrays_of(io.BytesIO(data))
            yield file.tell(), record


def cut(path: Path, end: int) -> None:
    """Drop what lies behind a position."""
    with path.open("ab") as file:
        file.truncate(end)
