"""Names for files and folders that every system can hold, each only once."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from blemish.dataset.folder_words import meaning_of
from blemish.util.files import harmless


def folder_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """A folder for each name: the name itself where every system can hold it and it is free.

    Names that differ only in case, and those in `taken`, count as one.
    """
    used = {_fold(name): 1 for name in taken}
    return {name: free_name(harmless(name), used) for name in sorted(names)}


def kind_folders(kinds: Iterable[str]) -> dict[str, str]:
    """A folder for each kind of defect; none of them is called good."""
    named = {kind: f"defect_{kind}" if meaning_of(kind) == "good" else kind for kind in kinds}
    folders = folder_names(named.values())
    return {kind: folders[name] for kind, name in named.items()}


def free_name(name: str, used: dict[str, int]) -> str:
    """The name, or the first of name_2, name_3, ... that is not in `used`, which then has it."""
    key, free = _fold(name), name
    while _fold(free) in used:
        used[key] += 1
        free = f"{name}_{used[key]}"
    used[_fold(free)] = 1
    return free


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
