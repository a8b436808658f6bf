"""The region of interest of a plate: found by segmentation, or told by a box or a mask.

The segmentation is ours: it works on cells of a few pixels. Their grey values fall into three
classes (Otsu, 1979, with two thresholds). The darkest or the brightest class is the background if
it fills much more of the plate's frame than of its centre; what is left, closed and without holes,
is the plate, its largest piece the region.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.errors import DatasetError
from blemish.images import read_mask
from blemish.images.listing import image_files
from blemish.prepare.patch_recipe import RegionSettings
from blemish.prepare.region_of_interest import Mask, RegionOfInterest

Floats = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]

_FRAME = 0.02  # its width, as a share of the sides
_LEAST_ON_FRAME = 0.2
_MORE_THAN_CENTRE = 1.5
_BINS = 128


def find_region(
    name: str, pixels: npt.NDArray[Any], settings: RegionSettings, mask: Path | None = None
) -> RegionOfInterest:
    """The region of a plate, uint8 or uint16 [H, W] or [H, W, 3]; `mask` is for that method.

    Raises DatasetError where it is empty, and ImageError for a mask of another size.
    """
    whole = RegionOfInterest.whole((pixels.shape[0], pixels.shape[1]))
    if settings.method == "mask":
        assert mask is not None
        # A cell is in the region when all of its pixels are.
        inside = ~cells_under(~read_mask(mask, whole.shape), whole)
    elif settings.method == "box":
        assert settings.box is not None
        inside = _box(settings.box, whole)
    elif settings.method == "plate":
        inside = segmented(cell_means(pixels, whole.side), settings.background, settings.closing)
    else:
        inside = whole.cells
    region = RegionOfInterest(whole.shape, whole.side, _eroded(inside, settings.margin, whole.side))
    if not region.cells.any():
        raise DatasetError(
            f"no region of interest was found on the plate {name} (method '{settings.method}', "
            f"margin {settings.margin}); say where it is under [region] in the recipe, with a box "
            'or a mask, or take method = "whole".'
        )
    return region


def mask_for(name: str, place: Path) -> Path:
    """The mask of a plate: `place` itself, or the image with the plate's name below it.

    Raises DatasetError where there is none.
    """
    if place.is_file():
        return place
    for file in image_files(place):
        if file.stem in (name, f"{name}_mask"):
            return file
    raise DatasetError(
        f"{place} has no mask for the plate {name}; put an image of that name into it."
    )


def cell_means(pixels: npt.NDArray[Any], side: int) -> Floats:
    """The mean grey value of each cell, float32 [h, w]."""
    height, width = pixels.shape[:2]
    rows, columns = -(-height // side), -(-width // side)
    full = pixels[: height // side * side, : width // side * side]
    means = cv2.resize(full, (width // side, height // side), interpolation=cv2.INTER_AREA)
    grey = means.astype(np.float32)
    if grey.ndim == 3:
        grey = grey.mean(axis=2)
    more = rows - grey.shape[0], columns - grey.shape[1]
    return np.asarray(cv2.copyMakeBorder(grey, 0, more[0], 0, more[1], cv2.BORDER_REPLICATE))


def segmented(means: Floats, background: str, closing: float) -> Mask:
    """The cells of the plate, bool [h, w]; none where all of it is background."""
    classes = _three_classes(np.asarray(cv2.medianBlur(means, 3), np.float32))
    other = _background(classes, background)
    if other is None:
        return np.ones(means.shape, bool)
    plate = cv2.morphologyEx(
        np.asarray(classes != other, np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
    )
    reach = max(1, round(closing * min(means.shape) / 2))
    round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    # Room around it, so that what the closing lets grow over the border can shrink back.
    wide = cv2.copyMakeBorder(plate, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    wide = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, round_)
    closed = np.ascontiguousarray(wide[reach:-reach, reach:-reach])
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = np.zeros(means.shape, np.uint8)
    if outlines:
        largest = max(outlines, key=cv2.contourArea)
        cv2.drawContours(filled, [largest], 0, 1, cv2.FILLED)
    return filled.astype(bool)


def cells_under(mask: Mask, region: RegionOfInterest) -> Mask:
    """The cells that hold a pixel of a mask bool [H, W] of the plate."""
    rows = np.arange(0, mask.shape[0], region.side)
    columns = np.arange(0, mask.shape[1], region.side)
    in_rows = np.logical_or.reduceat(mask, rows, axis=0)
    return np.asarray(np.logical_or.reduceat(in_rows, columns, axis=1))


def dilated(cells: Mask, pixels: int, side: int) -> Mask:
    """Cells and what lies within so many pixels around them."""
    reach = math.ceil(pixels / side)
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(cells.astype(np.uint8), square)).astype(bool)


def _eroded(cells: Mask, pixels: int, side: int) -> Mask:
    """Cells less a margin; where the region ends at the plate's edge, none is taken off."""
    return cells & ~dilated(~cells, pixels, side) if pixels else cells


def _box(box: tuple[int, int, int, int], whole: RegionOfInterest) -> Mask:
    left, top, width, height = box
    inside = np.zeros_like(whole.cells)
    side = whole.side
    # A cell that the box cuts is left out, unless the plate ends there.
    bottom, right = min(top + height, whole.shape[0]), min(left + width, whole.shape[1])
    last_row = inside.shape[0] if bottom == whole.shape[0] else bottom // side
    last_column = inside.shape[1] if right == whole.shape[1] else right // side
    first_row, first_column = -(-max(0, top) // side), -(-max(0, left) // side)
    inside[first_row:last_row, first_column:last_column] = True
    return inside


def _three_classes(means: Floats) -> Classes:
    """The class, 0 (dark) to 2 (bright), of each cell; the square root levels shot noise."""
    low, high = np.percentile(means, [0.1, 99.9])
    if high <= low:
        return np.zeros(means.shape, np.int64)
    levels = np.sqrt(np.clip((means - low) / (high - low), 0, 1))
    bins = np.minimum((levels * _BINS).astype(np.intp), _BINS - 1)
    weights = np.bincount(bins.ravel(), minlength=_BINS) / bins.size
    below = np.concatenate([[0.0], weights.cumsum()])
    moments = np.concatenate([[0.0], (weights * np.arange(_BINS)).cumsum()])

    def spread(first: Any, last: Any) -> Any:
        """What the class of the bins from first to below last adds to the variance between."""
        share = below[last] - below[first]
        return (moments[last] - moments[first]) ** 2 / np.maximum(share, 1e-12)

    one, two = np.triu_indices(_BINS + 1)
    between = spread(0, one) + spread(one, two) + spread(two, _BINS)
    best = int(between.argmax())
    return np.asarray(np.digitize(bins, [one[best], two[best]]), np.int64)


def _background(classes: Classes, wanted: str) -> int | None:
    """The class that is background: 0, 2, or None."""
    if wanted in ("dark", "bright"):
        return 0 if wanted == "dark" else 2
    if wanted == "none":
        return None
    height, width = classes.shape[0], classes.shape[1]
    rows, columns = max(1, round(_FRAME * height)), max(1, round(_FRAME * width))
    frame = np.ones(classes.shape, bool)
    frame[rows:-rows, columns:-columns] = False
    centre = classes[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None]
    found, most = None, _LEAST_ON_FRAME
    for number in (0, 2):
        share = float((classes[frame] == number).mean())
        if share > most and share > _MORE_THAN_CENTRE * float((centre == number).mean()):
            found, most = number, share
    return found
