"""How noisy a patch is among others: SoftPatch's discriminators (Jiang et al. 2022, 3.2)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Cells = npt.NDArray[np.intp]
Judge = Callable[[Floats], Floats]

JUDGED_TOGETHER = 4096  # patches at most
RIDGE = 0.01  # on the diagonal of a Gaussian's covariance
LEAST_REACH = 0.01  # of the mean reach: that of copies, which lie 0 apart
ROUNDING = 1e-5  # of a squared length: closer patches are copies
_ROWS = 512


def places_of(grid: tuple[int, int], block: int) -> list[Cells]:
    """The numbers of the cells of each place; at the right and the bottom a place may be smaller.

    For cells in rows, as everywhere.
    """
    numbers = np.arange(math.prod(grid)).reshape(grid)
    return [
        numbers[row : row + block, column : column + block].ravel()
        for row in range(0, grid[0], block)
        for column in range(0, grid[1], block)
    ]


def judge_place(points: Floats, inside: npt.NDArray[np.bool_], judge: Judge) -> Floats:
    """The noise of the patches [cells, crops, c] of one place, NaN outside the pictures.

    Too many for one judgement are dealt out: every n-th picture is judged with its like.
    """
    noise = np.full(inside.shape, np.nan, np.float32)
    turns = -(-inside.size // JUDGED_TOGETHER)
    for turn in range(turns):
        there = inside[:, turn::turns]
        x = points[:, turn::turns][there]
        # With nothing to compare it to, a patch is as good as any.
        noise[:, turn::turns][there] = judge(x) if len(x) > 1 else 1.0
    return noise


def lof(x: Floats, neighbours: int) -> Floats:
    """Local outlier factor of each row of x [p, c] (Breunig et al. 2000); about 1 amid its like.

    Fewer than `neighbours` others are all taken. Copies, 0 apart, count as a small step apart.
    """
    near, distance = nearest_others(x, min(neighbours, len(x) - 1))
    reach = np.maximum(distance, distance.max(1)[near]).mean(1)
    if not reach.any():
        return np.ones(len(x), np.float32)
    reach = np.maximum(reach, LEAST_REACH * reach.mean())
    return np.asarray(reach * (1 / reach)[near].mean(1), np.float32)


def nearest(x: Floats, neighbours: int) -> Floats:
    """Distance of each row of x [p, c] to the nearest other, plus 1; `neighbours` has no say."""
    return np.asarray(nearest_others(x, 1)[1][:, 0] + 1, np.float32)


def gaussian(x: Floats, neighbours: int) -> Floats:
    """Mahalanobis distance of each row of x [p, c], plus 1; `neighbours` has no say."""
    centred = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    covariance = centred.T @ centred / (len(x) - 1) + RIDGE * np.eye(x.shape[1])
    squared = (centred * np.linalg.solve(covariance, centred.T).T).sum(1)
    return np.asarray(np.sqrt(squared) + 1, np.float32)


JUDGES = {"lof": lof, "nearest": nearest, "gaussian": gaussian}


def nearest_others(x: Floats, count: int) -> tuple[npt.NDArray[np.intp], Floats]:
    """The `count` rows nearest to each row of x [p, c] in any order, and their distances."""
    x = x - x.mean(0)  # keeps float32 distances exact
    squares = np.einsum("pc,pc->p", x, x)
    near, gaps = np.empty((len(x), count), np.intp), np.empty((len(x), count), np.float32)
    for start in range(0, len(x), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(x)))
        gap = squares[rows, None] + squares - 2 * (x[rows] @ x.T)
        gap[rows - start, rows] = np.inf
        near[rows] = np.argpartition(gap, count - 1, axis=1)[:, :count]
        gaps[rows] = np.take_along_axis(gap, near[rows], 1)
    gaps[gaps < ROUNDING * squares[:, None]] = 0
    return near, np.sqrt(gaps)
