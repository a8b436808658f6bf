"""A picture whose header has been read, and what the header declares."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from io import UnsupportedOperation
from typing import Any, BinaryIO, Literal

from numpy.typing import NDArray

Depth = Literal["uint8", "uint16", "float32"]


@dataclass(frozen=True)
class Header:
    """What a header declares, as it stands there: nothing of it is true before it is checked.

    `channels` is 1 or 3, without alpha. `memory` are the bytes that decoding takes at its peak,
    and `capacity` the most pixels that so short a file can hold.
    """

    width: int
    height: int
    channels: int
    depth: Depth
    memory: int
    capacity: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


@dataclass(frozen=True, eq=False)
class MaskPixels:
    """The pixels of a mask: `values` [H, W] or RGB [H, W, 3], of a palette the indices.

    `indexed` is False for a palette that is the grey scale, whose indices are grey values. `alpha`
    [H, W] is None where there is none, and where it is the same everywhere and so tells nothing.
    """

    values: NDArray[Any]
    alpha: NDArray[Any] | None = None
    indexed: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """An open file whose header has been read; `pixels` decodes it: [H, W] or RGB [H, W, 3].

    `mask_pixels` decodes it as a mask, None for a format without palettes and alpha.
    """

    header: Header
    pixels: Callable[[], NDArray[Any]]
    mask_pixels: Callable[[], MaskPixels] | None = None


class NotRead(Exception):  # noqa: N818 - it is no error of the file
    """A picture of a kind that is not read: what it is and the way out, to follow its name."""


def size_of(file: BinaryIO) -> int:
    """The bytes of an open file, or of what is like one."""
    try:
        return os.fstat(file.fileno()).st_size
    except UnsupportedOperation:  # it is in memory
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(here)
        return end
