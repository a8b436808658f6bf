"""Read one image file strictly: the pixels as they are stored, or an error that names the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from blemish.errors import BlemishError, ImageError
from blemish.images import hdf5
from blemish.images.formats import WORDS, Format, Header, MaskPixels, NotRead, of_start
from blemish.images.listing import mask_files
from blemish.images.mask_meaning import MaskReading, meaning_of
from blemish.util.file_limit import refusal
from blemish.util.files import open_regular

_COPY_AGAIN = "copy it again from its source or leave it out"
_LONGEST_SIDE = 1 << 28  # pixels; no decoder takes more
# What only a mistake in this package raises in it, and no damage. None counts but in the tests: a
# user is better off with a picture less.
MISTAKES: tuple[type[Exception], ...] = ()
_HERE = str(Path(__file__).parents[1])


def read_image(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read the pixels as they are stored: uint8, uint16 or float32, [H, W] or RGB [H, W, 3].

    The type is told by the file's first bytes. Alpha is dropped, a palette expanded, 1 bit becomes
    0 and 255; a stored orientation is not applied, so that pixels stay where masks have them.
    Raises ImageError for a file that is missing, foreign, cut off, damaged, larger than the file
    limit, CMYK, of several pages, or that holds NaN, infinity or integers beyond 16 bits. A path
    may lead through an HDF5 file.
    """
    if hdf5.file_and_name(path):
        return hdf5.read_item(path)
    path = Path(path)
    with _opened(path) as (file, format_):
        picture = format_.picture(file)
        _refuse_beyond_limit(path, picture.header)
        pixels = picture.pixels()
    return _checked(path, pixels)


def read_header(path: str | os.PathLike[str]) -> Header:
    """What the header of a file declares, without decoding it; no path through an HDF5 file.

    Raises ImageError for a file whose header cannot be read, or that `read_image` would refuse by
    its header alone.
    """
    with _opened(Path(path)) as (file, format_):
        return format_.picture(file).header


def depth(path: str | os.PathLike[str]) -> str:
    """Tell "uint8", "uint16" or "float32" from the file's header. Raises as `read_header`."""
    return hdf5.item_depth(path) if hdf5.file_and_name(path) else read_header(path).depth


def read_mask(path: str | os.PathLike[str], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask as bool [H, W], True where the defect is, by the rule of `mask_meaning`.

    A folder stands for the union of the masks in it, as in MVTec LOCO.
    Raises ImageError when a mask is not of `shape`, for a folder without one, for one of which it
    cannot be told where the defect is, or as `read_image` does.
    """
    return look_at_mask(path, shape).marked


def look_at_mask(path: str | os.PathLike[str], shape: tuple[int, int] | None = None) -> MaskReading:
    """A mask as `read_mask` reads it, with what it was read from; None is for any size."""
    path = Path(path)
    if os.path.isdir(path):  # noqa: PTH112 - false for a name that is too long
        first, *others = mask_files(path)
        union = replace(look_at_mask(first, shape), values=None)
        for other in others:
            union |= look_at_mask(other, union.marked.shape[:2])
        return union
    if hdf5.file_and_name(path):
        lossless, pixels = True, MaskPixels(hdf5.read_item(path))
    else:
        with _opened(path) as (file, format_):
            lossless, picture = format_.LOSSLESS, format_.picture(file)
            _refuse_beyond_limit(path, picture.header)
            decode = picture.mask_pixels
            pixels = MaskPixels(picture.pixels()) if decode is None else decode()
        pixels = replace(pixels, values=_checked(path, pixels.values))
    size = pixels.values.shape[:2]
    if shape is not None and size != tuple(shape):
        raise ImageError(
            f"the mask {path} is {_size(size)} pixels but its image is {_size(shape)}; "
            "give the mask that was drawn on this image"
        )
    try:
        return meaning_of(pixels, lossless=lossless)
    except NotRead as error:
        raise ImageError(f"the mask {path} {error}") from None


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, Format]]:
    """Open a file and tell its format; whatever goes wrong inside becomes an ImageError."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist; check the path") from None
    except OSError as error:
        if os.path.isdir(path):  # noqa: PTH112 - as above
            raise ImageError(
                f"{path} is a folder, not an image; give the image files inside it"
            ) from None
        raise ImageError(f"{path} cannot be opened ({error.strerror}); check it") from error
    with file:
        format_ = _format(path, file)
        try:
            yield file, format_
        except (BlemishError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except NotRead as error:
            raise ImageError(f"{path} {error}") from None
        except MemoryError as error:
            raise ImageError(
                f"{path} needs more memory than is free; cut the image into smaller ones"
            ) from error
        except BaseException as error:  # damage surfaces in decoders as any type, panics among them
            if isinstance(error, MISTAKES) and _is_raised_here(error):
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            if isinstance(error, KeyError):  # of which the text is the key alone
                reason = f"an unknown value, {reason}"
            raise ImageError(
                f"{path} is damaged or no standard {format_.NAME} file ({reason}); {_COPY_AGAIN}"
            ) from error


def _is_raised_here(error: BaseException) -> bool:
    """Whether an error comes from this package itself, and from no library below."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(_HERE)


def _format(path: Path, file: BinaryIO) -> Format:
    try:
        start = file.read(8)
        file.seek(0)
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); check the disk") from error
    if not start:
        raise ImageError(f"{path} is empty (0 bytes); {_COPY_AGAIN}")
    found = of_start(start)
    if found is None:
        raise ImageError(
            f"{path} is no {WORDS} image, whatever its name says; "
            "save it as one of these or leave it out"
        )
    format_, whole = found
    if not whole:
        raise ImageError(f"{path} is a damaged {format_.NAME} file (cut off); {_COPY_AGAIN}")
    return format_


def _refuse_beyond_limit(path: Path, header: Header) -> None:
    """Refuse, before memory is taken, a size that the file cannot hold or that is too large."""
    declares = f"{path} declares {header.width} x {header.height} pixels"
    if header.pixels > header.capacity or max(header.width, header.height) > _LONGEST_SIDE:
        raise ImageError(
            f"{declares}, more than its bytes can hold: it is cut off or damaged; {_COPY_AGAIN}"
        )
    refused = refusal(header.memory)
    if refused is not None:
        raise ImageError(f"{declares}, which {refused}")


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
