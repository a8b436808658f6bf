"""Nearest synthetic neighbours of real defects, in whitened features.

The unit of distance is how far synthetic defects usually are from each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from blemish.audit.patch_features import RunningMoments

Floats = npt.NDArray[np.float64]

USUAL = 0.95  # share of the synthetic defects whose nearest other one is within the limit
_AT_ONCE = 256  # rows compared in one go


@dataclass(frozen=True, eq=False)
class NearestNeighbours:
    """For each item [n] the `distance` to its nearest known one, and the index of that, `nearest`.

    `limit`: 95 % of the known ones have another known one within this distance.
    """

    distance: Floats
    nearest: npt.NDArray[np.intp]
    limit: float

    @property
    def ratio(self) -> Floats:
        """The distances over the limit."""
        return self.distance / max(self.limit, 1e-12)

    @property
    def like(self) -> npt.NDArray[np.bool_]:
        """Which items are as near to a known one as known ones are to each other."""
        return self.ratio <= 1


@dataclass(frozen=True, eq=False)
class Whitening:
    """A whitening transform: the mean of good cells and the Cholesky root of their covariance."""

    mean: Floats
    root: Floats

    @classmethod
    def of(cls, good: npt.NDArray[np.float32]) -> Whitening:
        """Learn from cells [n, C] of good patches."""
        moments = RunningMoments.empty(good.shape[1])
        moments.add(good)
        mean, covariance = moments.mean_and_covariance()
        return cls(mean, np.asarray(np.linalg.cholesky(covariance), np.float64))

    def apply(self, cells: npt.NDArray[np.floating]) -> Floats:
        """Whitened cells, float64 [..., C]: good ones have mean 0 and, about, covariance 1."""
        flat = cells.reshape(-1, cells.shape[-1]) - self.mean
        return np.asarray(np.linalg.solve(self.root, flat.T).T.reshape(cells.shape), np.float64)


def unit_vectors(vectors: Floats) -> Floats:
    """Vectors [n, C] scaled to length 1, so that only their direction counts; 0 stays 0."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float64)


def masked_mean(cells: npt.NDArray[np.floating], marked: npt.NDArray[np.bool_]) -> Floats:
    """The mean [C] of the marked ones of cells [h, w, C]; of all where none is marked."""
    chosen = cells[marked] if marked.any() else cells.reshape(-1, cells.shape[-1])
    return np.asarray(chosen.mean(axis=0), np.float64)


def nearest_neighbours(items: Floats, known: Floats, usual: float = USUAL) -> NearestNeighbours:
    """The nearest of the known ones [k, C], k > 1, of each item [n, C], by Euclidean distance."""
    distance, nearest = nearest_known(items, known)
    limit = float(np.quantile(nearest_other(known), usual))
    return NearestNeighbours(distance, nearest, limit)


def nearest_known(items: Floats, known: Floats) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Distance [n] to the nearest of the known ones, and its index [n]."""
    found = [_distances(items[i : i + _AT_ONCE], known) for i in range(0, len(items), _AT_ONCE)]
    every = np.concatenate(found) if found else np.empty((0, len(known)))
    nearest = every.argmin(axis=1) if len(known) else np.zeros(len(items), np.intp)
    return every[np.arange(len(items)), nearest], nearest


def nearest_other(items: Floats) -> Floats:
    """Distance [n] of each item to the nearest other one; infinite for a single one."""
    if len(items) < 2:
        return np.full(len(items), np.inf)
    every = _distances(items, items)
    np.fill_diagonal(every, np.inf)
    return np.asarray(every.min(axis=1), np.float64)


def _distances(first: Floats, second: Floats) -> Floats:
    """Euclidean, [n, k]."""
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)), np.float64)
