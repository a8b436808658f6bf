"""Streams: HDF5 files that hold images, their masks and one value of each other column per image.

Images and masks are stacks, or groups of one dataset per image. The names that ISP-AD gives are
known too, under which `ground_truth` may also hold labels.
"""

from __future__ import annotations

import re
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from blemish.dataset.label_words import is_good, name_some
from blemish.errors import DatasetError
from blemish.images import hdf5
from blemish.images.hdf5_chunks import is_gzipped, unpacked
from blemish.images.hdf5_file import (
    OpenFile,
    Stack,
    description,
    has_member,
    has_pixels,
    is_dataset,
    member,
    naming_errors,
    open_file,
    refuse_count,
    refuse_elsewhere,
    refuse_unwritten,
    stack_of,
)
from blemish.images.hdf5_words import refuse_broken_heaps
from blemish.util.file_limit import refusal

IMAGES = ("image", "syn_stream")
MASKS = ("mask", "ground_truth")
LABELS = ("label", "labels")
OTHERS = ("category", "split", "defect", "part", "view")
GOOD = frozenset(["good", "ok", "normal"])

_BLOCK = 16 << 20
_KEPT_CHUNKS, _KEPT_BYTES = 1000, 4096


def image_name(path: Path) -> str:
    """The name of the images in the file; DatasetError where it cannot be told.

    The only stack of a file may have any name, if that, the file's or its folder's says good.
    """
    file = open_file(path)
    with naming_errors(path):
        name = _first(file, IMAGES)
        if name is not None:
            return name
        refuse_count(str(path), len(file.content))
        held: list[str] = list(file.content)
        stacks = [n for n in held if _is_stack(file, n)]
    if len(stacks) == 1 and GOOD & {*words(path.parent.name), *words(path.stem), *words(stacks[0])}:
        return stacks[0]
    raise DatasetError(
        f"{path} holds no images under the name {' or '.join(IMAGES)}, only "
        f"{name_some(held) or 'nothing'}; rename them in the file."
    )


def words(name: str) -> list[str]:
    """The words in a name, lower case."""
    return re.findall(r"[a-z]+", name.lower())


def images(path: Path, name: str | None = None) -> list[Path]:
    """The path of every image of the stream, or of those under that name in its file."""
    stack = path / (name or image_name(path))
    return [stack / key for key in hdf5.item_names(stack)]


def read_stream(path: Path) -> pl.DataFrame:
    """What a stream says of each image: `image`, and what it has of mask, label and `OTHERS`.

    All are words; paths are relative to the file's folder. Where only masks tell, an image is
    defective if its mask has any foreground; a good one has no mask here.
    Raises DatasetError for columns that do not fit the images, ImageError as reading does.
    """
    name = image_name(path)
    file = open_file(path)
    with naming_errors(path):
        if is_dataset(member(file, name)):
            refuse_unwritten(file, stack_of(file, name))
        keys = hdf5.item_names(path / name)
        truth, label = _first(file, MASKS), _first(file, LABELS)
        if truth is not None and not _holds_masks(file, truth):
            truth, label = None, label or truth
        start = f"{path.name}/{name}/"
        columns: dict[str, Any] = {"image": [start + key for key in keys]}
        if truth is not None:
            _check_masks(path, name, keys, truth)
            start = f"{path.name}/{truth}/"
            columns["mask"] = [start + key for key in keys]
        if label is not None:
            columns["label"] = _values(file, label, keys)
        elif truth is not None:
            shown = has_foreground(path, truth)
            columns["label"] = np.where(shown, "defective", "good").tolist()
        elif name == "syn_stream":
            raise DatasetError(
                f"{path} holds {name} but neither {MASKS[1]} nor {LABELS[0]}, so that nothing says "
                "which images are good; add one of them."
            )
        columns |= {c: _values(file, c, keys) for c in OTHERS if has_member(file, c)}
    table = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    if truth is None:
        return table
    return table.with_columns(mask=pl.when(is_good("label").not_()).then("mask"))


def has_foreground(path: Path, name: str) -> NDArray[np.bool_]:
    """Which masks, in a stack or group, have a pixel that is not 0; memory does not grow."""
    file = open_file(path)
    if not is_dataset(member(file, name)):
        return np.array([hdf5.read_item(mask).any() for mask in images(path, name)], bool)
    of_stack = stack_of(file, name)
    stack = of_stack.dataset
    with naming_errors(f"{path}/{name}"):
        if stack.chunks == (1, *stack.shape[1:]):
            return _by_distinct_chunk(of_stack)
        found = np.zeros(len(stack), bool)
        rest = tuple(range(1, stack.ndim))
        for box in _boxes(stack):
            found[box[0]] |= stack[box].any(axis=rest)
    return found


def _by_distinct_chunk(of_stack: Stack) -> NDArray[np.bool_]:
    """For a chunk per mask: equal bytes decode to equal masks, and blank ones have equal bytes."""
    stack = of_stack.dataset
    found = np.full(len(stack), bool(stack.fillvalue))  # of masks that were never written
    blank = bytes(prod(stack.shape[1:]) * stack.dtype.itemsize)
    gzipped = is_gzipped(of_stack)
    known: dict[tuple[int, bytes], bool] = {}
    for place in _written(stack):
        key = stack.id.read_direct_chunk(place)
        shown = known.get(key)
        if shown is None:
            if gzipped:
                shown = unpacked(key[1], of_stack, key[0], len(blank)) != blank
            else:
                shown = bool(stack[place[0]].any())
            if len(key[1]) <= _KEPT_BYTES and len(known) < _KEPT_CHUNKS:
                known[key] = shown
        found[place[0]] = shown
    return found


def _written(stack: Any) -> list[tuple[int, ...]]:
    """Where the chunks begin that were written."""
    places: list[tuple[int, ...]] = []
    stack.id.chunk_iter(lambda chunk: places.append(chunk.chunk_offset))
    return places


def _boxes(stack: Any) -> list[tuple[slice, ...]]:
    """What to look at of a stack: its chunks, or blocks of images where there are none."""
    if not stack.chunks:
        step = max(1, _BLOCK // max(1, prod(stack.shape[1:]) * stack.dtype.itemsize))
        return [(slice(start, start + step),) for start in range(0, len(stack), step)]
    if stack.fillvalue:
        return list(stack.iter_chunks())
    return [
        tuple(slice(at, at + step) for at, step in zip(place, stack.chunks, strict=True))
        for place in _written(stack)
    ]


def _first(file: OpenFile, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if has_member(file, name)), None)


def _is_stack(file: OpenFile, name: str) -> bool:
    found = member(file, name)
    if not is_dataset(found):
        return False
    refuse_elsewhere(file, found)
    return has_pixels(found, 3)


def _holds_masks(file: OpenFile, name: str) -> bool:
    """True for masks, False for one label for each image."""
    found = member(file, name)
    if not is_dataset(found):
        first = next(iter(found), None)
        if first is None:
            return False
        found = member(file, f"{name}/{first}")
        return is_dataset(found) and bool(found.shape)
    refuse_elsewhere(file, found)
    return len(found.shape or ()) > 2


def _check_masks(path: Path, name: str, keys: list[str], truth: str) -> None:
    count = len(member(open_file(path), truth))
    if count != len(keys):
        raise DatasetError(
            f"{path} holds {len(keys)} images in {name} but {count} masks in {truth}; "
            "write one for each image."
        )
    masks = hdf5.item_names(path / truth)
    if masks != keys:
        lacking = sorted(set(keys) - set(masks))
        raise DatasetError(
            f"{path} holds images in {name} without a mask of that name in {truth}: "
            f"{name_some(lacking)}; name each mask like its image."
        )


def _refuse_unreadable(file: OpenFile, name: str, words: Any) -> None:
    """Raise for words that would take too much memory, or of which HDF5 would not return."""
    refused = refusal(prod(words.shape) * words.dtype.itemsize)
    if refused is not None:
        raise DatasetError(f"{file.path}: {name} declares {description(words)}, which {refused}")
    refuse_broken_heaps(file, words)


def _values(file: OpenFile, name: str, keys: list[str]) -> list[str | None]:
    """A column as words; empty ones are None."""
    found = member(file, name)
    if not is_dataset(found):
        lacking = [key for key in keys if key not in found]
        if lacking:
            raise DatasetError(f"{file.path} holds no {name} of {name_some(lacking)}; add them.")
        items = [member(file, f"{name}/{key}") for key in keys]
        for item in items:
            if not is_dataset(item) or item.shape not in ((), (1,)):
                raise DatasetError(f"{file.path}: {name} holds more than a word of an image.")
            refuse_elsewhere(file, item)
            _refuse_unreadable(file, name, item)
        values = [item[()] for item in items]
    else:
        refuse_elsewhere(file, found)
        text = found.dtype.kind in "SO"
        if found.shape not in ((len(keys),), (len(keys), 1)) or found.dtype.kind not in "SObiuf":
            raise DatasetError(
                f"{file.path}: {name} is {description(found)}, not one number or word for each of "
                f"the {len(keys)} images."
            )
        _refuse_unreadable(file, name, found)
        values = (found.asstr()[()] if text else found[()]).ravel().tolist()
    return [str(value).strip() or None for value in values]
