"""Open a data set, whatever its layout on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from blemish.dataset.folder_labels import Answers, checked, labelled
from blemish.dataset.layouts import FALLBACKS, LAYOUTS, PLAIN, find_layout, layouts
from blemish.dataset.licence import read_terms
from blemish.dataset.parts import with_parts
from blemish.dataset.split_file import apply_split
from blemish.dataset.table import Dataset, Origin
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
    good: Sequence[str] = (),
    defect: Sequence[str] = (),
) -> Dataset:
    """The data set at `path`: a folder in a known layout, a .csv or .parquet table, a .h5.

    `layout`, a name or the path of a file from outside, is needed only where the choice is not
    clear; `category` keeps one of several. What a file from outside has read tells it as its
    `layout`: the file's name and the start of its hash, `mine.py@0123456789ab`.
    `parts` names a CSV file (file, part, view, label), `part_pattern` is a regular expression
    with the named groups `part` and `view`; else `parts.csv` beside the images is used. `split`
    is a split file, which overrules the splits on disk and keeps the images that it names.
    `good` and `defect` name folders, by their names or paths below the root, where the names of
    folders are all that says which pictures are good; a name that is in doubt needs that answer.
    Raises DatasetError, with the file and the way out. A picture whose name has control characters
    or bytes that are no UTF-8 has a row, by its escaped name, and cannot be read.
    """
    named = path_of(path, "the data set", DatasetError)
    root = Path(os.path.abspath(named))  # noqa: PTH100 (a link keeps its own name)
    if not is_name(str(root)):
        raise DatasetError(wrong_name(root))
    for what, text in (("layout", layout), ("category", category), ("part pattern", part_pattern)):
        text_of(text, f"the {what}", DatasetError)
    dataset = _read(root, layout, Answers(_names(good, "good"), _names(defect, "defect")))
    csv = None if parts is None else path_of(parts, "the file of parts", DatasetError)
    dataset = with_parts(dataset, csv, part_pattern)
    if split is not None:
        dataset = apply_split(dataset, path_of(split, "the split file", DatasetError))
        dataset = replace(dataset, has_split=True)
    dataset = replace(dataset, terms=read_terms(dataset.root) or dataset.terms)
    return dataset if category is None else dataset.category(category)


def _read(root: Path, name: str | None, answers: Answers) -> Dataset:
    """What the layout reads, with the labels that folders have by their names and the answers."""
    layout = find_layout(root, name)
    source = None if name is None else LAYOUTS.source(name)
    known = layouts()
    if any(layout is known.get(fallback) for fallback in FALLBACKS):
        named = name is not None and not answers  # then the layout says what the folders mean
        dataset = layout.read(root) if named else labelled(known[PLAIN].read(root), answers)
    else:
        dataset = layout.read(root)
        if source is not None and source.outside:
            if not isinstance(dataset, Dataset):
                raise DatasetError(f"{source.path} is no layout: its `read` returns no Dataset.")
            dataset = replace(dataset, layout=source.label)
        dataset = checked(dataset, answers)
    files = dataset.table.select("image", "mask")
    return replace(dataset, origin=Origin(root, files, tuple(getattr(layout, "KNOWN", ()))))


def _names(values: Sequence[str], what: str) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise DatasetError(f"{what} must be a list of names of folders")
    return tuple(values)
