"""Pictures below a data set that belong to no row: what its layout does not know vanishes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from blemish.dataset.check import Finding
from blemish.dataset.label_words import name_some
from blemish.dataset.paths import match_keys, steps_to
from blemish.dataset.table import Dataset
from blemish.images.listing import FolderContents, contents

EVERYTHING = "**"  # in the `KNOWN` of a layout that a list or a file tells what counts


def place_of(data: Dataset) -> Path | None:
    """The folder to look into: what was opened, or the root where that lies deeper; else None."""
    if data.origin is None or not data.origin.place.is_dir():
        return None
    place, root = data.origin.place, data.root
    if place in (root, *root.parents):
        return root
    return place if root in place.parents else None


def stray_pictures(data: Dataset, found: FolderContents | None = None) -> list[str]:
    """The images that are in no row, as image or mask, relative to the root and sorted.

    Rows that a category or a split leaves out count as rows. `found` is what lies in `place_of`,
    if it was looked at already.
    """
    place = place_of(data)
    if place is None or data.origin is None or EVERYTHING in data.origin.known:
        return []
    start = steps_to(place, data.root)
    inside = contents(place).images if found is None else found.images
    names = pl.Series("name", match_keys([start + name for name in inside]), dtype=pl.String)
    files = data.origin.files
    rows = pl.concat([files["image"], files["mask"]]).drop_nulls()
    known = pl.Series("name", match_keys(rows.to_list()), dtype=pl.String)
    names = names.filter(~names.is_in(known.implode()))
    if names.is_empty():
        return []
    for pattern in data.origin.known:
        names = names.filter(~names.str.contains(_expression(pattern)))
    folders = set(files["mask"].drop_nulls().to_list())  # several masks of one image
    return sorted(name for name in names if not _above(name) & folders)


def stray_findings(data: Dataset) -> Iterator[Finding]:
    """A warning for the pictures in no row, and one for folders that are named like pictures."""
    place = place_of(data)
    if place is None:
        return
    found = contents(place)
    if stray := stray_pictures(data, found):
        yield Finding("warning", f"{stray_sentence(data, stray)}.", stray[0], "stray pictures")
    if found.like_pictures:
        yield Finding(
            "warning",
            f"{like_pictures_sentence(found.like_pictures)}.",
            found.like_pictures[0],
            "folders named like pictures",
        )


def stray_sentence(data: Dataset, stray: Sequence[str]) -> str:
    """How many pictures are in no row, the first names, and the way out."""
    one = len(stray) == 1
    return (
        f"{len(stray)} picture{'' if one else 's'} of {data.root} {'is' if one else 'are'} not "
        f"used, because the layout {data.layout} has no place for {'it' if one else 'them'}: "
        f"{name_some(stray)}; move {'it' if one else 'them'} to where the layout looks, or away"
    )


def like_pictures_sentence(folders: Sequence[str]) -> str:
    """Which folders are named like pictures."""
    one = len(folders) == 1
    return (
        f"{name_some(sorted(folders))} {'is a folder' if one else 'are folders'} named like "
        f"{'a picture' if one else 'pictures'}; rename {'it' if one else 'them'}"
    )


def _expression(pattern: str) -> str:
    """A pattern as a regular expression: `*` within a step of the path, `**` over steps."""
    parts = re.split(r"(\*\*/|\*)", pattern)
    known = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return "^" + "".join(known.get(part, re.escape(part)) for part in parts) + "$"


def _above(name: str) -> set[str]:
    """Every folder that a file lies in."""
    steps = name.split("/")
    return {"/".join(steps[:end]) for end in range(1, len(steps))}
