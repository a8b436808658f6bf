"""Paths as text: relative to the root of a data set, with forward slashes."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path


def relative_paths(paths: Sequence[Path], root: Path) -> list[str]:
    """Paths below `root` as text relative to it."""
    start = len(_start(root))
    return [str(path)[start:].replace(os.sep, "/") for path in paths]


def below(root: Path, base: Path, names: Iterable[str]) -> list[str | None]:
    """Names as a person wrote them, absolute or relative to `base`, made relative to `root`.

    Back-slashes count as slashes. A name that lies outside `root` becomes None.
    """
    start = _start(root)
    found: list[str | None] = []
    for name in names:
        # Text, because a Path for each of 150,000 names takes seconds.
        full = os.path.normpath(os.path.join(base, name.replace("\\", "/")))  # noqa: PTH118
        inside = os.path.normcase(full).startswith(os.path.normcase(start))
        found.append(full[len(start) :].replace(os.sep, "/") if inside else None)
    return found


def match_key(name: str) -> str:
    """What two spellings of one file name share: composed umlauts, and case where it is ignored."""
    return unicodedata.normalize("NFC", os.path.normcase(name)).replace("\\", "/")


def listing(root: Path, names: Iterable[str]) -> list[str]:
    """Every file in the folders of these names: one look per folder, none per file."""
    found: list[str] = []
    for folder in {name.rpartition("/")[0] for name in names}:
        start = folder + "/" if folder else ""
        try:
            with os.scandir(root / folder) as entries:
                found += [start + entry.name for entry in entries if entry.is_file()]
        except OSError:
            continue  # a folder that cannot be listed holds none of the names
    return found


def absent(root: Path, names: Iterable[str]) -> list[str]:
    """The names for which there is no file, in their order."""
    names = list(names)
    present = set(listing(root, names))
    return [name for name in names if name not in present]


def _start(root: Path) -> str:
    """The text with which every path below `root` starts."""
    return str(root / "_")[:-1]
