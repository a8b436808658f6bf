"""The layouts on disk, one module each, known by the module's name.

A layout has `EXPECTS` (what it looks for, in words), `recognises(path) -> bool` and
`read(path) -> Dataset`. A new module in this folder is a new layout. One that is a stricter form of
others names them, `SPECIALISES = ("mvtec",)`, and wins where both recognise a path.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Protocol, cast

from blemish.dataset.label_words import name_some
from blemish.dataset.table import Dataset
from blemish.discovery import Kind
from blemish.errors import DatasetError
from blemish.images.listing import left_out, left_out_sentence

PLAIN = "folder"
BY_LABEL = "label_folders"
FALLBACKS = (BY_LABEL, PLAIN)  # what no other layout recognises
LAYOUTS = Kind(
    __name__,
    "layout",
    "blemish.layouts",
    error=DatasetError,
    listing="the layouts are",
)


class Layout(Protocol):
    """What a module in this folder offers.

    It may have `KNOWN`, patterns of the images that it leaves out on purpose, relative to the root
    (see `stray_pictures`).
    """

    EXPECTS: str

    def recognises(self, path: Path) -> bool:
        """True when the layout can be read from `path`."""

    def read(self, path: Path) -> Dataset:
        """The data set at `path`."""


def layouts() -> dict[str, Layout]:
    """Every layout of this package by its name."""
    return {name: cast(Layout, LAYOUTS.module(name)) for name in LAYOUTS.own_names()}


def open_layout(name: str) -> Layout:
    """The layout of that name, or in the file from outside of that path.

    Raises DatasetError for a name there is no file for, and BlemishError for a file from outside
    that cannot be run or offers no layout.
    """
    module = LAYOUTS.module(name)
    if lacking := [part for part in ("EXPECTS", "recognises", "read") if not hasattr(module, part)]:
        raise DatasetError(f"{module.__file__} is no layout: it lacks {' and '.join(lacking)}.")
    return cast(Layout, module)


def find_layout(path: Path, name: str | None = None) -> Layout:
    """The layout called `name`, or the only one of this package that recognises `path`.

    One from outside is used where it is named, never by itself. A layout wins over those that it
    specialises; folders with labels, and then a plain folder, are what no other layout recognises.
    DatasetError when none or several do.
    """
    if not path.exists():
        raise DatasetError(f"{path} does not exist; check the path.")
    known = layouts()
    if name is not None:
        return known[name] if name in known else open_layout(name)
    found = [n for n, layout in known.items() if n not in FALLBACKS and layout.recognises(path)]
    general = {other for n in found for other in getattr(known[n], "SPECIALISES", ())}
    found = [n for n in found if n not in general]
    if not found:
        found = [n for n in FALLBACKS if n in known and known[n].recognises(path)][:1]
    if len(found) > 1:
        raise DatasetError(
            f"{path} can be read as {' and as '.join(found)}; say which with --layout."
        )
    if not found:
        raise DatasetError(_why_none(path, known))
    return known[found[0]]


def _why_none(path: Path, known: dict[str, Layout]) -> str:
    if not path.is_dir():
        return f"{path} is not a data set; name a folder, or {known['table'].EXPECTS}."
    if not any(path.iterdir()):
        return f"{path} is empty; put images of good parts into it, or name another folder."
    kinds = Counter(p.suffix.lower() or "nameless" for p in path.rglob("*") if p.is_file())
    held = name_some([f"{count} {kind} files" for kind, count in kinds.most_common()])
    way_out = "name one of these files" if {".h5", ".hdf5"} & set(kinds) else "name a folder"
    unread = left_out_sentence(left_out(path))
    more = "" if unread is None else f" ({unread})"
    return f"{path} holds no images, only {held or 'folders'}; {way_out} with images{more}."
