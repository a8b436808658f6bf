"""The image files under a folder, by their names alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from blemish.errors import DatasetError, ImageError
from blemish.util.files import lies_in

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def image_files(
    folder: str | os.PathLike[str], root: str | os.PathLike[str] | None = None
) -> list[Path]:
    """List the image files under a folder, by suffix, in one order on every machine.

    Recursive; hidden files and folders (a leading dot) are skipped; a suffix in capitals counts.
    Links are followed. Raises DatasetError when there is no such folder, and for a link that leads
    out of `root`, which is the folder itself unless another is named, or back to where it lies.
    """
    base = Path(folder)
    return [base / name for name in image_names(base, root)]


def image_names(
    folder: str | os.PathLike[str], root: str | os.PathLike[str] | None = None
) -> list[str]:
    """The same files as text, relative to the folder and with forward slashes.

    Quick for 150,000 files: no Path and no stat for each.
    """
    base = Path(folder)
    if not base.is_dir():
        raise DatasetError(f"{base} is not a folder; give the folder that holds the images")
    limit = os.path.realpath(base if root is None else root)
    refuse_leaving(base, limit)
    found: list[str] = []
    waiting: list[tuple[str, tuple[str, ...]]] = [("", ())]
    while waiting:
        inside, links = waiting.pop()
        for entry in _entries(base / inside):
            name = inside + entry.name
            through = links
            if _is_link(entry):
                refuse_leaving(entry.path, limit)
                through = (*links, _without_circle(entry.path, links))
            if entry.is_dir():
                waiting.append((name + "/", through))
            elif name.lower().endswith(SUFFIXES):
                found.append(name)
    # Sorted folder by folder: no character comes before the one that stands for the slash here.
    return sorted(found, key=lambda name: name.replace("/", "\0"))


def mask_files(mask: Path) -> list[Path]:
    """The files of one mask: the mask itself, or the images in it when it is a folder.

    Raises ImageError for a folder without an image.
    """
    if not mask.is_dir():
        return [mask]
    files = image_files(mask)
    if not files:
        raise ImageError(f"{mask} is a folder without an image; put the masks of its image into it")
    return files


def refuse_leaving(path: str | os.PathLike[str], limit: str) -> None:
    """Raise DatasetError when a link leads out of the folder `limit`, a real path."""
    if not lies_in(os.path.realpath(path), limit):
        raise DatasetError(
            f"{Path(path)} is a link that leads out of {limit}; put the files themselves there"
        )


def _without_circle(link: str, links: tuple[str, ...]) -> str:
    """The real folder that holds a link; DatasetError when the link leads back to it.

    `links` are the real folders of the links that were followed so far.
    """
    target, holder = os.path.realpath(link), os.path.realpath(Path(link).parent)
    if any(lies_in(place, target) for place in (*links, holder)):
        raise DatasetError(f"{Path(link)} is a link to a folder that holds it; remove the link")
    return holder


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be listed ({error.strerror}); check its rights"
        ) from error


def _is_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() or (sys.version_info >= (3, 12) and entry.is_junction())
