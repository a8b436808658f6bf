"""A picture as a caller gives it, a path or an array: one set of rules for both."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blemish.errors import ImageError
from blemish.images.window import Window, read_eight_bit, to_eight_bit
from blemish.util.file_limit import refusal
from blemish.util.names import escaped, path_of, type_of, wrong_name

Picture = str | os.PathLike[str] | NDArray[Any]

_DEPTHS = (np.uint8, np.uint16, np.float32)


def picture_name(picture: object) -> str:
    """What messages and verdicts call a picture; empty for an array.

    Raises ImageError for what is neither a path as text nor an array.
    """
    if isinstance(picture, np.ndarray):
        return ""
    path = picture.__fspath__() if isinstance(picture, os.PathLike) else picture
    if not isinstance(path, str):
        raise ImageError(f"an image must be a path as text or an array, not {type_of(path)}")
    return escaped(path)


def read_picture(picture: Picture, window: Window | None) -> NDArray[np.uint8]:
    """The pixels through the window as uint8, [H, W] when grey and [H, W, 3] when RGB.

    Raises ImageError for a path that is empty or not read for its name, and as `read_eight_bit` and
    `as_stored`.
    """
    if isinstance(picture, np.ndarray):
        array = as_stored(picture)
        if window is None and array.dtype != np.uint8:
            raise ImageError(
                f"an array for a model of 8-bit images must be uint8, not {array.dtype}; give it "
                "as the camera's 8-bit files hold it"
            )
        return to_eight_bit(array, "the array", window)
    if (reason := wrong_name(picture)) is not None:
        raise ImageError(reason)
    return read_eight_bit(path_of(picture, "an image", ImageError), window)


def as_stored(array: NDArray[Any]) -> NDArray[Any]:
    """An array as `read_image` gives it: uint8, uint16 or float32, [H, W] or RGB [H, W, 3].

    [H, W, 1] becomes [H, W], bool becomes 0 and 255, float16 and float64 become float32. Raises
    ImageError for another type or shape, such as [H, W, 4], of which nothing says that the fourth
    channel is alpha; without pixels; and for one that is NaN or infinite.
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
        raise ImageError(
            f"an array of the shape {list(array.shape)} is no image; give [H, W] or RGB [H, W, 3]"
        )
    if array.size == 0:
        raise ImageError(f"an array of the shape {list(array.shape)} has no pixels")
    if refused := refusal(array.size * min(array.itemsize, 4)):
        raise ImageError(f"an array of the shape {list(array.shape)} {refused}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.newbyteorder("=") in _DEPTHS:
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    elif array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # becomes infinite, and is refused below
            array = array.astype(np.float32)
    else:
        raise ImageError(f"an array of {array.dtype} is no image; give uint8, uint16 or float32")
    if array.dtype == np.float32:
        wrong = array.size - int(np.count_nonzero(np.isfinite(array)))
        if wrong:
            raise ImageError(f"the array has {wrong} pixels that are NaN or infinite; replace them")
    return array


def picture_pairs(pictures: object) -> list[tuple[str | None, Picture]]:
    """One picture, or (view, picture) pairs, as pairs. Raises ImageError for anything else."""
    if isinstance(pictures, str | os.PathLike | np.ndarray):
        return [(None, pictures)]
    if not isinstance(pictures, Iterable) or isinstance(pictures, bytes | bytearray | memoryview):
        raise ImageError(
            "an image must be a path as text or an array, or several as pairs of a view and an "
            f"image, not {type_of(pictures)}"
        )
    return [_pair(pair) for pair in pictures]


def _pair(pair: object) -> tuple[str | None, Picture]:
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise ImageError(
            f"several images must be pairs of a view, or None, and an image, not {type_of(pair)}"
        )
    view, picture = pair
    if not isinstance(view, str | None):
        raise ImageError(f"a view must be a text or None, not {type_of(view)}")
    picture_name(picture)
    return view, picture
