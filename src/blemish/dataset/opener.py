"""Open a data set, whatever its layout on disk."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from blemish.dataset.layouts import LAYOUTS, find_layout
from blemish.dataset.licence import read_terms
from blemish.dataset.parts import with_parts
from blemish.dataset.split_file import apply_split
from blemish.dataset.table import Dataset
from blemish.errors import DatasetError
from blemish.util.names import is_name, path_of, text_of, wrong_name


def open_dataset(
    path: str | os.PathLike[str],
    *,
    layout: str | None = None,
    category: str | None = None,
    parts: str | os.PathLike[str] | None = None,
    part_pattern: str | None = None,
    split: str | os.PathLike[str] | None = None,
) -> Dataset:
    """The data set at `path`: a folder in a known layout, a .csv or .parquet table, a .h5.

    `layout`, a name or the path of a file from outside, is needed only where the choice is not
    clear; `category` keeps one of several. What a file from outside has read tells it as its
    `layout`: the file's name and the start of its hash, `mine.py@0123456789ab`.
    `parts` names a CSV file (file, part, view, label), `part_pattern` is a regular expression
    with the named groups `part` and `view`; else `parts.csv` beside the images is used. `split`
    is a split file, which overrules the splits on disk and keeps the images that it names.
    Raises DatasetError, with the file and the way out. A picture whose name has control characters
    or bytes that are no UTF-8 has a row, by its escaped name, and cannot be read.
    """
    named = path_of(path, "the data set", DatasetError)
    root = Path(os.path.abspath(named))  # noqa: PTH100 (a link keeps its own name)
    if not is_name(str(root)):
        raise DatasetError(wrong_name(root))
    for what, text in (("layout", layout), ("category", category), ("part pattern", part_pattern)):
        text_of(text, f"the {what}", DatasetError)
    dataset = find_layout(root, layout).read(root)
    if layout is not None and (source := LAYOUTS.source(layout)).outside:
        if not isinstance(dataset, Dataset):
            raise DatasetError(f"{source.path} is no layout: its `read` returns no Dataset.")
        dataset = replace(dataset, layout=source.label)
    csv = None if parts is None else path_of(parts, "the file of parts", DatasetError)
    dataset = with_parts(dataset, csv, part_pattern)
    if split is not None:
        dataset = apply_split(dataset, path_of(split, "the split file", DatasetError))
    dataset = replace(dataset, terms=read_terms(dataset.root) or dataset.terms)
    return dataset if category is None else dataset.category(category)
