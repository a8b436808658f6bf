"""In a sentence, which folders a data set has, with their pictures and what each is taken for."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from blemish.dataset.table import LABELS, SPLITS, Dataset
from blemish.util.library_errors import shortened
from blemish.util.names import escaped

SHOWN = 10
_IN_A_FILE = r"(?i)^(.*\.(?:h5|hdf5))/.*$"


@dataclass(frozen=True)
class FolderCount:
    """The pictures at or below a folder, "." for the root itself; a label of None is unknown."""

    folder: str
    pictures: int
    label: str | None
    split: str


def folder_counts(data: Dataset) -> list[FolderCount]:
    """The folders, those that train first and good before defective.

    Where there are more than `SHOWN`, folders of one label and split count as the one above them.
    """
    folders = data.table.select(
        "label",
        "split",
        folder=pl.col("image").str.replace(_IN_A_FILE, "$1/").str.extract(r"^(.*)/").fill_null("."),
    )
    grouped = folders.group_by("folder", "label", "split").len()
    depth = max((folder.count("/") for folder in grouped["folder"]), default=0)
    while grouped.height > SHOWN and depth:
        depth -= 1
        above = pl.col("folder").str.extract(rf"^((?:[^/]*/){{{depth}}}[^/]*)")
        shorter = grouped.with_columns(folder=pl.coalesce(above, "folder"))
        meanings = shorter.select("folder", "label", "split").unique()
        if meanings["folder"].is_duplicated().any():
            break
        grouped = shorter.group_by("folder", "label", "split").agg(pl.col("len").sum())
    ordered = sorted(
        grouped.select("folder", "len", "label", "split").iter_rows(),
        key=lambda row: (SPLITS.index(row[3]), LABELS.index(row[2] or LABELS[-1]), row[0]),
    )
    return [FolderCount(*row) for row in ordered]


def sentence(data: Dataset) -> str:
    """Such as "120 pictures in 2 folders: OK (100, good), NG (20, defective)"."""
    counts = folder_counts(data)
    total = f"{len(data)} picture{'s' * (len(data) != 1)}"
    if not counts:
        return f"{total}: none"
    taken = "" if data.layout != "folder" else f", {'' if len(data) == 1 else 'all '}taken as good,"
    if [one.folder for one in counts] == ["."]:
        return f"{total}{taken.rstrip(',')} in {shortened(escaped(data.root.name))}"
    each = [
        f"{shortened(one.folder)} ({', '.join([str(one.pictures), *_words(data, one, taken)])})"
        for one in counts[:SHOWN]
    ]
    more = f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
    folders = len({one.folder for one in counts})
    return f"{total}{taken} in {folders} folder{'s' * (folders != 1)}: {', '.join(each)}{more}"


def _words(data: Dataset, one: FolderCount, taken: str) -> list[str]:
    """What a folder is taken for, and its split where the data set has any.

    Of images to inspect nothing is taken for anything.
    """
    if taken or data.layout == "images":
        return []
    return [one.label or "not labelled", *([one.split] if data.has_split else [])]
