"""Open HDF5 files and the stacks of images in them; h5py is imported when the first is opened.

Files stay open for the next image. h5py has a lock of its own, so threads share them; no process
uses what another has opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blemish.errors import ImageError
from blemish.util.file_limit import refusal
from blemish.util.library_errors import reason_of, shortened, translated

_OPEN_FILES = 8
_CHUNK_CACHE = 256 << 20
_A_NAME = 300  # bytes of memory for what is listed of each image
_MOST_LINKS = 16  # soft links on the way to a dataset
_COPY_AGAIN = "copy it again from its source"


@dataclass(eq=False)
class Stack:
    """A dataset of images (h5py.Dataset), and what would take long to ask it each time.

    `spans` is int64 [N, 2], offset and size of each image in the file, once they were asked for.
    `filters` are the numbers of those that its chunks go through, in HDF5's order; `unpacked` the
    latest chunks that hold several images, by their place.
    """

    dataset: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    compression: str | None
    chunks: tuple[int, ...] | None = None
    filters: tuple[int, ...] = ()
    spans: NDArray[np.int64] | None = None
    unpacked: dict[tuple[int, ...], NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Any) -> Stack:
        """The stack in a dataset."""
        shape, chunks = tuple(dataset.shape), dataset.chunks
        if chunks is None:  # then there are no filters either, and it costs to ask
            return cls(dataset, shape, dataset.dtype, None)
        plan = dataset.id.get_create_plist()
        filters = tuple(plan.get_filter(number)[0] for number in range(plan.get_nfilters()))
        return cls(dataset, shape, dataset.dtype, dataset.compression, chunks, filters)

    @property
    def written(self) -> int:
        """How many images were ever written, by the number of chunks; not quick for many."""
        held = self.dataset.id
        if self.chunks is None:
            return self.count if held.get_storage_size() else 0
        sides = zip(self.shape, self.chunks, strict=True)
        chunks = prod(ceil(side / chunk) for side, chunk in sides)
        return int(self.count * held.get_num_chunks() // max(1, chunks))

    @property
    def count(self) -> int:
        """How many images there are."""
        return self.shape[0]


@dataclass(eq=False)
class OpenFile:
    """An open file (h5py.File), what it looked like when it was opened, and its stacks by name.

    `plain` are the names of groups to which no link leads out of the file, `heaps` the places of
    those heaps of words that were found whole.
    """

    path: str
    content: Any
    stamp: tuple[int, int, int]
    stacks: dict[str, Stack] = field(default_factory=dict)
    plain: set[str] = field(default_factory=set)
    heaps: set[int] = field(default_factory=set)


_files: dict[tuple[int, str], OpenFile] = {}


def open_file(path: str | os.PathLike[str]) -> OpenFile:
    """The file at `path`, open for reading, anew if it has changed since it was last used.

    Raises ImageError for a file that is missing, empty, cut off or no HDF5 file.
    """
    text = os.fspath(path).replace(os.sep, "/")
    try:
        status = os.stat(text)  # noqa: PTH116 - text, for speed
    except (OSError, ValueError) as error:  # the latter for a NUL in the name
        raise ImageError(f"{text} does not exist or cannot be reached; check the path") from error
    if not stat.S_ISREG(status.st_mode):  # HDF5 would wait for the other end of a pipe
        raise ImageError(f"{text} is no regular file; name an HDF5 file")
    stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
    key = (os.getpid(), text)
    held = _files.get(key)
    if held is None or held.stamp != stamp:
        held = None
        _files.pop(key, None)  # while the old one is open, HDF5 would serve its contents again
        held = _files[key] = OpenFile(text, _open(text, status.st_size), stamp)
        for old in list(_files)[:-_OPEN_FILES]:
            _files.pop(old, None)
    return held


def is_open(path: str) -> bool:
    """True where the file at `path` (with forward slashes) stays open."""
    return (os.getpid(), path) in _files


def close_files() -> None:
    """Close every file, so that they can be written again; what is read next is opened anew."""
    _files.clear()


@contextmanager
def naming_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Whatever goes wrong inside in the HDF5 library becomes an ImageError that names the path."""
    with translated(lambda reason: ImageError(f"{path} is damaged ({reason}); {_COPY_AGAIN}")):
        yield


def member(file: OpenFile, name: str) -> Any:
    """The group or dataset of that name; ImageError when there is none."""
    _refuse_link_elsewhere(file, name)
    found = file.content.get(name)
    if found is None:
        held = ", ".join(shortened(key) for key in islice(file.content, 6)) or "nothing"
        raise ImageError(f"{file.path} holds no {shortened(name)}, only {held}")
    if not is_dataset(found):  # a dataset is looked at by who reads it
        _refuse_linked(file, found)
    return found


def has_member(file: OpenFile, name: str) -> bool:
    """Whether there is a group or dataset of that name; ImageError for one in another file."""
    _refuse_link_elsewhere(file, name)
    return name in file.content


def stack_of(file: OpenFile, name: str) -> Stack:
    """The stack of images of that name; ImageError for any other dataset."""
    if name not in file.stacks:
        dataset = member(file, name)
        refuse_elsewhere(file, dataset)
        if not has_pixels(dataset, 3):
            raise ImageError(
                f"{file.path}: {name} is {description(dataset)}, no stack of images; "
                "store uint8 or uint16, [N, H, W] or [N, H, W, 3]"
            )
        refuse_count(f"{file.path}: {name}", len(dataset))
        cache = wanted_cache(dataset)
        if cache:
            del dataset  # else HDF5 would keep its small cache
            dataset = _with_cache(file, name, cache)
        stack = Stack.of(dataset)
        refuse_unknown_filter(f"{file.path}/{name}", stack)
        refuse_size(f"{file.path}/{name}", stack, stack.shape[1:])
        file.stacks[name] = stack
    return file.stacks[name]


def refuse_count(place: str, count: int) -> None:
    """Raise ImageError for so many images, or names, that a list of them would take too much."""
    refused = refusal(count * _A_NAME)
    if refused is not None:
        raise ImageError(f"{place} claims to hold {count} images, a list of which {refused}")


def refuse_size(place: str, stack: Stack, shape: tuple[int, ...]) -> None:
    """Raise ImageError for a stack whose images, of that shape, would take too much memory.

    What an image shares packed chunks with counts: they are unpacked together.
    """
    packed = prod(stack.chunks) if stack.chunks and stack.filters else 0
    refused = refusal(2 * max(prod(shape), packed) * stack.dtype.itemsize)
    if refused is not None:
        declared = f"images of {shape[1]} x {shape[0]} pixels in chunks of {stack.chunks}"
        raise ImageError(f"{place} declares {declared}, each of which {refused}")


def refuse_unknown_filter(place: str, stack: Stack) -> None:
    """Raise ImageError for chunks that are packed with a filter which is not installed."""
    if not stack.filters:
        return
    from h5py import h5z

    if lacking := [number for number in stack.filters if not h5z.filter_avail(number)]:
        raise ImageError(
            f"{place} is packed with the filter {lacking[0]}, which is not installed; pack it with "
            "gzip"
        )


def refuse_unwritten(file: OpenFile, stack: Stack) -> None:
    """Raise ImageError for a stack with images that were never written."""
    name, written = stack.dataset.name.strip("/"), stack.written
    if written < stack.count:
        raise ImageError(
            f"{file.path}: {name} declares {stack.count} images, and about {written} of them were "
            "ever written; write it again"
        )


def _refuse_link_elsewhere(file: OpenFile, name: str, links: int = 0) -> None:
    """Raise ImageError for a link on the way that leads into another file: it is not opened.

    It might be a pipe, whose other end HDF5 would wait for.
    """
    from h5py import h5l

    parent = name.rpartition("/")[0]
    if parent and parent not in file.plain:
        _refuse_link_elsewhere(file, parent, links)
        file.plain.add(parent)
    held, key = file.content.id.links, name.encode("utf-8", "surrogateescape")
    try:
        kind = held.get_info(key).type
    except (KeyError, RuntimeError):  # there is none of that name, as whoever gets it will see
        return
    if kind == h5l.TYPE_SOFT:
        if links == _MOST_LINKS:
            raise ImageError(f"{file.path}: {name} is a link that leads in a circle")
        target = held.get_val(key).decode("utf-8", "surrogateescape")
        found = target if target.startswith("/") else f"{parent}/{target}"
        _refuse_link_elsewhere(file, found.strip("/") or "/", links + 1)
    elif kind != h5l.TYPE_HARD:
        raise _points_elsewhere(file, name)


def refuse_elsewhere(file: OpenFile, dataset: Any) -> None:
    """Raise ImageError for a dataset whose values lie in another file."""
    _refuse_linked(file, dataset)
    if dataset.is_virtual or dataset.external:
        raise _points_elsewhere(file, dataset.name)


def _refuse_linked(file: OpenFile, found: Any) -> None:
    if Path(found.file.filename) != Path(file.path):
        raise _points_elsewhere(file, found.name)


def _points_elsewhere(file: OpenFile, name: str) -> ImageError:
    return ImageError(
        f"{file.path} only points to {shortened(name.strip('/'))} in another file; "
        "write the values into the file itself"
    )


def is_dataset(found: Any) -> bool:
    """True for a dataset, False for a group."""
    return hasattr(found, "shape")


def has_pixels(dataset: Any, dimensions: int) -> bool:
    """True for pixels in so many dimensions (2: an image, 3: a stack), or one more of colours."""
    shape: tuple[int, ...] = dataset.shape or ()
    dtype = dataset.dtype
    plain = len(shape) == dimensions or (len(shape) == dimensions + 1 and shape[-1] in (1, 3))
    known = (dtype.kind == "u" and dtype.itemsize <= 2) or dtype.kind == "b"
    return plain and known and all(shape[dimensions - 2 :])


def description(dataset: Any) -> str:
    """Type and shape, for a message."""
    return f"{shortened(str(dataset.dtype))} of the shape {dataset.shape}"


def wanted_cache(dataset: Any) -> int:
    """Bytes of the chunks that one image has a share in, where they hold other images too.

    With room for all of them, reading the images in order decodes each chunk once.
    """
    if not dataset.chunks or dataset.chunks[0] == 1:
        return 0
    sides = zip(dataset.shape[1:], dataset.chunks[1:], strict=True)
    chunks = prod(ceil(side / chunk) for side, chunk in sides)
    size: int = chunks * prod(dataset.chunks) * dataset.dtype.itemsize
    return min(_CHUNK_CACHE, size)


def _with_cache(file: OpenFile, name: str, size: int) -> Any:
    import h5py

    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(100_003, size, 0.75)
    return h5py.Dataset(h5py.h5d.open(file.content.id, name.encode(), access))


def _open(path: str, size: int) -> Any:
    import h5py

    if not size:
        raise ImageError(f"{path} is empty (0 bytes); {_COPY_AGAIN}")
    try:
        return h5py.File(path, "r", locking=False)
    except PermissionError as error:
        raise ImageError(f"{path} cannot be opened; check its rights") from error
    except Exception as error:  # for what is no HDF5 file, whatever it finds there
        if "truncated" in str(error):
            raise ImageError(f"{path} is cut off; {_COPY_AGAIN}") from error
        raise ImageError(
            f"{path} is damaged or no HDF5 file ({reason_of(error)}); {_COPY_AGAIN}"
        ) from error
