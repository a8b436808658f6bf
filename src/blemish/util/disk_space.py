"""Room on a disk, told before long work rather than after it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from blemish.errors import ArtifactError


def need_room(folder: Path, needed_bytes: int, what: str) -> None:
    """Raise ArtifactError where the disk of `folder`, which need not exist, lacks room for `what`.

    `needed_bytes` is what will be written. A disk whose room cannot be told is taken to have it.
    """
    free = free_bytes(folder)
    if free is not None and needed_bytes > free:
        raise ArtifactError(
            f"{what} will take about {_size(needed_bytes)}, and {_size(free)} are free on the disk "
            f"of {folder}: free some space, or choose another place"
        )


def free_bytes(folder: Path) -> int | None:
    """The bytes that are free where a folder is, or will be; None where that cannot be told."""
    place = Path(os.path.abspath(folder))  # noqa: PTH100 - of a folder that may not exist
    for one in (place, *place.parents):
        try:
            return shutil.disk_usage(one).free
        except OSError:  # not there yet: ask the folder above
            continue
    return None


def _size(number: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{max(number, 0) // 1000 + 1} kB"
