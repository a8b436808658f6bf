"""The region of interest of a plate, in cells, and the places of patches inside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

_MOST_CELLS = 250_000


def cell_side(height: int, width: int) -> int:
    """The side in pixels of the square cells that a plate is divided into: a power of two."""
    side = 1
    while height * width > _MOST_CELLS * side * side:
        side *= 2
    return side


@dataclass(frozen=True, eq=False)
class RegionOfInterest:
    """The region of interest of a plate of `shape` (height, width), in whole cells.

    `cells` is bool [ceil(height / side), ceil(width / side)]; the last row and column of cells may
    reach over the plate's edge, the region does not.
    """

    shape: tuple[int, int]
    side: int
    cells: Mask

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> RegionOfInterest:
        """All of a plate."""
        side = cell_side(*shape)
        return cls(shape, side, np.ones((-(-shape[0] // side), -(-shape[1] // side)), bool))

    @cached_property
    def _sums(self) -> npt.NDArray[np.int32]:
        """Cells of the region above and left of each corner."""
        sums = np.zeros((self.cells.shape[0] + 1, self.cells.shape[1] + 1), np.int32)
        self.cells.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, out=sums[1:, 1:])
        return sums

    def contains(self, top: int, left: int, bottom: int, right: int) -> bool:
        """True where every pixel of the box is in the region; bottom and right are exclusive."""
        if top < 0 or left < 0 or bottom > self.shape[0] or right > self.shape[1]:
            return False
        side, sums = self.side, self._sums
        low, high = top // side, (bottom - 1) // side + 1
        first, last = left // side, (right - 1) // side + 1
        inside = sums[high, last] - sums[low, last] - sums[high, first] + sums[low, first]
        return bool(inside == (high - low) * (last - first))

    def places(self, size: int) -> Places:
        """Every place of the top left corner of a square of `size` pixels inside the region.

        Rectangles of such places, int64 [K, 4]: first and last row, first and last column, the last
        ones exclusive. No place is in two of them.
        """
        rows = np.arange(self.shape[0] - size + 1)
        if not len(rows):
            return np.empty((0, 4), np.int64)
        spans = np.stack([rows // self.side, (rows + size - 1) // self.side + 1], axis=1)
        starts = np.flatnonzero(np.any(np.diff(spans, axis=0, prepend=-1) != 0, axis=1))
        found = []
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            low, high = spans[start]
            columns = np.diff(self._sums[high] - self._sums[low])
            for left, right in _runs(columns == high - low, self.side, self.shape[1]):
                if right - left >= size:
                    found.append((start, end, left, right - size + 1))
        return np.array(found, np.int64).reshape(-1, 4)

    def windows(self, size: int, stride: int) -> list[tuple[int, int]]:
        """Top left corners (top, left) of a sliding window inside the region, row by row.

        The last window of a row, and the last row, are shifted to reach the region's edge.
        """
        places = self.places(size)
        if not len(places):
            return []
        corners = []
        for top in _steps(int(places[:, 0].min()), int(places[:, 1].max()) - 1, stride):
            for _, _, left, end in places[(places[:, 0] <= top) & (top < places[:, 1])].tolist():
                corners += [(top, column) for column in _steps(left, end - 1, stride)]
        return corners

    def without(self, taken: Mask) -> RegionOfInterest:
        """The region less the cells of a mask [h, w] of cells."""
        return RegionOfInterest(self.shape, self.side, self.cells & ~taken)


def count_of(places: Places) -> int:
    """How many places the rectangles hold."""
    return int(((places[:, 1] - places[:, 0]) * (places[:, 3] - places[:, 2])).sum())


def place_at(places: Places, number: int) -> tuple[int, int]:
    """The place (row, column) of that number, from 0 to below `count_of`."""
    ends = ((places[:, 1] - places[:, 0]) * (places[:, 3] - places[:, 2])).cumsum()
    index = int(ends.searchsorted(number, side="right"))
    first, last, left, end = places[index].tolist()
    before = int(ends[index]) - (last - first) * (end - left)
    row, column = divmod(number - before, end - left)
    return first + row, left + column


def _runs(inside: npt.NDArray[np.bool_], side: int, width: int) -> list[tuple[int, int]]:
    """Runs of cells in one row, as first and last pixel column, the last one exclusive."""
    edges = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=0, append=0))
    pixels = np.minimum(edges * side, width).tolist()
    return list(zip(pixels[::2], pixels[1::2], strict=True))


def _steps(first: int, last: int, stride: int) -> list[int]:
    return [*range(first, last, stride), last]
