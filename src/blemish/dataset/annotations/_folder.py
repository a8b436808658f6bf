"""A folder with pictures and annotations, by the names of its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from blemish.dataset.check import Finding
from blemish.errors import DatasetError
from blemish.images import image_names
from blemish.util.files import open_regular
from blemish.util.names import is_name, wrong_name

_SHOWN = 1 << 16  # bytes of a file's start, and of its end, that tell what it is


@dataclass(frozen=True)
class Folder:
    """The root of a data set, and its files relative to it: those with pictures, and all others."""

    root: Path
    images: tuple[str, ...]
    others: tuple[str, ...]

    @classmethod
    def at(cls, place: Path) -> Folder:
        """What a folder holds; of a file, its folder with that file alone beside the pictures.

        Hidden files are left out. Raises DatasetError as `image_names` does, and for a file whose
        name is none.
        """
        root = place.parent if place.is_file() else place
        images = image_names(root)
        if place.is_file():
            return cls(root, tuple(images), (place.name,))
        pictures = set(images)
        others: list[str] = []
        # Links were looked at when the images were listed: none leads out or back.
        for holder, folders, files in os.walk(root, followlinks=True):
            folders[:] = sorted(name for name in folders if name[0] not in ".@#$")
            start = os.path.relpath(holder, root).replace(os.sep, "/") + "/"
            start = "" if start == "./" else start
            others += [
                start + n for n in sorted(files) if n[0] != "." and start + n not in pictures
            ]
        if wrong := [name for name in others if not is_name(name)]:
            raise DatasetError(wrong_name(root / wrong[0]))
        return cls(root, tuple(images), tuple(others))

    @cached_property
    def stems(self) -> frozenset[str]:
        """The names of the pictures without their suffixes."""
        return frozenset(name.rpartition(".")[0] for name in self.images)

    def files(self, *suffixes: str) -> list[str]:
        """The files that are no pictures and have one of these suffixes, in any case."""
        return [name for name in self.others if name.lower().endswith(suffixes)]

    def ends_of(self, name: str) -> str:
        """The start and the end of a file as text; empty where it cannot be read."""
        try:
            with open_regular(self.root / name) as file:
                start = file.read(_SHOWN)
                rest = max(len(start), os.fstat(file.fileno()).st_size - _SHOWN)
                file.seek(rest)
                return (start + file.read(_SHOWN)).decode("utf-8-sig", "replace")
        except OSError:
            return ""


def not_read(files: list[str], what: str) -> list[Finding]:
    """A note on files that have the suffix of a format and are something else."""
    if not files:
        return []
    some = f"{files[0]} is" if len(files) == 1 else f"{len(files)} files, such as {files[0]}, are"
    return [Finding("note", f"{some} no {what}, and not read.", files[0], "other files")]
