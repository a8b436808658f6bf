"""A plain folder: every image in it, at any depth, shows a good part.

What the names of its folders say is looked at by `folder_labels`, unless the layout was asked for.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.images import image_names
from blemish.images.listing import has_image

EXPECTS = "images of good parts only, in sub-folders or not"


def recognises(path: Path) -> bool:
    """True for a folder with an image."""
    return path.is_dir() and has_image(path)


def read(path: Path) -> Dataset:
    """Every image below `path`, labelled good, in the split "train"."""
    images = image_names(path, any_name=True) if path.is_dir() else []
    if not images:
        raise DatasetError(f"{path} is not a folder with images; name one that holds some.")
    frame = pl.DataFrame({"image": images}, schema={"image": pl.String})
    table = frame.with_columns(
        category=pl.lit(path.name), split=pl.lit("train"), label=pl.lit("good")
    )
    return Dataset(path, path.name, "folder", conform(table))
