"""The annotations of labelling tools, one module for each format, known by the module's name.

A format has `EXPECTS` (what it looks for, in words), `SUFFIXES` (of its files), `MASK_FOLDERS` (of
pictures that are annotations), `recognises(text) -> bool` (of a file's start and end) and
`read(folder) -> Iterator[Annotation | Finding]`. A new module in this folder is a new format; those
that begin with an underscore serve the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, cast

from blemish.dataset.annotations._annotation import Annotation
from blemish.dataset.annotations._folder import Folder
from blemish.dataset.check import Finding
from blemish.discovery import Kind
from blemish.errors import DatasetError

__all__ = ["FORMATS", "Annotation", "Folder", "Format", "formats_seen", "open_format"]

FORMATS = Kind(__name__, "format of annotations", error=DatasetError, listing="the formats are")
_MOST_FILES = 20  # of one suffix that are looked at to tell a format


class Format(Protocol):
    """What a module in this folder offers."""

    EXPECTS: str
    SUFFIXES: tuple[str, ...]
    MASK_FOLDERS: tuple[str, ...]

    def recognises(self, text: str) -> bool:
        """True when a file that begins and ends so holds annotations of this format."""

    def read(self, folder: Folder) -> Iterator[Annotation | Finding]:
        """Every annotation in the folder, and what is wrong with those that cannot be read."""


def open_format(name: str) -> Format:
    """The format of that name. Raises DatasetError for a name there is no file for."""
    return cast(Format, FORMATS.module(name))


def formats_seen(folder: Folder) -> dict[str, str]:
    """The formats of which a folder seems to hold annotations, each with the name of one file."""
    seen: dict[str, str] = {}
    for name in FORMATS.own_names():
        format_ = open_format(name)
        for file in folder.files(*format_.SUFFIXES)[:_MOST_FILES]:
            if format_.recognises(folder.ends_of(file)):
                seen[name] = file
                break
    return seen
