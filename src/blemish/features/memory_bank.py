"""A memory bank chosen while features stream by: an r-net instead of greedy k-centre.

Greedy k-centre (PatchCore's coreset) ends with picks that lie more than r apart while every patch
lies within r of one. Any set with these two properties is an r-net, and it can be had in bounded
memory: keep a patch when it lies further than r from all kept ones; when the bank is full, let r
grow and thin the bank by the same rule. A patch whose representative was thinned away may end up
to 2 r away, so a second pass keeps those that are further than r.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

GROWTH = 1.02  # of the radius, whenever the bank is full
_BLOCK_BYTES = 64 * 2**20


@dataclass
class MemoryBank:
    """At most `room` patches, more than `radius` apart, in the first rows; grown by `absorb`."""

    rows: Floats
    squares: Floats
    room: int
    count: int = 0
    radius: float = 0.0

    @classmethod
    def empty(cls, size: int, channels: int) -> MemoryBank:
        """A bank with room for `size` patches."""
        return cls(np.empty((size, channels), np.float32), np.empty(size, np.float32), size)

    @property
    def patches(self) -> Floats:
        """The patches kept so far."""
        return self.rows[: self.count]

    def distances(self, x: Floats) -> Floats:
        """Distance from each row of x [p, C] to the nearest kept patch; infinite when none is."""
        if self.count == 0:
            return np.full(len(x), np.inf, np.float32)
        squares = np.einsum("pc,pc->p", x, x)
        nearest = np.full(len(x), np.inf, np.float32)
        step = max(1, _BLOCK_BYTES // (4 * len(x)))
        for start in range(0, self.count, step):
            block = slice(start, min(start + step, self.count))
            partial = x @ self.rows[block].T
            partial *= -2
            partial += self.squares[block]
            np.minimum(nearest, partial.min(1), out=nearest)
        nearest += squares
        return np.sqrt(np.maximum(nearest, 0, out=nearest), out=nearest)

    def absorb(self, x: Floats) -> None:
        """Keep those rows of x [p, C] that lie further than `radius` from all kept."""
        for start in range(0, len(x), 4096):
            self._absorb(x[start : start + 4096])

    def restore(self, patches: Floats, radius: float) -> None:
        """Go on from patches kept before."""
        self.count, self.radius = len(patches), radius
        self.rows[: self.count] = patches
        self.squares[: self.count] = np.einsum("pc,pc->p", patches, patches)

    def _absorb(self, x: Floats) -> None:
        distance = self.distances(x)
        while True:
            far = distance > self.radius
            x, distance = x[far], distance[far]
            if not len(x):
                return
            if self.count >= self.room:
                self._thin()
                distance = self.distances(x)
                continue
            squares = np.einsum("pc,pc->p", x, x)
            # Rows within the radius are dropped only now and then: copying costs more than they do.
            for _ in range(min(max(16, len(x) // 16), self.room - self.count)):
                pick = int(distance.argmax())
                if distance[pick] <= self.radius:
                    break
                self._keep(x[pick], squares[pick])
                gap = squares + (squares[pick] - 2 * (x @ x[pick]))
                np.minimum(distance, np.sqrt(np.maximum(gap, 0)), out=distance)
                distance[pick] = 0  # not the rounding error that its own gap may leave

    def _keep(self, patch: Floats, square: np.floating) -> None:
        self.rows[self.count] = patch
        self.squares[self.count] = square
        self.count += 1

    def _thin(self) -> None:
        """Grow the radius and drop kept patches that lie within it of one kept before them."""
        if self.radius == 0:
            self.radius = self._first_radius()
        while self.count >= self.room:
            self.radius *= GROWTH
            old, squares = self.patches.copy(), self.squares[: self.count].copy()
            self.count = 0
            for start in range(0, len(old), 512):
                self._thin_block(old[start : start + 512], squares[start : start + 512])

    def _thin_block(self, x: Floats, squares: Floats) -> None:
        alive = self.distances(x) > self.radius
        gaps = squares[:, None] + squares - 2 * (x @ x.T)
        near = gaps <= self.radius**2
        for i in np.flatnonzero(alive):
            if alive[i]:
                self._keep(x[i], squares[i])
                alive &= ~near[i]

    def _first_radius(self) -> float:
        """The median distance between neighbours in a sample of the kept patches."""
        sample = self.patches[:: max(1, self.count // 512)].astype(np.float64)
        squares = (sample**2).sum(1)
        gaps = squares[:, None] + squares - 2 * sample @ sample.T
        np.fill_diagonal(gaps, np.inf)
        return float(np.sqrt(max(np.median(gaps.min(1)), 1e-12)))


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
