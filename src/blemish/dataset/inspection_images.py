"""Images to inspect: files and folders as they come, grouped into parts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from blemish.dataset import hdf5_stream
from blemish.dataset.parts import FILE_NAME, with_parts
from blemish.dataset.paths import relative_paths
from blemish.dataset.table import Dataset, conform
from blemish.dataset.taken import Taken, taken_of
from blemish.errors import BlemishError, DatasetError
from blemish.images import hdf5, image_files
from blemish.images.formats import WORDS
from blemish.images.listing import left_out, left_out_sentence
from blemish.util.names import escaped, is_name


@dataclass(frozen=True, eq=False)
class InspectionImages:
    """The images to inspect, None without any, and why there is none at other paths, by path.

    `taken` is what names or a CSV file tell of when they were taken, by image.
    """

    images: Dataset | None
    refused: Mapping[str, str]
    taken: Mapping[str, Taken] = field(default_factory=dict)


def open_images(
    paths: Sequence[Path], *, parts: Path | None = None, part_pattern: str | None = None
) -> Dataset:
    """The images at these paths without labels; a `parts.csv` in a single folder counts.

    An HDF5 file stands for all of its images. A name that has control characters or bytes that are
    no UTF-8 is `escaped`, and cannot be read. Raises DatasetError for a path that does not exist,
    and for folders without an image.
    """
    files = [file for path in paths for file in _images(path)]
    return _dataset(files, parts or _parts_beside(paths, part_pattern), part_pattern)


def open_whatever_is_there(
    paths: Sequence[Path], *, parts: Path | None = None, part_pattern: str | None = None
) -> InspectionImages:
    """As `open_images`, but what cannot be listed is told and hides nothing else."""
    files: list[Path] = []
    refused: dict[str, str] = {}
    for path in paths:
        try:
            files += _images(path)
        except BlemishError as error:
            refused[escaped(str(path))] = str(error)
    if not files:
        return InspectionImages(None, refused)
    csv = parts or _parts_beside(paths, part_pattern)
    images = _dataset(files, csv, part_pattern)
    return InspectionImages(images, refused, taken_of(images, csv, part_pattern))


def _dataset(found: Sequence[Path], parts: Path | None, part_pattern: str | None) -> Dataset:
    absolute = (file.absolute() for file in found)
    named = (file if is_name(str(file)) else Path(escaped(str(file))) for file in absolute)
    files = list(dict.fromkeys(named))
    root = Path(os.path.commonpath({_folder(file) for file in files}))
    table = conform(pl.DataFrame({"image": relative_paths(files, root)}))
    table = table.with_columns(category=pl.lit(root.name), split=pl.lit("test"))
    return with_parts(Dataset(root, root.name, "images", table), parts, part_pattern)


def _parts_beside(paths: Sequence[Path], part_pattern: str | None) -> Path | None:
    """The `parts.csv` in a single folder that is inspected, unless a pattern tells the parts."""
    if part_pattern is not None or len(paths) != 1:
        return None
    beside = paths[0].absolute() / FILE_NAME
    return beside if os.path.isfile(beside) else None  # noqa: PTH113 - as below


def _images(path: Path) -> list[Path]:
    # `exists` and `isfile` are false for a name that is too long, and no errors as those of a Path.
    if path.suffix.lower() in hdf5.SUFFIXES and os.path.isfile(path):  # noqa: PTH113
        return hdf5_stream.images(path)
    if hdf5.file_and_name(path):
        hdf5.item_shape(path)  # refuses one that is not there
        return [path]
    if not os.path.exists(path):  # noqa: PTH110
        raise DatasetError(f"{path} does not exist; name an image or a folder of images")
    if not path.is_dir():
        return [path]
    # What is inspected is the user's own: a link may lead anywhere.
    found = image_files(path, path.absolute().anchor, any_name=True)
    if not found:
        unread = left_out_sentence(left_out(path))
        more = "" if unread is None else f"; {unread}"
        raise DatasetError(f"{path} holds no {WORDS} image{more}")
    return found


def _folder(file: Path) -> str:
    """The folder on disk that an image lies in."""
    inside = hdf5.file_and_name(file)
    return str((Path(inside[0]) if inside else file).parent)
