"""Images to inspect: files and folders as they come, grouped into parts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from blemish.dataset import hdf5_stream
from blemish.dataset.parts import FILE_NAME, with_parts
from blemish.dataset.paths import relative_paths
from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.images import hdf5, image_files


def open_images(
    paths: Sequence[Path], *, parts: Path | None = None, part_pattern: str | None = None
) -> Dataset:
    """The images at these paths without labels; a `parts.csv` in a single folder counts.

    An HDF5 file stands for all of its images. Raises DatasetError for a path that does not exist,
    and for folders without an image.
    """
    files = list(dict.fromkeys(file.absolute() for path in paths for file in _images(path)))
    root = Path(os.path.commonpath({_folder(file) for file in files}))
    table = conform(pl.DataFrame({"image": relative_paths(files, root)}))
    table = table.with_columns(category=pl.lit(root.name), split=pl.lit("test"))
    if parts is None and part_pattern is None and len(paths) == 1 and paths[0].is_dir():
        beside = paths[0].absolute() / FILE_NAME
        parts = beside if beside.is_file() else None
    return with_parts(Dataset(root, root.name, "images", table), parts, part_pattern)


def _images(path: Path) -> list[Path]:
    if path.suffix.lower() in hdf5.SUFFIXES and path.is_file():
        return hdf5_stream.images(path)
    if hdf5.file_and_name(path):
        hdf5.item_shape(path)  # refuses one that is not there
        return [path]
    if not path.exists():
        raise DatasetError(f"{path} does not exist; name an image or a folder of images")
    # What is inspected is the user's own: a link may lead anywhere.
    found = image_files(path, path.absolute().anchor) if path.is_dir() else [path]
    if not found:
        raise DatasetError(f"{path} holds no PNG, JPEG, BMP or TIFF image")
    return found


def _folder(file: Path) -> str:
    """The folder on disk that an image lies in."""
    inside = hdf5.file_and_name(file)
    return str((Path(inside[0]) if inside else file).parent)
