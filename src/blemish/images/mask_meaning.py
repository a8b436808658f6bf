"""What the pixels of a mask mean: which of them show the defect.

- Of a palette every index but 0 is a defect, whatever its colours; of colours the largest channel
  is the value.
- Of a lossless mask with at most `FEW_LEVELS` different values, as class indices or a palette drawn
  in grey, every value but 0 is a defect. With more, as of a soft brush, a defect lies above half
  the range (127 of 255, 32767 of 65535, 0.5 in float); where nothing does, it is what is not 0.
- In a JPEG, small values are noise of the compression: a defect lies above half the range.
- The largest value beside indices from 1 to `MOST_INDEX` marks pixels to ignore in some tools'
  masks, and defects in others': such a mask is refused, and so is one that is drawn in its alpha.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from blemish.images.formats import MaskPixels, NotRead

FEW_LEVELS = 16
MOST_INDEX = 32
_NEAR = 31  # below the largest value: what compression made of it
_LARGEST = (255, 65535)
MANY = 1 + MOST_INDEX + _NEAR + 1  # values, of which more cannot be ambiguous
_SAMPLE, _COUNTED = 16384, 4
_HALF = {"uint8": 127, "uint16": 32767, "float32": 0.5}
_WAY_OUT = "save it as grey, its defects as 255 and all else as 0"

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MaskReading:
    """A mask: `marked` bool [H, W], True where the defect is.

    `values` [H, W] are those that it was told by, None for several masks as one; `soft` says that
    they are more than a few, of which those above half the range were taken.
    """

    marked: Mask
    values: NDArray[Any] | None = None
    soft: bool = False

    def __or__(self, other: MaskReading) -> MaskReading:
        """Two masks of one image as one."""
        return MaskReading(self.marked | other.marked, soft=self.soft or other.soft)

    @property
    def greys(self) -> int:
        """How many of the values are neither 0 nor the largest."""
        if self.values is None:
            return 0
        largest = self.values == (self.values.max() or 1)
        return int(np.count_nonzero(self.values) - np.count_nonzero(largest))

    @property
    def share(self) -> float:
        """The share of the pixels that are marked."""
        return np.count_nonzero(self.marked) / self.marked.size

    @property
    def border(self) -> float:
        """The share of the outermost rows and columns that is marked."""
        edges = (*self.marked[[0, -1]], *self.marked.T[[0, -1]])
        return sum(map(np.count_nonzero, edges)) / sum(map(len, edges))


def meaning_of(pixels: MaskPixels, *, lossless: bool) -> MaskReading:
    """What a mask marks. Raises NotRead for one of which that cannot be told."""
    values = pixels.values if pixels.values.ndim == 2 else _largest_channel(pixels.values)
    if not lossless:
        return MaskReading(_above_half(values), values)
    marked, soft = _of_one_value(values), False
    if marked is None:
        levels = levels_of(values)
        if refused := _ambiguity(levels):
            raise NotRead(refused)
        soft = len(levels) > FEW_LEVELS and not pixels.indexed
        marked = _above_half(values) if soft else values != 0
        if soft and not marked.any():
            marked, soft = values != 0, False
    if pixels.alpha is not None:
        _refuse_drawn_in_alpha(pixels, marked)
    return MaskReading(marked, values, soft)


def _of_one_value(values: NDArray[Any]) -> Mask | None:
    """Where a mask has its largest value, if that is the only one but 0, as it is of most masks."""
    largest = values.max() or 1
    some = _some_of(values)
    if np.count_nonzero(some) != np.count_nonzero(some == largest):
        return None
    marked = np.asarray(values == largest)
    only = cv2.countNonZero(values) == cv2.countNonZero(marked.view(np.uint8))
    return marked if only else None


def levels_of(values: NDArray[Any]) -> NDArray[Any]:
    """The different values of an array [H, W], ascending; of more than `MANY` some are enough.

    A look at some of the pixels tells most masks, and costs a tenth of a histogram.
    """
    some = np.unique(_some_of(values))
    if len(some) > MANY:
        return some
    if len(some) <= _COUNTED:
        known = sum(np.count_nonzero(values == level) for level in some)
        if known == values.size:
            return some
    if values.dtype == np.float32:
        return np.unique(values)
    bins = 1 << (8 * values.itemsize)
    counts = cv2.calcHist([values], [0], None, [bins], [0, bins])
    return np.flatnonzero(np.asarray(counts))


def _some_of(values: NDArray[Any]) -> NDArray[Any]:
    return values.ravel()[:: max(1, values.size // _SAMPLE)]


def _largest_channel(values: NDArray[Any]) -> NDArray[Any]:
    red, green, blue = (values[:, :, channel] for channel in range(3))
    return np.asarray(np.maximum(np.maximum(red, green), blue))


def _above_half(values: NDArray[Any]) -> Mask:
    return np.asarray(values > _HALF[values.dtype.name])


def _ambiguity(levels: NDArray[Any]) -> str | None:
    """Why values cannot be told to be defects, to follow the mask's name; None where they can."""
    marks = levels[levels != 0]
    for largest in _LARGEST:
        indices = marks[(marks >= 1) & (marks <= MOST_INDEX)]
        near = marks[(marks >= largest - _NEAR) & (marks <= largest)]
        if largest in marks and len(indices) and len(indices) + len(near) == len(marks):
            small = ", ".join(f"{index:g}" for index in indices[:3])
            small += " and more" if len(indices) > 3 else ""
            return (
                f"has the value {largest} beside {small}, which may mark a defect or, as in the "
                f"masks of some tools, a border to ignore; {_WAY_OUT}"
            )
    return None


def _refuse_drawn_in_alpha(pixels: MaskPixels, marked: Mask) -> None:
    assert pixels.alpha is not None
    one_colour = bool((pixels.values == pixels.values[0, 0]).all())
    if one_colour or np.any(marked & (pixels.alpha == 0)):
        what = "all of one colour" if one_colour else "coloured where it is transparent"
        raise NotRead(f"is drawn in its alpha channel, {what}; {_WAY_OUT}, without alpha")
