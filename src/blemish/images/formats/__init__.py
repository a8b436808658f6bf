"""The picture formats that are read, one module each, known by the module's name.

A new module in this folder is a new format. Those that begin with an underscore serve the others.
What cannot be told apart from damage, and so is not read, is in docs/guide.md.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import BinaryIO, Protocol, cast

from blemish.images.formats._header import Header, MaskPixels, NotRead, Picture

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "WORDS",
    "Format",
    "Header",
    "MaskPixels",
    "NotRead",
    "Picture",
    "of_start",
]


class Format(Protocol):
    """What a module in this folder offers.

    NotRead stands for a sound file of a kind that is not read, and any other exception for a
    damaged one.
    """

    NAME: str
    MAGIC: tuple[bytes, ...]
    SUFFIXES: tuple[str, ...]
    LOSSLESS: bool

    def picture(self, file: BinaryIO) -> Picture:
        """Read the header of a file; nothing is decoded before its pixels are asked for."""


_COMMON = ("PNG", "JPEG")  # named first


def _order(format_: Format) -> tuple[int, str]:
    common = format_.NAME in _COMMON
    return _COMMON.index(format_.NAME) if common else len(_COMMON), format_.NAME


def _formats() -> tuple[Format, ...]:
    names = [module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_"]
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    formats = (cast(Format, module) for module in modules)
    return tuple(sorted(formats, key=_order))


FORMATS = _formats()
SUFFIXES = tuple(suffix for format_ in FORMATS for suffix in format_.SUFFIXES)
_NAMES = [format_.NAME for format_ in FORMATS]
WORDS = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"


def of_start(start: bytes) -> tuple[Format, bool] | None:
    """The format that the first bytes of a file are of, and whether they hold its whole mark."""
    for format_ in FORMATS:
        if start.startswith(format_.MAGIC):
            return format_, True
    for format_ in FORMATS:
        if any(magic.startswith(start) for magic in format_.MAGIC):
            return format_, False
    return None
