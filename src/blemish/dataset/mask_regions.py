"""The connected regions of a mask, and the smallest rectangle around each."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MOST_REGIONS = 1000  # a mask of noise has a million; the rectangles of the first ones are kept


@dataclass(frozen=True)
class MaskRegions:
    """The 8-connected regions of one mask.

    `shares` are the areas of their minimum-area rectangles as shares of the image, `aspects` the
    long side of each over the short one (at least 1); at most MOST_REGIONS of each.
    """

    count: int
    shares: list[float]
    aspects: list[float]


def regions_of(mask: NDArray[np.bool_]) -> MaskRegions:
    """The regions of a mask bool [H, W]; a region inside the hole of another is its own."""
    outlines, nesting = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    if not outlines:
        return MaskRegions(0, [], [])
    outer = [
        outline for outline, above in zip(outlines, nesting[0, :, 3], strict=True) if above < 0
    ]
    # Outlines run through the centres of pixels, half a pixel inside the edge on each side.
    sides = np.array([cv2.minAreaRect(outline)[1] for outline in outer[:MOST_REGIONS]]) + 1
    return MaskRegions(
        count=len(outer),
        shares=(sides.prod(axis=1) / mask.size).tolist(),
        aspects=(sides.max(axis=1) / sides.min(axis=1)).tolist(),
    )
