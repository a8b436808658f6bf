"""Read one image file strictly: the pixels as they are stored, or an error that names the file."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from blemish.errors import ImageError
from blemish.images import hdf5
from blemish.images.listing import mask_files

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}


class _Tiff(TiffImageFile):
    """A TIFF as it is stored: Pillow would limit its pixels, and turn it by its orientation."""

    def load_prepare(self) -> None:
        self._size = self._tile_size
        if self._im is None:
            self.im = Image.new(self.mode, self.size).im
        super().load_prepare()

    def load_end(self) -> None:
        pass


# Opening Pillow's plugin classes directly leaves its pixel limit, a global, out of the way.
_PLUGIN: dict[str, Callable[[BinaryIO], ImageFile]] = {
    "PNG": PngImageFile,
    "BMP": BmpImageFile,
    "TIFF": _Tiff,
}
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "I;16B", "I", "F"})
# The decoders of these fail loudly on damaged data; those of JPEG and fax fill in grey or noise.
_LOUD_TIFF = frozenset(
    {"raw", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "lzma", "zstd"}
)
_BAND_PIXELS = 1 << 22
_COPY_AGAIN = "copy it again from its source or leave it out"


def read_image(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read the pixels as they are stored: uint8, uint16 or float32, [H, W] or RGB [H, W, 3].

    The type is told by the file's first bytes. Alpha is dropped, a palette expanded, 1 bit becomes
    0 and 255; a stored orientation is not applied, so that pixels stay where masks have them.
    Raises ImageError for a file that is missing, foreign, cut off, damaged, CMYK, of several pages,
    or that holds NaN, infinity or integers beyond 16 bits. A path may lead through an HDF5 file.
    """
    if hdf5.file_and_name(path):
        return hdf5.read_item(path)
    path = Path(path)
    with _opened(path) as (file, kind):
        if kind == "JPEG":
            return _read_jpeg(path, file.read())
        image = _structure(path, file, kind)
        if _bits(image) > 8 and image.mode in ("LA", "RGB", "RGBA"):
            pixels = _read_deep_colour(path, file, image)
        else:
            image.load()
            pixels = _pixels(image)
    return _checked(path, pixels)


def depth(path: str | os.PathLike[str]) -> str:
    """Tell "uint8", "uint16" or "float32" from the file's header, without decoding it.

    Raises ImageError for a file whose header cannot be read or that `read_image` would refuse by
    its header.
    """
    if hdf5.file_and_name(path):
        return hdf5.item_depth(path)
    path = Path(path)
    with _opened(path) as (file, kind):
        if kind == "JPEG":
            return "uint8"
        image = _header(path, file, kind)
        if image.mode == "F":
            return "float32"
        return "uint16" if image.mode.startswith("I") or _bits(image) > 8 else "uint8"


def read_mask(path: str | os.PathLike[str], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask as bool [H, W], True where the defect is.

    Foreground lies above half the range (127 of 255, 32767 of 65535, 0.5 in float). A lossless mask
    with no pixel above that holds class indices, as VisA's do, and counts what is not 0; in a JPEG,
    small values are compression noise and stay background. Of colours the largest channel counts.
    A folder stands for the union of the masks in it, as in MVTec LOCO.
    Raises ImageError when a mask is not of `shape`, for a folder without one, or as `read_image`
    does.
    """
    path = Path(path)
    if path.is_dir():
        union = np.zeros(shape, bool)
        for file in mask_files(path):
            union |= read_mask(file, shape)
        return union
    lossless = hdf5.file_and_name(path) is not None
    if not lossless:
        with _opened(path) as (_, kind):
            lossless = kind != "JPEG"
    values = read_image(path)
    if values.ndim == 3:
        values = values.max(axis=2)
    if values.shape != tuple(shape):
        raise ImageError(
            f"the mask {path} is {_size(values.shape)} pixels but its image is {_size(shape)}; "
            "give the mask that was drawn on this image"
        )
    above = above_half(values)
    return values != 0 if lossless and not above.any() else above


def above_half(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the values of a mask [H, W] lie above half the range of their type."""
    half = {"uint8": 127, "uint16": 32767, "float32": 0.5}[values.dtype.name]
    return np.asarray(values > half)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file and tell its type; whatever goes wrong inside becomes an ImageError."""
    if path.is_dir():
        raise ImageError(f"{path} is a folder, not an image; give the image files inside it")
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below, where its own errors are caught)
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be opened ({error.strerror}); check its rights") from error
    with file:
        kind = _kind(path, file)
        try:
            yield file, kind
        except ImageError:
            raise
        except MemoryError as error:
            raise ImageError(
                f"{path} needs more memory than is free; cut the image into smaller ones"
            ) from error
        except Exception as error:  # damaged data surfaces in decoders as almost any type
            raise ImageError(
                f"{path} is damaged or no standard {kind} file ({error}); {_COPY_AGAIN}"
            ) from error


def _kind(path: Path, file: BinaryIO) -> str:
    start = file.read(8)
    file.seek(0)
    if not start:
        raise ImageError(f"{path} is empty (0 bytes); {_COPY_AGAIN}")
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
        if len(start) < len(magic) and magic.startswith(start):
            raise ImageError(f"{path} is a damaged {kind} file (cut off); {_COPY_AGAIN}")
    raise ImageError(
        f"{path} is no PNG, JPEG, BMP or TIFF image, whatever its name says; "
        "save it as one of these or leave it out"
    )


def _read_jpeg(path: Path, data: bytes) -> NDArray[Any]:
    # strict=True turns libjpeg's warnings, which come with half-decoded pixels, into errors.
    _, _, colours, _ = simplejpeg.decode_jpeg_header(data, strict=True)
    if colours.upper() in ("CMYK", "YCCK"):
        raise _cmyk(path)
    if colours.upper() == "GRAY":
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace="GRAY", strict=True)[:, :, 0])
    return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True))


def _cmyk(path: Path) -> ImageError:
    return ImageError(f"{path} is a CMYK image, made for print; save it as RGB or grey")


def _header(path: Path, file: BinaryIO, kind: str) -> ImageFile:
    """Open a PNG, BMP or TIFF without decoding it; refuse what `read_image` cannot hold."""
    if kind == "TIFF":
        _check_tiff_directory(file)
    image = _PLUGIN[kind](file)
    if image.mode == "CMYK":
        raise _cmyk(path)
    if image.mode not in _MODES:
        raise ImageError(f"{path} has colours of kind {image.mode}; save it as RGB or grey")
    pages = getattr(image, "n_frames", 1)
    if pages > 1:
        raise ImageError(f"{path} holds {pages} pages; save each page as a file of its own")
    compression = image.info.get("compression", "raw")
    if kind == "TIFF" and compression not in _LOUD_TIFF:
        raise ImageError(
            f"{path} is a TIFF with {compression} compression, in which damage goes unnoticed; "
            "save it as PNG or as TIFF with LZW or no compression"
        )
    return image


def _structure(path: Path, file: BinaryIO, kind: str) -> ImageFile:
    """Open like `_header`, after a check of what Pillow would let pass."""
    if kind == "PNG":
        _check_png_chunks(file)
    image = _header(path, file, kind)
    size = os.fstat(file.fileno()).st_size
    if any(end > size for end in _ends(image)):
        raise EOFError("cut off")
    return image


def _check_png_chunks(file: BinaryIO) -> None:
    """Walk all chunks up to IEND and compare their checksums; Pillow skips those of the pixels."""
    file.seek(8)
    kind = b""
    while kind != b"IEND":
        head = file.read(8)
        if len(head) < 8:
            raise EOFError("cut off")
        length, kind = struct.unpack(">I4s", head)
        checksum = zlib.crc32(kind)
        while length > 0:
            block = file.read(min(length, 1 << 20))
            if not block:
                raise EOFError("cut off")
            checksum = zlib.crc32(block, checksum)
            length -= len(block)
        stored = file.read(4)
        if len(stored) < 4:
            raise EOFError("cut off")
        if stored != checksum.to_bytes(4, "big"):
            raise ValueError(f"wrong checksum of {kind.decode('latin-1')}")
    file.seek(0)


def _check_tiff_directory(file: BinaryIO) -> None:
    """Check that the first directory lies inside the file; Pillow would warn and guess."""
    head = file.read(16)
    order = "<" if head.startswith(b"II") else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    offset_at, offset_format, count_format, entry = (8, "Q", "Q", 20) if big else (4, "I", "H", 12)
    (offset,) = struct.unpack_from(order + offset_format, head, offset_at)
    file.seek(offset)
    (count,) = struct.unpack(order + count_format, file.read(struct.calcsize(order + count_format)))
    after = struct.calcsize(order + offset_format)  # where the next directory would be
    if file.tell() + count * entry + after > os.fstat(file.fileno()).st_size:
        raise EOFError("cut off")
    file.seek(0)


def _ends(image: ImageFile) -> Iterator[int]:
    """Where each strip, tile or pixel block ends in the file.

    Pillow notices a short one by itself, but only after it has taken memory for the whole image,
    and not when some other library has told it to be lenient.
    """
    if isinstance(image, TiffImageFile):
        for offsets, lengths in ((273, 279), (324, 325)):
            tags = image.tag_v2.get(offsets, ()), image.tag_v2.get(lengths, ())
            yield from (offset + length for offset, length in zip(*tags, strict=False))
        if image.info.get("compression", "raw") == "raw":
            yield image.width * image.height * sum(image.tag_v2.get(258, (1,))) // 8
    elif isinstance(image, BmpImageFile) and image.tile[0].codec_name == "raw":
        _, stride, _ = cast("tuple[str, int, int]", image.tile[0].args)
        yield image.tile[0].offset + stride * image.height


def _bits(image: ImageFile) -> int:
    """Bits of a sample: Pillow opens 16-bit colour in an 8-bit mode."""
    if isinstance(image, TiffImageFile):
        return int(max(image.tag_v2.get(258, (1,))))
    if isinstance(image, PngImageFile):
        args = image.tile[0].args
        return 16 if ";16" in str(args) else 8
    return 8


def _read_deep_colour(path: Path, file: BinaryIO, image: ImageFile) -> NDArray[Any]:
    """Read 16-bit colour through OpenCV, and hold it against the high bytes that Pillow reads.

    Pillow alone keeps 8 bits; OpenCV alone reads planar TIFF as noise, and cut-off files at all.
    """
    grey = "LA" in str(image.tile[0].args)
    image.load()
    file.seek(0)
    data = np.frombuffer(file.read(), np.uint8)
    pixels = cast("NDArray[Any] | None", cv2.imdecode(data, cv2.IMREAD_UNCHANGED))
    if pixels is not None and pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[:, :, 0] if grey else pixels[:, :, 2::-1])
    high_bytes = _pixels(image)
    if grey and high_bytes.ndim == 3:
        high_bytes = high_bytes[:, :, 0]
    if pixels is None or pixels.dtype != np.uint16 or not np.array_equal(pixels >> 8, high_bytes):
        raise ImageError(f"{path} has an unusual layout of its 16-bit colours; save it as PNG")
    return pixels


def _pixels(image: Image.Image) -> NDArray[Any]:
    """Copy a decoded Pillow image into an array, in bands, so that no second whole copy is made."""
    width, height = image.size
    rows = max(1, _BAND_PIXELS // width)
    first = _band(image, 0, min(rows, height))
    if rows >= height:
        return first
    pixels = np.empty((height, *first.shape[1:]), first.dtype)
    pixels[:rows] = first
    for top in range(rows, height, rows):
        pixels[top : top + rows] = _band(image, top, min(top + rows, height))
    return pixels


def _band(image: Image.Image, top: int, bottom: int) -> NDArray[Any]:
    """Rows of a Pillow image as [h, w] or [h, w, 3] in native byte order, without alpha."""
    band = image.crop((0, top, image.width, bottom))
    if band.mode == "PA":
        band = band.convert("RGBA")
    if band.mode == "P":
        band = band.convert("RGB")
    values = np.asarray(band)
    if band.mode == "1":
        return values.astype(np.uint8) * np.uint8(255)
    if values.ndim == 3:
        values = values[:, :, 0] if band.mode == "LA" else values[:, :, :3]
    return np.array(values, dtype=values.dtype.newbyteorder("="), order="C")


def _checked(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    """Refuse values that no grey level means; int32 that fits becomes uint16."""
    if pixels.dtype == np.int32:
        low, high = int(pixels.min()), int(pixels.max())
        if low < 0 or high > 65535:
            raise ImageError(
                f"{path} holds integers from {low} to {high}; scale them into 0 to 65535"
            )
        return pixels.astype(np.uint16)
    if pixels.dtype == np.float32:
        wrong = pixels.size - int(np.count_nonzero(np.isfinite(pixels)))
        if wrong:
            raise ImageError(
                f"{path} holds {wrong} pixels that are NaN or infinite; "
                "replace them or leave the image out"
            )
    return pixels
