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


def image_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels of a PNG, JPEG, BMP or TIFF file; ImageError if it is none."""
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
