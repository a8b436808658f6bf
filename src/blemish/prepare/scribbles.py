"""Scribbles of a person on an image: an overlay PNG of the image's size, read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from blemish.errors import BlemishError, ImageError
from blemish.images import depth, read_image
from blemish.util.files import open_regular
from blemish.util.library_errors import translated

UNLABELLED, BACKGROUND, DEFECT = 0, 1, 2
Labels = NDArray[np.uint8]

_DRAWN = 128  # of 255: a pixel more transparent or darker than this is not labelled
_LEAST_REACH = 22.5
_HOW = "draw the defect red and the background green or blue, and leave the rest transparent"


def read_scribbles(path: Path, shape: tuple[int, int]) -> Labels:
    """Read an overlay as labels, uint8 [H, W]: 0 unlabelled, 1 background, 2 defect.

    Red is defect; green, blue or a mixture of both is background; what is transparent or dark is
    unlabelled. A grey overlay without values above 2 holds the labels themselves. Of a palette
    the colours count. Raises ImageError for anything but a sound 8-bit PNG, for one that is not of
    `shape`, for other colours and for an overlay on which nothing is drawn.
    """
    pixels = _png(path)
    if pixels.shape[:2] != tuple(shape):
        raise ImageError(
            f"the scribbles {path} are {_size(pixels.shape)} pixels but their image is "
            f"{_size(shape)}; draw them on that image at its own size"
        )
    visible = _alpha(path, pixels) >= _DRAWN
    indices = pixels if pixels.ndim == 2 else pixels.max(axis=2)
    same = pixels.ndim == 2 or bool((pixels == indices[:, :, None])[visible].all())
    if same and indices[visible].max(initial=0) <= DEFECT:
        labels = np.where(visible, indices, UNLABELLED).astype(np.uint8)
    else:
        labels = _labels_of_colours(path, np.atleast_3d(pixels), visible)
    if not labels.any():
        raise ImageError(f"the scribbles {path} are empty; {_HOW}, or remove the file")
    return labels


def reach(strokes: NDArray[np.bool_]) -> float:
    """How far from its strokes (bool [H, W]) a defect is expected to extend, in pixels.

    One and a half sides of a square of ten times what was drawn: a stroke covers about a tenth.
    """
    return max(_LEAST_REACH, 1.5 * float(np.sqrt(10 * np.count_nonzero(strokes))))


def distance(strokes: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How far each pixel is from the nearest stroke, float32 [H, W]."""
    away = cv2.distanceTransform((~strokes).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(away, np.float32)


def refuse_one_label(drawn: NDArray[Any]) -> None:
    """Raise BlemishError where not both labels, 1 and 2, are among those of all images."""
    words = {BACKGROUND: "background", DEFECT: "defect"}
    lacking = [label for label in words if not (drawn == label).any()]
    if lacking:
        raise BlemishError(
            f"no scribbles of {' or '.join(words[label] for label in lacking)} are drawn on any "
            f"image; a classifier learns from both: {_HOW}"
        )


def _png(path: Path) -> NDArray[Any]:
    try:
        with open_regular(path) as file:
            start = file.read(8)
    except OSError as error:
        raise ImageError(f"{path} cannot be opened ({error.strerror}); check the path") from error
    if start.startswith(b"\xff\xd8\xff"):
        raise ImageError(
            f"the scribbles {path} are a JPEG, which smears their colours; save them as PNG"
        )
    if start.startswith((b"BM", b"II*\0", b"MM\0*")):
        raise ImageError(f"the scribbles {path} are no PNG; save them as PNG")
    pixels = read_image(path)
    if depth(path) != "uint8":
        raise ImageError(f"the scribbles {path} have 16-bit colours; save them as 8-bit PNG")
    return pixels


def _alpha(path: Path, pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """How opaque every pixel is, uint8 [H, W]; 255 throughout without transparency."""
    damaged = "the scribbles {} are damaged ({}); save them as PNG again"
    with (
        translated(lambda reason: ImageError(damaged.format(path, reason))),
        open_regular(path) as file,
        PngImageFile(file) as image,
    ):
        if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
            return np.asarray(image.convert("RGBA").getchannel("A"))
    return np.full(pixels.shape[:2], 255, np.uint8)


def _labels_of_colours(path: Path, pixels: NDArray[Any], visible: NDArray[np.bool_]) -> Labels:
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    red = pixels[:, :, 0]
    other = pixels[:, :, 1:].max(axis=2)
    drawn = visible & (np.maximum(red, other) >= _DRAWN)
    labels = np.zeros(drawn.shape, np.uint8)
    labels[drawn & (other <= red // 2)] = DEFECT
    labels[drawn & (red <= other // 2)] = BACKGROUND
    odd = drawn & (labels == UNLABELLED)
    if odd.any():
        y, x = np.argwhere(odd)[0].tolist()
        colour = tuple(pixels[y, x].tolist())
        raise ImageError(
            f"the scribbles {path} have the colour {colour} at column {x}, row {y}, which is "
            f"neither red nor green nor blue; {_HOW}"
        )
    return labels


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
