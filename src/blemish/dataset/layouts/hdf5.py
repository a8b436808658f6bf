"""A stream: one HDF5 file with images and, as far as known, a mask, label and more for each.

The datasets are `image` [N, H, W] or [N, H, W, 3] and maybe `mask` [N, H, W], `label` [N] (0 good,
1 defective), and `category`, `split`, `defect`, `part`, `view` [N], words.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset.hdf5_stream import read_stream, words
from blemish.dataset.label_words import SPLIT_WORDS
from blemish.dataset.layouts.table import with_label, with_split
from blemish.dataset.table import Dataset, conform, qualify_parts
from blemish.errors import DatasetError
from blemish.images.hdf5 import SUFFIXES

EXPECTS = "a .h5 file with the dataset image"


def recognises(path: Path) -> bool:
    """True for a file that ends in .h5 or .hdf5."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def read(path: Path) -> Dataset:
    """The images of a stream; the category, where the file does not say it, is the file's name.

    Without `label`, masks tell which images are good; without masks, all are. Without `split`, a
    word in the file's name tells it, and without that, all images train.
    """
    if not recognises(path):
        raise DatasetError(f"{path} is no stream; name {EXPECTS}.")
    frame = read_stream(path)
    split = _split_in(path.stem)
    told = split is not None or "split" in frame.columns or "label" not in frame.columns
    if "split" not in frame.columns:
        frame = frame.with_columns(split=pl.lit(split or "train"))
    table = with_label(conform(frame), frame.columns, path)
    table = with_split(table, frame.columns, path)
    table = table.with_columns(pl.col("category").fill_null(path.stem))
    return Dataset(path.parent, path.stem, "hdf5", qualify_parts(table), has_split=told)


def _split_in(name: str) -> str | None:
    return next((SPLIT_WORDS[word] for word in words(name) if word in SPLIT_WORDS), None)
