"""The connected regions of a mask, and the outlines that run along the edges of their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Ring = list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Region:
    """An 8-connected region: its pixels bool [h, w], with the corner at (left, top), and area."""

    pixels: NDArray[np.bool_]
    left: int
    top: int
    area: int


def regions(mask: NDArray[np.bool_]) -> Iterator[Region]:
    """The 8-connected regions of a mask bool [H, W], from the top down."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    for number in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[number])
        inner = labels[top : top + height, left : left + width] == number
        yield Region(inner, left, top, area)


def outlines(region: Region) -> list[Ring] | None:
    """A ring of corners (x, y) for each piece that touches the others by corners alone.

    Filled by the even-odd rule the rings are the region, to the pixel. None for a region with a
    hole, which rings that are united cannot hold.
    """
    found = _rings(region.pixels)
    if any(_is_hole(ring) for ring in found):
        return None
    return [[(x + region.left, y + region.top) for x, y in ring] for ring in found]


def _rings(pixels: NDArray[np.bool_]) -> list[Ring]:
    """Every border of the pixels, with them on its right hand, as the corners where it turns.

    Where two pixels touch by a corner, the border stays with its own.
    """
    edges = _edges(pixels)
    rings: list[Ring] = []
    while edges:
        (first, _) = edges.popitem()
        (x, y), step = first
        ring: Ring = []
        while True:
            x, y = x + step[0], y + step[1]
            right, left = (-step[1], step[0]), (step[1], -step[0])
            edge = next(
                edge
                for turn in (right, step, left)
                if (edge := ((x, y), turn)) == first or edge in edges
            )
            if edge[1] != step:
                ring.append((x, y))
            if edge == first:
                break
            del edges[edge]
            step = edge[1]
        rings.append(ring)
    return rings


def _edges(pixels: NDArray[np.bool_]) -> dict[tuple[tuple[int, int], tuple[int, int]], None]:
    """The edges between a marked pixel and one that is not, by where they begin and their way."""
    inner = np.pad(pixels, 1)
    core = inner[1:-1, 1:-1]
    sides = (  # the neighbour, from where in a pixel its edge begins, and which way it goes
        (inner[:-2, 1:-1], (0, 0), (1, 0)),
        (inner[1:-1, 2:], (1, 0), (0, 1)),
        (inner[2:, 1:-1], (1, 1), (-1, 0)),
        (inner[1:-1, :-2], (0, 1), (0, -1)),
    )
    found: dict[tuple[tuple[int, int], tuple[int, int]], None] = {}
    for neighbour, (right, down), step in sides:
        rows, columns = np.nonzero(core & ~neighbour)
        for place in zip((columns + right).tolist(), (rows + down).tolist(), strict=True):
            found[place, step] = None
    return found


def _is_hole(ring: Ring) -> bool:
    """Whether a ring goes round counter-clockwise, as one sees it."""
    after = [*ring[1:], ring[0]]
    return sum(x * v - u * y for (x, y), (u, v) in zip(ring, after, strict=True)) < 0
