"""Paths as text: relative to the root of a data set, with forward slashes."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from blemish.errors import ImageError
from blemish.images import hdf5
from blemish.images.listing import SUFFIXES, is_system_folder, refuse_leaving
from blemish.util.files import is_file, is_folder
from blemish.util.names import escaped


def relative_paths(paths: Sequence[Path], root: Path) -> list[str]:
    """Paths below `root` as text relative to it, `escaped` where they are no names."""
    start = len(_start(root))
    return [escaped(str(path)[start:].replace(os.sep, "/")) for path in paths]


def steps_to(folder: Path, root: Path) -> str:
    """What stands before a name in `folder` when it is relative to `root`; empty for the root."""
    return "" if folder == root else relative_paths([folder], root)[0] + "/"


def below(root: Path, base: Path, names: Iterable[str]) -> list[str | None]:
    """Names as a person wrote them, absolute or relative to `base`, made relative to `root`.

    Back-slashes count as slashes. A name that lies outside `root`, or that no file can have,
    becomes None. Links are for `listing` to see.
    """
    start = _start(root)
    steps = _start(Path(os.path.normpath(base)))
    near = steps[len(start) :].replace(os.sep, "/") if steps.startswith(start) else None
    found: list[str | None] = []
    for name in names:
        # Text, because a Path for each of 150,000 names takes seconds; even the rest is slow.
        if near is not None and _is_plain(name):
            found.append(near + name)
            continue
        full = os.path.normpath(os.path.join(base, name.replace("\\", "/")))  # noqa: PTH118
        inside = "\0" not in name and os.path.normcase(full).startswith(os.path.normcase(start))
        found.append(full[len(start) :].replace(os.sep, "/") if inside else None)
    return found


def _is_plain(name: str) -> bool:
    """True for steps down and nothing else: joined to a folder, such a name needs no more care."""
    odd = "\\" in name or ":" in name or "//" in name or "/." in name or "\0" in name
    return not odd and name[:1] not in ("", "/", ".") and not name.endswith("/")


def is_image_file(name: str) -> bool:
    """True for a name that ends like an image file, unlike a folder or an item inside a file."""
    dot = name.rfind(".")
    return name[dot:].lower() in SUFFIXES


def match_key(name: str) -> str:
    """What two spellings of one file name share: composed umlauts, and case where it is ignored."""
    key = os.path.normcase(name).replace("\\", "/")
    return key if key.isascii() else unicodedata.normalize("NFC", key)


def match_keys(names: Sequence[str]) -> list[str]:
    """`match_key` of many names at once."""
    return match_key("\0".join(names)).split("\0") if names else []


def listing(root: Path, names: Iterable[str], *, folders: bool = False) -> list[str]:
    """Every file in the folders of these names: one look per folder, none per file.

    A stack of images in an HDF5 file is a folder too. With `folders` also what lies there as a
    folder. Raises DatasetError where a link takes one of the names out of `root`.
    """
    names = list(names)
    holders = {name.rpartition("/")[0] for name in names}
    found: list[str] = []
    top = _start(root)
    links = [step for step in _steps(holders) if os.path.islink(top + step)]  # noqa: PTH114
    linked: list[str] = []
    for holder in holders:
        start = holder + "/" if holder else ""
        try:
            if hdf5.file_and_name(top + holder):
                found += [start + name for name in hdf5.item_names(top + holder)]
                continue
            with os.scandir(top + holder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        linked.append(start + entry.name)
                    if folders or is_file(entry):
                        found.append(start + entry.name)
        except (OSError, ImageError):
            continue  # a folder that cannot be listed holds none of the names
    if linked:
        named = set(map(match_key, names))
        links += [link for link in linked if match_key(link) in named]
    for link in links:
        refuse_leaving(root / link, os.path.realpath(root))
    return found


def sub_folders(path: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones and those of the system."""
    if not path.is_dir():
        return []
    with os.scandir(path) as entries:  # a folder may hold 100,000 images: no stat for each
        found = [e.path for e in entries if is_folder(e) and not is_system_folder(e.name)]
    return [Path(folder) for folder in sorted(found)]


def _steps(folders: Iterable[str]) -> set[str]:
    """The folders and every folder above them."""
    found: set[str] = set()
    for folder in folders:
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def absent(root: Path, names: Iterable[str]) -> list[str]:
    """The names for which there is no file, in their order."""
    names = list(names)
    present = set(listing(root, names))
    return [name for name in names if name not in present]


def _start(root: Path) -> str:
    """The text with which every path below `root` starts."""
    return str(root / "_")[:-1]
