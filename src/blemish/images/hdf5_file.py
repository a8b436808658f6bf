"""Open HDF5 files and the stacks of images in them; h5py is imported when the first is opened.

Files stay open for the next image. h5py has a lock of its own, so threads share them; no process
uses what another has opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blemish.errors import ImageError

_OPEN_FILES = 8
_CHUNK_CACHE = 256 << 20
_MOST_IMAGES = 50_000_000
_COPY_AGAIN = "copy it again from its source"


@dataclass(eq=False)
class Stack:
    """A dataset of images (h5py.Dataset), and what would take long to ask it each time.

    `spans` is int64 [N, 2], offset and size of each image in the file, once they were asked for.
    """

    dataset: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    compression: str | None
    spans: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, dataset: Any) -> Stack:
        """The stack in a dataset."""
        return cls(dataset, tuple(dataset.shape), dataset.dtype, dataset.compression)

    @property
    def count(self) -> int:
        """How many images there are."""
        return self.shape[0]


@dataclass(eq=False)
class OpenFile:
    """An open file (h5py.File), what it looked like when it was opened, and its stacks by name."""

    path: str
    content: Any
    stamp: tuple[int, int, int]
    stacks: dict[str, Stack] = field(default_factory=dict)


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
    try:
        yield
    except MemoryError as error:
        raise ImageError(f"{path} needs more memory than is free; store smaller images") from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ImageError(f"{path} is damaged ({error}); {_COPY_AGAIN}") from error


def member(file: OpenFile, name: str) -> Any:
    """The group or dataset of that name; ImageError when there is none."""
    found = file.content.get(name)
    if found is None:
        held = ", ".join(list(file.content)[:6]) or "nothing"
        raise ImageError(f"{file.path} holds no {name}, only {held}")
    if not is_dataset(found):  # a dataset is looked at by who reads it
        _refuse_linked(file, found)
    return found


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
        if len(dataset) > _MOST_IMAGES:
            raise ImageError(f"{file.path}: {name} claims to hold {len(dataset)} images; split it")
        cache = _wanted_cache(dataset)
        if cache:
            del dataset  # else HDF5 would keep its small cache
            dataset = _with_cache(file, name, cache)
        file.stacks[name] = Stack.of(dataset)
    return file.stacks[name]


def refuse_elsewhere(file: OpenFile, dataset: Any) -> None:
    """Raise ImageError for a dataset whose values lie in another file."""
    _refuse_linked(file, dataset)
    if dataset.is_virtual or dataset.external:
        raise _points_elsewhere(file, dataset)


def _refuse_linked(file: OpenFile, found: Any) -> None:
    if Path(found.file.filename) != Path(file.path):
        raise _points_elsewhere(file, found)


def _points_elsewhere(file: OpenFile, found: Any) -> ImageError:
    return ImageError(
        f"{file.path} only points to {found.name.strip('/')} in another file; "
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
    return f"{dataset.dtype} of the shape {dataset.shape}"


def _wanted_cache(dataset: Any) -> int:
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
    except OSError as error:
        if "truncated" in str(error):
            raise ImageError(f"{path} is cut off; {_COPY_AGAIN}") from error
        raise ImageError(f"{path} is damaged or no HDF5 file ({error}); {_COPY_AGAIN}") from error
