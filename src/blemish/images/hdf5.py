"""Images inside HDF5 files, addressed by a path through the file: `train.h5/image/000123`.

The number counts along the first axis of a stack: [N, H, W] or [N, H, W, 1 or 3] of uint8, uint16
or bool, which becomes 0 and 255. Where a group is in the stack's place, every image is a dataset of
its own: `train.h5/image/left side`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

from blemish.errors import ImageError
from blemish.images.hdf5_chunks import gzipped_image
from blemish.images.hdf5_file import (
    OpenFile,
    Stack,
    description,
    has_pixels,
    is_dataset,
    is_open,
    member,
    naming_errors,
    open_file,
    refuse_count,
    refuse_elsewhere,
    refuse_size,
    refuse_unknown_filter,
    stack_of,
)
from blemish.util.files import leads_out, open_regular
from blemish.util.library_errors import shortened

SUFFIXES = (".h5", ".hdf5")

_THROUGH = re.compile(r"\.(?:h5|hdf5)(?=/.)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class _Item:
    """One image: `index` in a stack, or None for a dataset of its own. Holding it keeps it open."""

    file: OpenFile
    stack: Stack
    index: int | None

    @property
    def shape(self) -> tuple[int, ...]:
        """[H, W] or [H, W, channels]."""
        return self.stack.shape if self.index is None else self.stack.shape[1:]

    @property
    def bytes(self) -> int:
        """The size of its pixels."""
        return prod(self.shape) * self.stack.dtype.itemsize


@dataclass(frozen=True)
class StoredImage:
    """An image's bytes as they lie in its file, and `form`, which gives them their meaning.

    Images of one form with equal bytes have equal pixels. `offset` is None where an image is not
    one run of bytes in the file; `size` is then that of its pixels.
    """

    form: tuple[Any, ...]
    size: int
    offset: int | None


def file_and_name(path: str | os.PathLike[str]) -> tuple[str, str] | None:
    """The HDF5 file and the name inside it of a path through one; None for any other path."""
    text = os.fspath(path).replace(os.sep, "/")
    for match in _THROUGH.finditer(text):
        file = text[: match.end()]
        if is_open(file) or not os.path.isdir(file):  # noqa: PTH112 - text, for speed
            return file, text[match.end() + 1 :]
    return None


def files_on_disk(root: Path, names: Iterable[str]) -> Iterator[str]:
    """The file that each name below `root` lies in: the name itself, or that of an HDF5 file.

    Looks at the disk once for each stack, not for each image.
    """
    of_stack: dict[str, str | None] = {}
    for name in names:
        if _THROUGH.search(name) is None:
            yield name
            continue
        stack = name.rpartition("/")[0]
        if stack not in of_stack:
            inside = file_and_name(root / name)
            of_stack[stack] = inside and name[: -len(inside[1]) - 1]
        yield of_stack[stack] or name


def read_item(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read one image as it is stored: uint8 or uint16, [H, W] or [H, W, 3].

    Raises ImageError for a file that is missing, cut off or damaged, for a name or number that it
    does not hold, and for pixels of another type or shape.
    """
    item = _located(path)
    with naming_errors(path):
        pixels = gzipped_image(item.stack, item.index)
        if pixels is None:
            dataset = item.stack.dataset
            pixels = np.asarray(dataset[()] if item.index is None else dataset[item.index])
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))


def item_shape(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width of an image in pixels, without reading it. Raises as `read_item`."""
    height, width = _located(path).shape[:2]
    return height, width


def item_depth(path: str | os.PathLike[str]) -> str:
    """Tell "uint8" or "uint16" without reading a pixel. Raises as `read_item`."""
    return "uint16" if _located(path).stack.dtype.itemsize == 2 else "uint8"


def stack_shape(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Height and width of the images of a stack; None for any other path, there or not."""
    inside = file_and_name(path)
    if inside is None:
        return None
    try:
        with naming_errors(path):
            height, width = stack_of(open_file(inside[0]), inside[1]).shape[1:3]
    except ImageError:
        return None
    return height, width


def holds(path: str | os.PathLike[str]) -> bool:
    """True for a path through an HDF5 file to an image that is there."""
    try:
        return file_and_name(path) is not None and bool(_located(path))
    except ImageError:
        return False


def item_names(path: str | os.PathLike[str]) -> list[str]:
    """The last steps of the paths of all images in a stack or group, in their order.

    The numbers of a stack are padded with zeros to one length, of six digits or more.
    Raises ImageError as `read_item` does.
    """
    file, name = _split(path)
    opened = open_file(file)
    with naming_errors(path):
        group = member(opened, name)
        if not is_dataset(group):
            refuse_count(str(path), len(group))
            return _plain_steps(path, list(group))
        count = stack_of(opened, name).count
    width = max(6, len(str(count - 1)))
    return [f"{number:0{width}}" for number in range(count)]


def _plain_steps(path: str | os.PathLike[str], names: list[str]) -> list[str]:
    """The names of a group's items; ImageError for one that is more than a step on a path."""
    odd = next(filter(_is_odd, names), None)
    if odd is not None:
        shown = shortened(ascii(odd))
        raise ImageError(f"{path} holds an item named {shown}, which no file can be; rename it")
    return names


def _is_odd(name: str | bytes) -> bool:
    """Whether no file has this name; h5py gives what is no UTF-8 as bytes."""
    if isinstance(name, bytes) or "/" in name or leads_out(name):
        return True
    return not name.isprintable() and any(category(letter) in ("Cc", "Cs") for letter in name)


def stored(path: str | os.PathLike[str]) -> StoredImage:
    """Where the bytes of an image lie; size 0 for one that was never written. Raises ImageError."""
    item = _located(path)
    stack = item.stack
    if stack.spans is None:
        with naming_errors(path):
            stack.spans = _spans(item)
    form = (item.shape, stack.dtype.str, stack.compression)
    if not len(stack.spans):
        return StoredImage(form, item.bytes, None)
    offset, size = stack.spans[item.index or 0].tolist()
    return StoredImage(form, size, offset)


def stored_bytes(path: str | os.PathLike[str], last: int | None = None) -> bytes:
    """The bytes that `stored` tells of, all or the last so many; else those of the pixels."""
    where = stored(path)
    if where.offset is None:
        data = read_item(path).tobytes()
        return data if last is None else data[-last:]
    skipped = 0 if last is None else max(0, where.size - last)
    with open_regular(_split(path)[0]) as file:
        file.seek(where.offset + skipped)
        return file.read(where.size - skipped)


def _spans(item: _Item) -> NDArray[np.int64]:
    """Offset and size in the file of every image of a stack, [N, 2]; [0, 2] if they are no runs."""
    dataset = item.stack.dataset
    count = 1 if item.index is None else item.stack.count
    none = np.empty((0, 2), np.int64)
    if item.file.content.userblock_size:  # from which HDF5 counts, or not, by its version
        return none
    if dataset.chunks is None:
        start = dataset.id.get_offset()
        if start is None:
            return none
        size = np.full(count, item.bytes)
        return np.stack([start + np.arange(count) * item.bytes, size], axis=1)
    if item.index is None or dataset.chunks != (1, *item.shape):
        return none
    spans = np.zeros((count, 2), np.int64)

    def note(chunk: Any) -> None:
        spans[chunk.chunk_offset[0]] = chunk.byte_offset, chunk.size

    dataset.id.chunk_iter(note)
    return spans


def _split(path: str | os.PathLike[str]) -> tuple[str, str]:
    inside = file_and_name(path)
    if inside is None:
        raise ImageError(f"{path} is no path through an HDF5 file, such as train.h5/image/000123")
    return inside


def _located(path: str | os.PathLike[str]) -> _Item:
    file, name = _split(path)
    opened = open_file(file)
    parent, _, last = name.rpartition("/")
    stack = opened.stacks.get(parent)
    if stack is None:
        with naming_errors(path):
            if not parent or not is_dataset(member(opened, parent)):
                return _Item(opened, _single(opened, name), None)
            stack = stack_of(opened, parent)
    if not (last.isascii() and last.isdigit() and int(last) < stack.count):
        raise ImageError(f"{file} has no image {last} in {parent}, which holds {stack.count}")
    return _Item(opened, stack, int(last))


def _single(file: OpenFile, name: str) -> Stack:
    """The dataset that is one image."""
    dataset = member(file, name)
    if not is_dataset(dataset):
        raise ImageError(f"{file.path}/{name} is a group; name one of the images in it")
    refuse_elsewhere(file, dataset)
    if has_pixels(dataset, 2):
        stack = Stack.of(dataset)
        refuse_unknown_filter(f"{file.path}/{name}", stack)
        refuse_size(f"{file.path}/{name}", stack, stack.shape)
        return stack
    if has_pixels(dataset, 3):
        raise ImageError(f"{file.path}/{name} is a stack; add a number, as in {name}/000123")
    raise ImageError(
        f"{file.path}/{name} is {description(dataset)}, no image; store uint8 or uint16, "
        "[H, W] or [H, W, 3]"
    )
