"""Words of any length in an HDF5 file lie in heaps, and HDF5 never returns from a broken one.

So the heaps that a dataset of words refers to are walked through here before HDF5 reads them.
"""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from blemish.errors import ImageError
from blemish.images.hdf5_chunks import is_gzipped, unpacked
from blemish.images.hdf5_file import OpenFile, Stack
from blemish.util.files import open_regular

_REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("index", "<u4")])
_HEAD = struct.Struct("<4sB3xQ")  # signature, version, size of the whole heap
_OBJECT = struct.Struct("<HH4xQ")  # index, references, size


def refuse_broken_heaps(file: OpenFile, words: Any) -> None:
    """Raise ImageError where the words of a dataset lie in a heap that is damaged."""
    if words.dtype.kind != "O":
        return
    plan = file.content.id.get_create_plist()
    if plan.get_sizes() != (8, 8):  # how wide addresses are: no others were seen
        raise ImageError(f"{file.path} has addresses of an odd width; write it again")
    with open_regular(file.path) as opened:
        heaps = np.unique(_references(words, opened)["heap"])
        for heap in heaps[heaps > 0].tolist():
            if heap not in file.heaps and not _is_whole(opened, plan.get_userblock() + heap):
                raise ImageError(
                    f"{file.path} is damaged (the words of {words.name.strip('/')}); copy it again "
                    "from its source"
                )
            file.heaps.add(heap)


def _references(words: Any, file: IO[bytes]) -> NDArray[Any]:
    """Where the words lie; of none where they lie in a form that nobody writes."""
    stack = replace(Stack.of(words), dtype=_REFERENCE)  # as the words lie in the file
    size = _REFERENCE.itemsize
    if stack.chunks is None:
        start = words.id.get_offset()
        if start is None:
            return np.zeros(0, _REFERENCE)
        file.seek(start)
        held = file.read(min(words.id.get_storage_size(), size * words.size))
        return np.frombuffer(held[: len(held) // size * size], _REFERENCE)
    if stack.filters and not is_gzipped(stack):
        return np.zeros(0, _REFERENCE)
    places: list[tuple[int, ...]] = []
    words.id.chunk_iter(lambda chunk: places.append(chunk.chunk_offset))
    whole = int(np.prod(stack.chunks)) * size
    chunks = []
    for place in places:
        left_out, data = words.id.read_direct_chunk(place)
        chunks.append(np.frombuffer(unpacked(data, stack, left_out, whole), _REFERENCE))
    return np.concatenate(chunks) if chunks else np.zeros(0, _REFERENCE)


def _is_whole(file: IO[bytes], start: int) -> bool:
    """Whether the objects in a heap follow each other up to its end."""
    left = os.fstat(file.fileno()).st_size - start
    if left < _HEAD.size:
        return False
    file.seek(start)
    signature, version, size = _HEAD.unpack(file.read(_HEAD.size))
    if signature != b"GCOL" or version != 1 or not _HEAD.size <= size <= left:
        return False
    data = file.read(size - _HEAD.size)
    place = 0
    while place + _OBJECT.size <= len(data):
        index, _, held = _OBJECT.unpack_from(data, place)
        if held > len(data):
            return False
        # What is free counts itself, a word does not, and takes whole steps of 8 bytes.
        step = held if index == 0 else _OBJECT.size + -(-held // 8) * 8
        if step < _OBJECT.size:
            return False
        place += step
    return place <= len(data)
