"""Open a data set, whatever its layout on disk."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from blemish.dataset.layouts import find_layout
from blemish.dataset.parts import with_parts
from blemish.dataset.table import Dataset

LICENCES = ("license", "licence", "license.txt", "licence.txt", "license.md", "licence.md")


def open_dataset(
    path: str | os.PathLike[str],
    *,
    layout: str | None = None,
    category: str | None = None,
    parts: str | os.PathLike[str] | None = None,
    part_pattern: str | None = None,
) -> Dataset:
    """The data set at `path`: a folder in a known layout, or a .csv or .parquet table.

    `layout` is needed only where the choice is not clear, `category` keeps one of several.
    `parts` names a CSV file (file, part, view, label), `part_pattern` is a regular expression
    with the named groups `part` and `view`; else `parts.csv` beside the images is used.
    Raises DatasetError, with the file and the way out.
    """
    root = Path(os.path.abspath(path))  # noqa: PTH100 (a link keeps its own name)
    dataset = find_layout(root, layout).read(root)
    dataset = with_parts(dataset, None if parts is None else Path(parts), part_pattern)
    dataset = replace(dataset, terms=_terms(dataset.root) or dataset.terms)
    return dataset if category is None else dataset.category(category)


def _terms(root: Path) -> str | None:
    """The first line of the licence in `root` that says something; a link is not followed."""
    with os.scandir(root) as entries:
        named = [e for e in entries if e.name.lower() in LICENCES]
    files = sorted(e.path for e in named if e.is_file(follow_symlinks=False))
    for file in files:
        lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.strip() for line in lines if line.strip()), None)
    return None
