"""The size of an image from its header, without decoding a pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from blemish.errors import ImageError
from blemish.images import hdf5

# The plugins are called directly: `Image.open` refuses the very large images of line cameras.
READERS: dict[bytes, Callable[[BinaryIO], Image.Image]] = {
    b"\x89PNG": PngImageFile,
    b"\xff\xd8": JpegImageFile,
    b"BM": BmpImageFile,
    b"II*\0": TiffImageFile,
    b"MM\0*": TiffImageFile,
    b"II+\0": TiffImageFile,
    b"MM\0+": TiffImageFile,
}


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
    """Height and width in pixels of a PNG, JPEG, BMP or TIFF file; ImageError if it is none.

    A path may lead through an HDF5 file.
    """
    if hdf5.file_and_name(path):
        return hdf5.item_shape(path)
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            reader = next((r for start, r in READERS.items() if magic.startswith(start)), None)
            if reader is None:
                raise ImageError(f"{path} is no PNG, JPEG, BMP or TIFF image; replace it.")
            file.seek(0)
            width, height = reader(file).size
    except (OSError, SyntaxError, ValueError, KeyError) as error:
        raise ImageError(f"{path} has no readable header ({error}); replace it.") from error
    return height, width
