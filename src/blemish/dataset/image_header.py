"""The size of an image from its header, without decoding a pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from blemish.images import hdf5
from blemish.images.reading import read_header


def sizes_below(root: Path) -> Callable[[str], tuple[int, int]]:
    """`image_size` of names below `root`; a stack in an HDF5 file is looked at once."""
    of_stack: dict[str, tuple[int, int] | None] = {}

    def size(name: str) -> tuple[int, int]:
        folder = name.rpartition("/")[0]
        if folder not in of_stack:
            of_stack[folder] = hdf5.stack_shape(root / folder)
        return of_stack[folder] or image_size(root / name)

    return size


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image in pixels. Raises ImageError as `read_header`.

    A path may lead through an HDF5 file.
    """
    if hdf5.file_and_name(path):
        return hdf5.item_shape(path)
    header = read_header(path)
    return header.height, header.width
