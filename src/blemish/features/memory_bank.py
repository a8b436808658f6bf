"""A memory bank (coreset) chosen while features stream by: an r-net, not greedy k-centre.

Greedy k-centre (PatchCore's coreset) ends with picks that lie more than r apart while every patch
lies within r of one. Any set with these two properties is an r-net, and it can be had in bounded
memory: keep a patch when it lies further than r from all kept ones; when the bank is full, let r
grow until some of the kept ones lie within r of one kept before, and drop these. A patch whose
representative was dropped may end up to 2 r away, so a second pass keeps those that are further
than r; if r had to grow in it as well, it takes another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

DROP = 0.05  # share of a full bank that makes room for others
_BLOCK_ROWS, _BLOCK_COLUMNS = 1024, 2048  # products of 8 MB stay near the core that makes them
_BLOCK_BYTES = 64 * 2**20
_ROUNDING = 1e-5  # of a patch's squared length: what float32 may leave of the distance to its copy


@dataclass
class MemoryBank:
    """At most `room` patches, more than `radius` apart, in the first rows; grown by `absorb`.

    `gaps` are lower limits of each patch's distance to those kept before it; `weights` are carried
    along, and have no say in what is kept.
    """

    rows: Floats
    squares: Floats
    gaps: Floats
    weights: Floats
    room: int
    count: int = 0
    radius: float = 0.0

    @classmethod
    def empty(cls, size: int, channels: int) -> MemoryBank:
        """A bank with room for `size` patches."""
        rows = np.empty((size, channels), np.float32)
        squares, gaps = np.empty(size, np.float32), np.empty(size, np.float32)
        return cls(rows, squares, gaps, np.ones(size, np.float32), size)

    @property
    def patches(self) -> Floats:
        """The patches kept so far."""
        return self.rows[: self.count]

    def distances(self, x: Floats) -> Floats:
        """Distance from each row of x [p, C] to the nearest kept patch; infinite when none is."""
        if self.count == 0:
            return np.full(len(x), np.inf, np.float32)
        nearest = np.full(len(x), np.inf, np.float32)
        doubled = -2 * x  # exact, and cheaper here than once for each product
        for first in range(0, len(x), _BLOCK_ROWS):
            part = slice(first, first + _BLOCK_ROWS)
            for start in range(0, self.count, _BLOCK_COLUMNS):
                block = slice(start, min(start + _BLOCK_COLUMNS, self.count))
                partial = doubled[part] @ self.rows[block].T
                partial += self.squares[block]
                np.minimum(nearest[part], partial.min(1), out=nearest[part])
        squares = _squares(x)
        nearest += squares
        return _root(nearest, squares)

    def absorb(self, x: Floats, weights: Floats | None = None) -> None:
        """Keep those rows of x [p, C] that lie further than `radius` from all kept.

        `weights` [p] are 1 unless given.
        """
        weights = np.ones(len(x), np.float32) if weights is None else weights
        for start in range(0, len(x), 4096):
            self._absorb(x[start : start + 4096], weights[start : start + 4096])

    def restore(self, patches: Floats, gaps: Floats, weights: Floats, radius: float) -> None:
        """Go on from patches kept before."""
        self.count, self.radius = len(patches), radius
        self.rows[: self.count] = patches
        self.squares[: self.count] = _squares(patches)
        self.gaps[: self.count] = gaps
        self.weights[: self.count] = weights

    def _absorb(self, x: Floats, weights: Floats) -> None:
        distance = self.distances(x)
        while True:
            far = distance > self.radius
            x, distance, weights = x[far], distance[far], weights[far]
            if not len(x):
                return
            if self.count >= self.room:
                self._make_room(float(distance.max()))
                near = distance <= self.radius  # though what they are near to may have been dropped
                distance[near] = self.distances(x[near])
                continue
            squares = _squares(x)
            # Rows within the radius are dropped only now and then: copying costs more than they do.
            for _ in range(min(max(16, len(x) // 16), self.room - self.count)):
                pick = int(distance.argmax())
                if distance[pick] <= self.radius:
                    break
                self.rows[self.count] = x[pick]
                self.squares[self.count] = squares[pick]
                self.gaps[self.count] = distance[pick]
                self.weights[self.count] = weights[pick]
                self.count += 1
                to_pick = squares + (squares[pick] - 2 * (x @ x[pick]))
                np.minimum(distance, _root(to_pick, squares), out=distance)

    def _make_room(self, farthest: float) -> None:
        """Let the radius reach patches that wait, `farthest` at most, or drop a few kept ones."""
        least = max(1, round(DROP * self.count)) - 1
        gaps = self.gaps[: self.count]
        self.radius = min(farthest, float(np.partition(gaps, least)[least]))
        alive = np.ones(self.count, bool)
        suspects = np.flatnonzero(gaps <= self.radius)
        step = max(1, _BLOCK_BYTES // (4 * self.count))
        for start in range(0, len(suspects), step):
            self._drop(suspects[start : start + step], alive)
        kept = np.flatnonzero(alive)
        self.count = len(kept)
        for values in (self.rows, self.squares, self.gaps, self.weights):
            values[: self.count] = values[kept]

    def _drop(self, suspects: npt.NDArray[np.intp], alive: npt.NDArray[np.bool_]) -> None:
        """Drop those suspects that lie within the radius of one before them that is alive."""
        products = self.rows[suspects] @ self.rows[: suspects[-1]].T
        for suspect, product in zip(suspects, products, strict=True):
            before, square = slice(suspect), self.squares[suspect]
            gaps = self.squares[before] + (square - 2 * product[before])
            gap = _root(gaps[alive[before]].min(keepdims=True), square)[0]
            alive[suspect] = gap > self.radius
            self.gaps[suspect] = gap


def _squares(x: Floats) -> Floats:
    return np.asarray(np.einsum("pc,pc->p", x, x), np.float32)


def _root(gaps: Floats, squares: Floats | np.floating) -> Floats:
    """Distances from their squares; two copies of a patch are 0 apart, however float32 rounds."""
    return np.sqrt(np.where(gaps > _ROUNDING * squares, gaps, 0))


def greedy_k_centre(x: Floats, size: int, seed: int = 0) -> tuple[npt.NDArray[np.int64], float]:
    """Exact farthest-first picks from x [n, C] and their covering radius; O(n * size).

    The reference that the r-net is measured against.
    """
    first = int(np.random.default_rng(seed).integers(len(x)))
    picks = np.empty(size, np.int64)
    distance = np.full(len(x), np.inf, np.float32)
    squares = np.einsum("pc,pc->p", x, x)
    pick = first
    for i in range(size):
        picks[i] = pick
        to_pick = squares + squares[pick] - 2 * (x @ x[pick])
        np.minimum(distance, to_pick, out=distance)
        pick = int(distance.argmax())
    return picks, float(np.sqrt(max(distance[pick], 0)))
