"""Exact duplicates: the same image under several names."""

from __future__ import annotations

import hashlib
import io
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from blemish.errors import ImageError
from blemish.images import hdf5
from blemish.util.file_limit import refusal
from blemish.util.files import open_regular

TAIL = 4096


def same_content(root: Path, names: Iterable[str]) -> list[list[str]]:
    """Groups of two or more distinct names whose files have equal bytes; files of 0 bytes apart.

    Compares sizes, then ends, then whole files, so that few files are read in full. Of an image
    inside an HDF5 file, the bytes are those that are stored. What cannot be read is in no group.
    """
    groups = [list(dict.fromkeys(names))]
    for trait in (_size, _end, _digest):
        groups = [part for group in groups for part in _divided(root, group, trait)]
    return groups


def _divided(root: Path, names: list[str], trait: Callable[[Path], object]) -> list[list[str]]:
    equal = defaultdict(list)
    for name in names:
        try:
            value = trait(root / name)
        except (OSError, ImageError):
            continue  # reading the image will tell
        if value:
            equal[value].append(name)
    return [group for group in equal.values() if len(group) > 1]


def _size(path: Path) -> object:
    if hdf5.file_and_name(path):
        stored = hdf5.stored(path)
        return stored.size and (stored.size, stored.form)
    return path.stat().st_size


def _end(path: Path) -> bytes:
    if hdf5.file_and_name(path):
        return hdf5.stored_bytes(path, last=TAIL)
    with open_regular(path) as file:
        file.seek(max(0, file.seek(0, io.SEEK_END) - TAIL))
        return file.read()


def _digest(path: Path) -> bytes:
    if hdf5.file_and_name(path):
        return hashlib.sha256(hdf5.stored_bytes(path)).digest()
    with open_regular(path) as file:
        if refusal(os.fstat(file.fileno()).st_size) is not None:
            return b""  # reading the image refuses it
        return hashlib.file_digest(file, "sha256").digest()
