"""From an image to the model's input, and from the model's map back to the image's pixels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from blemish.errors import ImageError
from blemish.images.window import Window

_BLOCK_ROWS = 32


@dataclass(frozen=True)
class Recipe:
    """Everything between the file and the model's input.

    `height` and `width` are the model's; `resize` is "pad" (keeps the aspect ratio) or "squash";
    `window` is None for 8-bit data; `tile` is the side of a square tile in original pixels, None
    for the whole image at once; `overlap` is the share of that side that neighbours have in common.
    `margin` is the width of the rim that a centre crop cuts off, in pixels of the model: of an
    image that would be height + 2 margins tall, only the middle is seen (see `centre_box`).
    Raises ImageError for a value that makes no sense.
    """

    height: int
    width: int
    resize: str = "pad"
    window: Window | None = None
    tile: int | None = None
    overlap: float = 0.25
    margin: int = 0

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        if self.height < 1 or self.width < 1:
            raise ImageError(f"a model input of {self.width} x {self.height} has no pixels")
        if self.resize not in ("pad", "squash"):
            raise ImageError(f'resize is "{self.resize}"; choose "pad" or "squash"')
        if self.tile is not None and self.tile < 1:
            raise ImageError(f"a tile of {self.tile} pixels is empty; give a side of 1 or more")
        if not 0 <= self.overlap < 1:
            raise ImageError(f"an overlap of {self.overlap} is not a share from 0 to below 1")
        if self.margin < 0:
            raise ImageError(f"a margin of {self.margin} pixels is none; give 0 or more")
        if self.margin and self.tile is not None:
            raise ImageError(
                "a centre crop leaves out the rim of the image and tiles cover all of it; leave "
                "out one of the two"
            )

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return asdict(self)


def fit(image: NDArray[np.uint8], recipe: Recipe) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Resize an image to the model's input: by area where it shrinks, bilinear where it grows.

    `image` is uint8 [H, W] or [H, W, 3]. Returns uint8 [height, width, 3] and the box that the
    image fills, float32 (top, left, bottom, right) in model pixels. With "pad" the image lies at
    the top left and its last row and column are repeated.
    Raises ImageError for an array of another type or shape, or without pixels.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise ImageError(
            f"an image must be uint8 [H, W] or [H, W, 3], not {image.dtype} {list(image.shape)}"
        )
    if image.size == 0:
        raise ImageError(f"an image of shape {list(image.shape)} has no pixels")
    height, width = _fitted(image.shape[0], image.shape[1], recipe)
    resized = resize(image, height, width)
    padded = cv2.copyMakeBorder(
        resized, 0, recipe.height - height, 0, recipe.width - width, cv2.BORDER_REPLICATE
    )
    rgb = padded if padded.ndim == 3 else cv2.cvtColor(padded, cv2.COLOR_GRAY2RGB)
    return cast("NDArray[np.uint8]", rgb), np.array([0, 0, height, width], np.float32)


def _fitted(height: int, width: int, recipe: Recipe) -> tuple[int, int]:
    if recipe.resize == "squash":
        return recipe.height, recipe.width
    scale = min(recipe.height / height, recipe.width / width)
    return (
        min(recipe.height, max(1, round(height * scale))),
        min(recipe.width, max(1, round(width * scale))),
    )


def resize(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """An image [H, W] or [H, W, C] at another size: by area where it shrinks, else bilinear."""
    # Two steps, because OpenCV averages areas only when neither side grows.
    smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
    resized: Any = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (width, height):
        resized = cv2.resize(resized, (width, height), interpolation=cv2.INTER_LINEAR)
    return cast("NDArray[Any]", resized)


def unfit(
    map_: NDArray[np.float32],
    valid: NDArray[Any],
    recipe: Recipe,
    shape: tuple[int, ...],
) -> NDArray[np.float32]:
    """Bring an anomaly map of the model's input back to the pixels of the image.

    `map_` is [h, w], any grid over the model's input; `valid` is the box that `fit` returned;
    `shape` is the image's (H, W). Returns float32 [H, W]: bilinear between the centres of those
    cells that touch the image, so that no cell of the padding alone takes part.
    """
    map_ = np.ascontiguousarray(map_, dtype=np.float32)
    top, left, bottom, right = (float(edge) for edge in valid)
    rows, columns = map_.shape[0] / recipe.height, map_.shape[1] / recipe.width
    span = (top * rows, bottom * rows, left * columns, right * columns)
    if all(edge.is_integer() for edge in span):
        first_row, last_row, first_column, last_column = (int(edge) for edge in span)
        cells = map_[first_row:last_row, first_column:last_column]
        resized = cv2.resize(cells, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
        return cast("NDArray[np.float32]", resized)
    lower, upper, share = _neighbours(shape[1], span[2], span[3])
    wide = map_[:, lower] + (map_[:, upper] - map_[:, lower]) * share
    lower, upper, share = _neighbours(shape[0], span[0], span[1])
    image_map = np.empty((shape[0], shape[1]), np.float32)
    for start in range(0, shape[0], _BLOCK_ROWS):  # small blocks stay in the processor's cache
        block = slice(start, start + _BLOCK_ROWS)
        below = wide[lower[block]]
        step = wide[upper[block]]
        step -= below
        step *= share[block, None]
        np.add(below, step, out=image_map[block])
    return image_map


def _neighbours(
    pixels: int, start: float, stop: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """The two cells around each pixel centre of a line laid over cells start..stop, and where."""
    centre = start + (np.arange(pixels) + 0.5) * (stop - start) / pixels - 0.5
    last = int(np.ceil(stop)) - 1
    centre = np.clip(centre, int(start), last)
    lower = np.floor(centre).astype(np.intp)
    return lower, np.minimum(lower + 1, last), (centre - lower).astype(np.float32)
