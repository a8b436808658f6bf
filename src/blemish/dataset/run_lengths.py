"""Masks as runs of pixels, as COCO writes them: down each column, background first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from blemish.dataset.shapes import Runs


def runs_of(
    counts: object,
    size: tuple[int, int],
    corner: tuple[int, int] = (0, 0),
    *,
    by_column: bool = False,
) -> Runs:
    """Checked runs over a rectangle of `size` [H, W] with its corner at (left, top).

    Raises ValueError, with what is wrong, for counts that are none or do not fill the rectangle.
    """
    if not isinstance(counts, list) or not all(type(count) is int for count in counts):
        raise ValueError("its run lengths are no list of whole numbers")
    total, pixels = sum(counts), size[0] * size[1]
    if min(counts, default=0) < 0:
        raise ValueError("a run length is below 0")
    if total != pixels:
        raise ValueError(
            f"its run lengths are of {total} pixels, and {size[1]} x {size[0]} are "
            f"{pixels}: it is cut off, or of another size"
        )
    return Runs(np.array(counts, np.int64), *corner, size[1], size[0], by_column)


def runs_by_row(pixels: NDArray[np.bool_], corner: tuple[int, int]) -> Runs:
    """Pixels bool [h, w] with their corner at (left, top) as runs."""
    height, width = pixels.shape
    counts = np.array(column_counts(pixels.T, (0, 0), (width, height)), np.int64)
    return Runs(counts, *corner, width, height)


def unpacked(text: str) -> list[int]:
    """The counts in a compressed text of COCO; ValueError for a text that is none.

    A character is 48 plus six bits: five of the number, low ones first, and one that says that it
    goes on. From the third on a number is the difference to the second one before.
    """
    counts: list[int] = []
    number = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 50:
            raise ValueError("its compressed run lengths are damaged")
        number |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            number -= 1 << shift
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        number = shift = 0
    if shift:
        raise ValueError("its compressed run lengths are cut off")
    return counts


def column_counts(
    region: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]
) -> list[int]:
    """Run lengths down the columns of a picture [H, W] of a region bool [h, w] at (left, top)."""
    left, top = corner
    change = np.diff(np.pad(region.astype(np.int8), ((1, 1), (0, 0))), axis=0)
    column, row = np.nonzero(change.T)
    place = (column + left) * size[0] + row + top
    # A run that ends at the bottom goes on at the top of the next column.
    joined = place[1:-1:2] == place[2::2]
    keep = np.ones(len(place), bool)
    keep[1:-1:2] &= ~joined
    keep[2::2] &= ~joined
    edges: NDArray[Any] = np.concatenate([[0], place[keep], [size[0] * size[1]]])
    counts = [int(count) for count in np.diff(edges)]
    return counts if counts[-1] else counts[:-1]
