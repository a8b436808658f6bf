"""Write the HDF5 file of a stream so that a kill at any moment loses no finished block.

Images lie in the file one after the other, so that each block has its place before anything is
written, and processes write into it at once. Everything else of a block goes into a journal. Only
at the end is the file's structure written, around the images: the first HEAD bytes and what follows
them. A kill in between costs nothing, as that is written anew from the journal.
"""

from __future__ import annotations

import os
import shutil
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from blemish.errors import ArtifactError, BudgetExceeded
from blemish.prepare import journal
from blemish.prepare.patch_augmentation import Transform
from blemish.prepare.plates import UNPACKED, unmap_plates
from blemish.prepare.worker_pool import map_in_order
from blemish.util.files import is_disk_full
from blemish.util.progress import Progress, ShowProgress

BLOCK = 128  # images
HEAD = 4096  # bytes before the first image

_MAPPED = 64  # images, after which plates are let go of: what is mapped counts as memory

_IMAGES, _JOURNAL = "images", "journal"
_LEVEL = 6  # of the masks' compression; there is little in them


@dataclass(frozen=True, eq=False)
class Item:
    """A patch, its mask bool [h, w], and where it comes from.

    `plate` and `defect` count in the stream's names of plates and kinds; `defect` is None for a
    good patch. `transform` is float64 [2, 3], from the patch to the plate. `mark` is the number of
    a real defect, which has several patches; -1 for any other.
    """

    image: npt.NDArray[Any]
    mask: npt.NDArray[np.bool_]
    plate: int
    transform: Transform
    defect: int | None
    mark: int = -1


class Maker(Protocol):
    """What makes the items of a stream: the same one for the same number, in any process."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of each image."""

    @property
    def dtype(self) -> str:
        """Of each image: uint8 or uint16."""

    def __call__(self, number: int) -> Item:
        """The item of that number."""


@dataclass(frozen=True)
class Names:
    """What the items' numbers stand for."""

    plates: Sequence[str]
    defects: Sequence[str]


@dataclass(frozen=True)
class _Block:
    """Makes one block: writes its images into the file, and packs the rest as a record."""

    maker: Maker
    file: Path

    def __call__(self, span: tuple[int, int]) -> bytes:
        start, stop = span
        images = np.empty((stop - start, *self.maker.shape), self.maker.dtype)
        items = []
        for number in range(start, stop):
            if number % _MAPPED == 0:
                unmap_plates()
            item = self.maker(number)
            images[number - start] = item.image
            items.append((item, _deflated(item.mask) if item.defect is not None else b""))
        with self.file.open("r+b") as file:
            file.seek(HEAD + start * images[0].nbytes)
            file.write(images.data)
            file.flush()
            os.fsync(file.fileno())
        masks = [mask for _, mask in items]
        defects = [-1 if item.defect is None else item.defect for item, _ in items]
        return journal.packed(
            {
                "start": np.array(start),
                "plate": np.array([item.plate for item, _ in items], np.int32),
                "defect": np.array(defects, np.int32),
                "mark": np.array([item.mark for item, _ in items], np.int32),
                "transform": np.array([item.transform for item, _ in items], np.float64),
                "sizes": np.array([len(mask) for mask in masks], np.int32),
                "masks": np.frombuffer(b"".join(masks), np.uint8),
            }
        )


def write_stream(
    maker: Maker,
    count: int,
    out: Path,
    folder: Path,
    names: Names,
    attributes: Mapping[str, Any],
    *,
    workers: int = 1,
    budget: float | None = None,
    progress: ShowProgress | None = None,
) -> int:
    """Write `count` items to `out`, on the way in `folder`; the number that were there before.

    The same items give the same file whatever the number of workers, and wherever it was stopped.
    Raises BudgetExceeded when `budget` seconds are over, and ArtifactError when the disk is full.
    What is made stays in `folder`, and another call, with any `count`, goes on with it.
    """
    began = time.monotonic()
    images, log = folder / _IMAGES, folder / _JOURNAL
    done = before = _finished(log, count)
    spans = [(start, min(start + BLOCK, count)) for start in range(done, count, BLOCK)]
    images.touch()
    results = map_in_order(_Block(maker, images), spans, max(1, min(workers, len(spans))))
    try:
        for (_, stop), record in zip(spans, results, strict=True):
            journal.add(log, record)
            done = stop
            if progress:
                progress(Progress("making patches", done - before, count - before))
            if budget is not None and done < count and time.monotonic() - began > budget:
                raise BudgetExceeded(
                    f"the time is up after {done} of {count} patches; the same command goes on, "
                    f"and --count {done} keeps these."
                )
        results.close()  # type: ignore[attr-defined]
        unmap_plates()
        shutil.rmtree(folder / UNPACKED, ignore_errors=True)  # a full disk has room again
        _complete(folder, count, out, maker, names, attributes)
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise ArtifactError(
            f"the disk is full after {done} of {count} patches of {out}; free some space, and the "
            f"same command goes on" + (f" (--count {done} keeps these)" if 0 < done < count else "")
        ) from error
    finally:
        results.close()  # type: ignore[attr-defined]
    shutil.rmtree(folder, ignore_errors=True)
    return before


def _finished(log: Path, count: int) -> int:
    """How many items of the journal are whole blocks of a stream of `count`; the rest is cut."""
    done = end = 0
    for after, record in journal.records(log):
        start, size = int(record["start"]), len(record["plate"])
        if start != done or start >= count or (size < BLOCK and start + size != count):
            break
        done, end = min(start + size, count), after
    if log.exists():
        journal.cut(log, end)
    return done


def _complete(
    folder: Path,
    count: int,
    out: Path,
    maker: Maker,
    names: Names,
    attributes: Mapping[str, Any],
) -> None:
    """Make an HDF5 file of the images and the journal."""
    import h5py

    images = folder / _IMAGES
    size = int(np.prod(maker.shape)) * np.dtype(maker.dtype).itemsize
    head = _head(folder, count, maker)
    with images.open("r+b") as file:
        file.truncate(HEAD + count * size)
        file.write(head)
    with h5py.File(images, "r+") as content:
        side = maker.shape[:2]
        truth = content.create_dataset(
            "ground_truth",
            (count, *side),
            np.uint8,
            chunks=(1, *side),
            compression=_LEVEL,
            fillvalue=0,
        )
        columns: dict[str, list[npt.NDArray[Any]]] = {}
        for _, record in journal.records(folder / _JOURNAL):
            start, ends = int(record["start"]), record["sizes"].cumsum()
            data = record["masks"].tobytes()
            for index in np.flatnonzero(record["sizes"]).tolist():
                if start + index < count:
                    mask = data[ends[index] - record["sizes"][index] : ends[index]]
                    truth.id.write_direct_chunk((start + index, 0, 0), mask)
            for name in ("plate", "defect", "mark", "transform"):
                columns.setdefault(name, []).append(record[name][: count - start])
        if sum(map(len, columns["plate"])) != count:
            raise ArtifactError(f"two commands wrote to {folder} at once; remove it and begin anew")
        _write_columns(content, {k: np.concatenate(v) for k, v in columns.items()}, names, maker)
        content.attrs.update(attributes)
    with images.open("rb") as file:
        os.fsync(file.fileno())
    images.replace(out)


def _write_columns(
    content: Any, columns: Mapping[str, npt.NDArray[Any]], names: Names, maker: Maker
) -> None:
    """Labels and origins, one of each per item."""
    import h5py

    defect, transform = columns["defect"], columns["transform"]
    content["label"] = (defect >= 0).astype(np.uint8)
    for name, numbers, words in (
        ("part", columns["plate"], names.plates),
        ("defect", defect, [*names.defects, ""]),  # the last one is that of -1
        ("split", np.zeros(len(defect), int), ["train"]),
    ):
        encoded = np.array([word.encode() for word in words])
        text = h5py.string_dtype("utf-8", max(1, encoded.dtype.itemsize))
        content[name] = encoded.astype(text)[numbers]
    # The pixel of the plate under the patch's centre.
    centre = [(maker.shape[1] - 1) / 2, (maker.shape[0] - 1) / 2, 1.0]
    content["origin/position"] = np.floor(transform @ centre + 0.5).astype(np.int32)
    content["origin/transform"] = transform
    if columns["mark"].max() >= 0:
        content["origin/mark"] = columns["mark"]


def _head(folder: Path, count: int, maker: Maker) -> bytes:
    """What stands before the images in an HDF5 file that holds `count` of them and nothing else."""
    import h5py

    file = folder / "head"
    with h5py.File(file, "w", alignment_threshold=HEAD, alignment_interval=HEAD) as content:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_obj_track_times(False)
        plan.set_layout(h5py.h5d.CONTIGUOUS)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)  # its place is taken, nothing is written
        space = h5py.h5s.create_simple((count, *maker.shape))
        kind = h5py.h5t.py_create(np.dtype(maker.dtype))
        images = h5py.h5d.create(content.id, b"syn_stream", kind, space, plan)
        assert images.get_offset() == HEAD
    with file.open("rb") as opened:
        head = opened.read(HEAD)
    file.unlink()
    return head


def _deflated(mask: npt.NDArray[np.bool_]) -> bytes:
    return zlib.compress((mask.astype(np.uint8) * 255).tobytes(), _LEVEL)
