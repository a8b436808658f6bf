"""The feature cache on disk: float16 rows in append-only shards that survive a kill at any byte.

Every writer appends to a shard of its own, so no lock is needed; an index entry is written after
its row and carries a checksum, so a row cut short by a kill is found and computed again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import struct
import time
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from blemish.errors import ImageError
from blemish.images import hdf5
from blemish.util.files import digest_regular, open_regular, read_regular

log = logging.getLogger("blemish")

Half = npt.NDArray[np.float16]

_SHARDS = (".rows", ".index")
_EMPTY = re.compile(r"[0-9a-f]{32}")  # the name of a shelf that has no shard yet
DEFAULT_LIMIT = 8 * 2**30  # bytes
_ENTRY = struct.Struct("<32sIIQI")  # image key, crop, crops of the image, offset, checksum


def default_folder() -> Path:
    """`BLEMISH_CACHE`, or the user's cache folder on this system."""
    if named := os.environ.get("BLEMISH_CACHE"):
        return Path(named)
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "blemish" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "blemish"


def image_key(path: Path) -> bytes:
    """sha256 of a file's bytes: the same picture under another name is the same key.

    Of an image inside an HDF5 file, of its type, shape and pixels.
    """
    if hdf5.file_and_name(path):
        pixels = hdf5.read_item(path)
        head = f"{pixels.dtype} {pixels.shape} ".encode()
        return hashlib.sha256(head + pixels.tobytes()).digest()
    try:
        return digest_regular(path)
    except OSError as error:
        raise ImageError(f"{path} cannot be opened ({error.strerror}); check the path") from error


def picture_name(path: Path) -> str:
    """The first 16 hex digits of its key: what a picture is known by in a model's card."""
    return image_key(path)[:8].hex()


@dataclass(frozen=True)
class Entry:
    """Where the row of one crop lies, and how many crops its image has."""

    shard: Path
    offset: int
    crops: int
    checksum: int


class Shelf:
    """The cached rows of one recipe: (image key, crop) -> float16 [width]."""

    def __init__(self, folder: Path, width: int) -> None:
        self.folder = folder
        self.width = width
        folder.mkdir(parents=True, exist_ok=True)
        self._entries: dict[tuple[bytes, int], Entry] = {}
        self._told = False  # that something is damaged
        for index in sorted(folder.glob("*.index")):
            self._load(index)
        # In the order of time: what was computed again counts, not the damaged row before it.
        self._shard = folder / f"{time.time_ns():020}-{uuid.uuid4().hex}.rows"
        self._rows: BinaryIO | None = None
        self._index: BinaryIO | None = None

    def crops(self, key: bytes) -> int:
        """How many crops of that image are here; 0 unless all of them are, and whole."""
        first = self._entries.get((key, 0))
        if first is None:
            return 0
        if all(self._whole(key, crop) for crop in range(first.crops)):
            return first.crops
        self._tell_damage()
        return 0

    def get(self, key: bytes, crop: int) -> Half:
        """The row of one crop; `crops` has said that it is here."""
        return np.array(self._map(self.entry(key, crop)))  # a copy lets go of the file's pages

    def entry(self, key: bytes, crop: int) -> Entry:
        """Where that row lies."""
        return self._entries[key, crop]

    def put(self, key: bytes, crop: int, crops: int, row: Half) -> Entry:
        """Append a row, then the index entry that makes it count."""
        if self._rows is None or self._index is None:
            self._rows = self._shard.open("ab")
            self._index = self._shard.with_suffix(".index").open("ab")
        entry = Entry(self._shard, self._rows.tell(), crops, _checksum(key, crop, crops, row))
        self._rows.write(row.data)
        self._rows.flush()
        self._index.write(_ENTRY.pack(key, crop, crops, entry.offset, entry.checksum))
        self._index.flush()
        self._entries[key, crop] = entry
        return entry

    def close(self) -> None:
        """Close this writer's shard; reading goes on."""
        for file in (self._rows, self._index):
            if file is not None:
                file.close()
        self._rows = self._index = None

    def _load(self, index: Path) -> None:
        rows = index.with_suffix(".rows")
        try:
            data = read_regular(index)
            with open_regular(rows) as file:
                held = os.fstat(file.fileno()).st_size // (2 * self.width)
        except OSError:
            data, held = b"", -1
        whole = len(data) - len(data) % _ENTRY.size
        if whole > held * _ENTRY.size:  # more entries than rows: it was never written so
            self._tell_damage()
            whole = max(0, held) * _ENTRY.size
        for key, crop, crops, offset, checksum in _ENTRY.iter_unpack(data[:whole]):
            self._entries[key, crop] = Entry(rows, offset, crops, checksum)
        if held >= 0:
            index.touch()  # last use, for the size limit

    def _tell_damage(self) -> None:
        if not self._told:
            log.warning("the cache %s is damaged; what is lost is computed again", self.folder)
            self._told = True

    def _map(self, entry: Entry) -> Half:
        return np.memmap(entry.shard, np.float16, "r", entry.offset, (self.width,))

    def _whole(self, key: bytes, crop: int) -> bool:
        entry = self._entries.get((key, crop))
        try:
            return entry is not None and entry.checksum == _checksum(
                key, crop, entry.crops, self._map(entry)
            )
        except (OSError, ValueError, OverflowError):  # cleared, cut short, or a wild offset
            return False


def _checksum(key: bytes, crop: int, crops: int, row: Half) -> int:
    """Of a row and of what its index entry says about it."""
    return zlib.crc32(row.data, zlib.crc32(_ENTRY.pack(key, crop, crops, 0, 0)))


def shelves(folder: Path) -> Iterator[tuple[Path, int, float]]:
    """Each shelf's folder, its bytes, and when it was last used (seconds since 1970).

    A user may keep other things in the cache's folder: a shelf is a folder, no link to one, with
    nothing in it but shards.
    """
    for shelf in sorted(folder.glob("*")):
        try:
            if shelf.is_symlink() or not shelf.is_dir():
                continue
            files = {file: file.lstat() for file in shelf.iterdir()}
        except OSError:  # not ours to read, or another run cleared it
            continue
        if not files and not _EMPTY.fullmatch(shelf.name):
            continue
        if all(file.suffix in _SHARDS for file in files):
            used = max(
                (files[file].st_mtime for file in files if file.suffix == ".index"), default=0.0
            )
            yield shelf, sum(status.st_size for status in files.values()), used


def trim(folder: Path, limit: int = DEFAULT_LIMIT, *, keep: Path | None = None) -> None:
    """Delete the shelves used longest ago until the cache is within `limit` bytes."""
    found = sorted(shelves(folder), key=lambda shelf: shelf[2])
    total = sum(bytes_ for _, bytes_, _ in found)
    for shelf, bytes_, used in found:
        # One that was in use a minute ago may belong to a run beside this one.
        if total <= limit or shelf == keep or time.time() - used < 60:
            continue
        shutil.rmtree(shelf, ignore_errors=True)
        total -= bytes_


def clear(folder: Path) -> int:
    """Delete every shelf and say how many bytes that freed; nothing else in the folder goes."""
    freed = 0
    for shelf, bytes_, _ in list(shelves(folder)):
        shutil.rmtree(shelf, ignore_errors=True)
        freed += bytes_
    return freed
