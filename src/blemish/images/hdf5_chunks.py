"""Unpack the chunks of an HDF5 dataset that are packed with gzip, strictly.

HDF5 itself takes a stream that ends too early, and pads it, and one that never ends, until there is
no memory. Here each stream must give its chunk, no byte less or more, and end with its checksum.
"""

from __future__ import annotations

import itertools
import zlib
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blemish.images.hdf5_file import Stack, wanted_cache

_DEFLATE, _SHUFFLE = 1, 2  # HDF5's numbers of filters
_MOST_GROWTH = 1032  # bytes that a byte of gzip can give
_LITTLE = 64 << 20
_MOST_CHUNKS = 4096  # of an image; HDF5 itself reads one that is in more


def is_gzipped(stack: Stack) -> bool:
    """True where chunks are streams of gzip, of bytes in any order, and nothing else."""
    return stack.filters in ((_DEFLATE,), (_SHUFFLE, _DEFLATE))


def gzipped_image(stack: Stack, index: int | None) -> NDArray[Any] | None:
    """The image of that number, or the whole dataset; None where this is not for here.

    That is where the chunks have other filters or are too many, or one was never written.
    Raises ValueError for a chunk that is damaged, and whatever HDF5 does.
    """
    chunks = stack.chunks
    if chunks is None or not is_gzipped(stack):
        return None
    first = [0] * len(chunks) if index is None else [index, *[0] * (len(chunks) - 1)]
    last = list(stack.shape) if index is None else [index + 1, *stack.shape[1:]]
    axes = [_overlaps(*axis) for axis in zip(first, last, chunks, strict=True)]
    if prod(map(len, axes)) > _MOST_CHUNKS:
        return None
    image = np.empty([high - low for low, high in zip(first, last, strict=True)], stack.dtype)
    for overlaps in itertools.product(*axes):
        place, into, out = zip(*overlaps, strict=True)
        chunk = _chunk(stack, place, keep=index is not None and chunks[0] > 1)
        if chunk is None:
            return None
        image[into] = chunk[out]
    return image if index is None else image[0]


def _overlaps(low: int, high: int, step: int) -> list[tuple[int, slice, slice]]:
    """Along an axis: where each chunk begins, what it is of the image, and what that is of it."""
    return [
        (
            at,
            slice(max(low, at) - low, min(high, at + step) - low),
            slice(max(low, at) - at, min(high, at + step) - at),
        )
        for at in range(low - low % step, high, step)
    ]


def _chunk(stack: Stack, place: tuple[int, ...], *, keep: bool) -> NDArray[Any] | None:
    """The chunk at a place; None for one that was never written.

    Where all were, one that is not found is a sign of damage, which HDF5 would make blank.
    """
    known = stack.unpacked.get(place)
    if known is not None:
        return known
    try:
        left_out, data = stack.dataset.id.read_direct_chunk(place)
    except (OSError, RuntimeError, KeyError, ValueError):
        if stack.written == stack.count:
            raise
        return None
    shape = stack.chunks or ()
    chunk = unpacked(data, stack, left_out, prod(shape) * stack.dtype.itemsize)
    pixels = np.frombuffer(chunk, stack.dtype).reshape(shape)
    if keep:
        room = wanted_cache(stack.dataset) // max(1, pixels.nbytes)
        for old in list(stack.unpacked)[: max(0, len(stack.unpacked) + 1 - room)]:
            stack.unpacked.pop(old, None)
        if room:
            stack.unpacked[place] = pixels
    return pixels


def unpacked(data: bytes, stack: Stack, left_out: int, size: int) -> bytes:
    """The `size` bytes of a chunk, of whose filters the bits of `left_out` say which are not used.

    Raises ValueError where there are more or fewer, and for damage.
    """
    for number in reversed(range(len(stack.filters))):
        if left_out >> number & 1:
            continue
        if stack.filters[number] == _DEFLATE:
            data = _inflated(data, size)
        else:  # the first bytes of all values, then the second ones
            planes = np.frombuffer(data, np.uint8).reshape(stack.dtype.itemsize, -1)
            values = np.empty(planes.shape[::-1], np.uint8)
            for byte, plane in enumerate(planes):
                values[:, byte] = plane
            data = values.tobytes()
    if len(data) != size:
        raise ValueError(f"a chunk has {len(data)} bytes instead of {size}")
    return data


def _inflated(data: bytes, size: int) -> bytes:
    try:
        if _MOST_GROWTH * len(data) <= _LITTLE:
            return zlib.decompress(data, bufsize=size)  # quicker, and how much it gives is bounded
        stream = zlib.decompressobj()
        found = stream.decompress(data, size + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not stream.eof:
        raise ValueError(f"a chunk is not the {size} bytes that it should be")
    return found
