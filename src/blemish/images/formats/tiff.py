"""TIFF: strips and tiles that are compressed are checked by their codec, as far as it allows."""

from __future__ import annotations

from contextlib import suppress
from ctypes import CDLL
from functools import cache, partial
from io import BytesIO
from typing import Any, BinaryIO, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, _imaging
from PIL.TiffImagePlugin import TiffImageFile

from blemish.images.formats import _tiff_strips
from blemish.images.formats._header import Depth, Header, MaskPixels, NotRead, Picture, size_of
from blemish.images.formats._pillow import bytes_a_pixel, is_grey_scale, pixels_of
from blemish.images.formats._tiff_directory import (
    BITS,
    COLOUR_MAP,
    COMPRESSION,
    FILL_ORDER,
    HEIGHT,
    INNER,
    KIND,
    MOST_PAGES,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    RAW,
    ROWS_PER_STRIP,
    SAMPLES,
    TILE_HEIGHT,
    TILE_WIDTH,
    WIDTH,
    Directory,
    directory,
    pages,
)
from blemish.images.formats._tiff_strips import MOST_INFLATED
from blemish.images.formats._tiff_writing import head_alone

NAME = "TIFF"
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SUFFIXES = (".tif", ".tiff")
LOSSLESS = True

_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "I;16B", "I", "F"})

_YCBCR = 6
_REDUCED = 1
_MOST_SAMPLES = 6  # that Pillow decodes; of more it prints an error
_SINGLE = (
    *(WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, FILL_ORDER, SAMPLES, ROWS_PER_STRIP, PLANAR),
    *(PREDICTOR, TILE_WIDTH, TILE_HEIGHT),
)
_NATIVE = {"F;32BF": "F;32NF", "I;32BS": "I;32NS", "I;16BS": "I;16NS"}


class _Tiff(TiffImageFile):
    """A TIFF as it is stored: Pillow would limit its pixels, and turn it by its orientation."""

    def load_prepare(self) -> None:
        self._size = self._tile_size
        if self._im is None:
            self.im = Image.new(self.mode, self.size).im
        super().load_prepare()

    def load_end(self) -> None:
        pass


def picture(file: BinaryIO) -> Picture:
    """Read the first directory. Raises NotRead for pages, and for what is not read.

    Its pixels raise ValueError, EOFError or OSError for damage.
    """
    found = directory(file)
    _refuse_odd(found)
    pixels, bits = found.width * found.height, sum(found.bits)
    capacity = MOST_INFLATED.get(found.first(COMPRESSION, RAW), 1) * size_of(file) * 8 // bits
    image = _image(file, found)
    grey = image.mode not in ("P", "PA", "RGB", "RGBA")
    channels = 1 if grey else 3
    depth = _depth(image, found)
    array = pixels * channels * {"uint8": 1, "uint16": 2, "float32": 4}[depth]
    decoded = pixels * bytes_a_pixel(image.mode)
    width, height = found.piece
    piece = width * height * bits // 8
    if _is_deep_colour(image):
        # OpenCV is given all strips at once, and its pixels are compared with Pillow's.
        memory = decoded + 2 * (pixels * bits // 8) + array + pixels * channels
    elif image.mode == "I":
        memory = max(decoded + max(piece, 2 * array), 3 * array)
    else:
        memory = decoded + max(piece, array)
    if found.first(COMPRESSION, RAW) != RAW:
        memory = _tiff_strips.memory(found, memory) + 2 * size_of(file)
    header = Header(found.width, found.height, channels, depth, memory, capacity)
    return Picture(
        header, partial(_pixels, file, found, image), partial(_mask_pixels, file, found, image)
    )


def _pixels(file: BinaryIO, found: Directory, image: _Tiff) -> NDArray[Any]:
    _refuse_cut_strips(file, found)
    if found.first(COMPRESSION, RAW) == RAW:
        _tiff_strips.refuse_other_sizes(found)
        if not _is_deep_colour(image):
            image.load()
            return pixels_of(image)
    return _tiff_strips.pixels(file, found, _decoded)


def _mask_pixels(file: BinaryIO, found: Directory, image: _Tiff) -> MaskPixels:
    _refuse_cut_strips(file, found)
    if found.first(COMPRESSION, RAW) == RAW and not _is_deep_colour(image):
        _tiff_strips.refuse_other_sizes(found)
        image.load()
        stored = np.asarray(image) if image.mode in _WITH_MORE else pixels_of(image)
    else:
        stored = _tiff_strips.pixels(file, found, _stored)
    if image.mode in ("P", "PA"):
        of_channel = np.array(found.tags[COLOUR_MAP]).reshape(3, -1) >> 8
        palette = of_channel.T.astype(np.uint8).tobytes()
        indices = stored if stored.ndim == 2 else np.ascontiguousarray(stored[:, :, 0])
        return MaskPixels(indices, indexed=not is_grey_scale(palette))
    if image.mode not in ("LA", "RGBA"):
        return MaskPixels(stored)
    values, alpha = stored[:, :, :-1], stored[:, :, -1]
    varies = alpha.min() < alpha.max()
    return MaskPixels(values[:, :, 0] if image.mode == "LA" else values, alpha if varies else None)


_WITH_MORE = ("P", "PA", "LA", "RGBA")  # than a picture is read with: indices, or alpha


@cache
def _silence_libtiff() -> None:
    """Keep libtiff, inside of Pillow, from printing what is wrong: the exception says it."""
    with suppress(AttributeError, OSError):  # where Pillow was built in another way
        CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


def _decoded(content: bytes) -> NDArray[Any]:
    _silence_libtiff()
    image = _Tiff(BytesIO(content))
    if _is_deep_colour(image):
        return _deep_colour(content, image)
    _expect_native_order(image)
    image.load()
    return pixels_of(image)


def _stored(content: bytes) -> NDArray[Any]:
    """As `_decoded`, but of a palette the indices, and with alpha as the last channel."""
    _silence_libtiff()
    image = _Tiff(BytesIO(content))
    if image.mode not in _WITH_MORE:
        return _decoded(content)
    if not _is_deep_colour(image):
        image.load()
        return np.asarray(image)
    values = _deep_colour(content, image)
    return np.dstack([values, np.asarray(image.getchannel("A"))])


def _refuse_odd(found: Directory) -> None:
    """Raise ValueError for what no TIFF says of its pixels; Pillow would warn and take some of it.

    NotRead for the small copy of a picture that lies in a directory further inside.
    """
    several = [tag for tag in _SINGLE if len(found.tags.get(tag, ())) > 1]
    if several:
        raise ValueError(f"its tag {several[0]} has more than one value")
    if not 1 <= (samples := found.first(SAMPLES, 1)) <= _MOST_SAMPLES:
        raise ValueError(f"{samples} values a pixel")
    if found.width < 1 or found.height < 1 or min(found.bits, default=0) < 1:
        raise ValueError(f"{found.width} x {found.height} pixels of {sum(found.bits)} bits")
    if found.first(KIND, 0) & _REDUCED and INNER in found.tags:
        raise NotRead("begins with a small copy of its picture; save the picture alone")


def _image(file: BinaryIO, found: Directory) -> _Tiff:
    """Pillow's image, not decoded."""
    if (count := pages(file, found)) > 1:
        told = count if count <= MOST_PAGES else f"more than {MOST_PAGES}"
        raise NotRead(f"holds {told} pages; save each page as a file of its own")
    # Pillow would make an object of each number in any other tag, however many there are.
    image = _Tiff(BytesIO(head_alone(found.order, found.tags)))
    image.fp = file
    if image.mode == "CMYK":
        raise NotRead("is a CMYK image, made for print; save it as RGB or grey")
    mode = "YCbCr" if found.first(PHOTOMETRIC, 0) == _YCBCR else image.mode
    if mode not in _MODES:
        raise NotRead(f"has colours of kind {mode}; save it as RGB or grey")
    if found.first(COMPRESSION, RAW) not in MOST_INFLATED:
        raise NotRead(
            f"is a TIFF with {image.info['compression']} compression, in which damage goes "
            "unnoticed; save it as PNG or as TIFF with deflate compression"
        )
    if image.mode in ("P", "PA") and len(found.tags.get(COLOUR_MAP, ())) != 3 << found.bits[0]:
        raise ValueError("a palette of another size than its indices")
    return image


def _expect_native_order(image: _Tiff) -> None:
    """Libtiff gives numbers in the order of the machine; Pillow takes these as stored ones."""
    codec, _, _, args = image.tile[0]
    if codec == "libtiff" and isinstance(args, tuple) and args[0] in _NATIVE:
        image.tile = [image.tile[0]._replace(args=(_NATIVE[args[0]], *args[1:]))]


def _depth(image: Image.Image, found: Directory) -> Depth:
    if image.mode == "F":
        return "float32"
    return "uint16" if image.mode.startswith("I") or max(found.bits) > 8 else "uint8"


def _is_deep_colour(image: _Tiff) -> bool:
    """16-bit colour, which Pillow opens in an 8-bit mode."""
    return max(image.tag_v2.get(BITS, (1,))) > 8 and image.mode in ("LA", "RGB", "RGBA")


def _refuse_cut_strips(file: BinaryIO, found: Directory) -> None:
    """Raise EOFError where a strip or tile ends beyond the file.

    Pillow notices a short one by itself, but only after it has taken memory for the whole image,
    and not when some other library has told it to be lenient.
    """
    size = size_of(file)
    if any(offset + length > size for offset, length in found.pieces):
        raise EOFError("cut off")


def _deep_colour(content: bytes, image: _Tiff) -> NDArray[np.uint16]:
    """Read 16-bit colour through OpenCV, and hold it against the high bytes that Pillow reads.

    Pillow alone keeps 8 bits; OpenCV alone reads planar TIFF as noise, and cut-off files at all.
    """
    grey = image.mode == "LA"
    image.load()
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        data = np.frombuffer(content, np.uint8)
        pixels = cast("NDArray[Any] | None", cv2.imdecode(data, cv2.IMREAD_UNCHANGED))
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is not None and pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[:, :, 0] if grey else pixels[:, :, 2::-1])
    high_bytes = pixels_of(image)
    if pixels is None or pixels.dtype != np.uint16 or not np.array_equal(pixels >> 8, high_bytes):
        raise NotRead("has an unusual layout of its 16-bit colours; save it as PNG")
    return pixels
