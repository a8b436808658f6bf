"""The a-contrario threshold: the number of false alarms (NFA) expected by chance.

U-Flow (Tailanian, Pardo, Muse, JMIV 2024) decides so without labels. In its latents, standard
normal on good parts, the tested places are the connected components (4 neighbours) of the upper
level sets of z2, the mean of z squared over the C channels of one scale. A place whose cells all
lie above u has a probability of false alarm PFA of at most exp(-C/2 (u - 1 - ln u)) for each of its
cells (Chernoff's bound on the chi-square law, for u > 1). Times the number of tests, it is the
number of false alarms NFA to be expected on a good image; below 1 the place is an anomaly.

Ours: a level u of 1 or less counts as no surprise, where the bound does not hold. The decision on
an image takes the most significant place of each scale as it is, not after its interpolation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# There are about ALPHA * BETA**r / r connected places of r cells (polyominoes) at each cell.
ALPHA, BETA = 0.316915, 4.062570


def log_tests(cells: Iterable[int]) -> float:
    """log10 of the number of tests on maps of so many cells: any connected place of any of them."""
    logs = []
    for count in cells:
        sizes = np.arange(1, count + 1)
        logs.append(np.log(count * ALPHA) + sizes * np.log(BETA) - np.log(sizes))
    return float(np.logaddexp.reduce(np.concatenate(logs)) / math.log(10))


def log_pfa(level: npt.ArrayLike, channels: int) -> Doubles:
    """log10 of the bound on the PFA of one cell whose z2 is at least `level`; 0 up to level 1."""
    u = np.maximum(np.asarray(level, np.float64), 1.0)
    return -channels / 2 * (u - 1 - np.log(u)) / math.log(10)


@dataclass
class Latent:
    """z2 of one scale, of all crops of an image, and the number of channels C behind it."""

    channels: int
    energies: list[Floats] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)

    def add(self, energy: Floats, rows: int, columns: int) -> None:
        """Add the z2 [h, w] of one crop, whose picture covers the first rows and columns."""
        inside = np.zeros_like(energy)  # the padding surprises nobody
        inside[:rows, :columns] = energy[:rows, :columns]
        self.energies.append(inside)
        self.cells.append(rows * columns)


@dataclass(frozen=True, eq=False)
class Surprise:
    """The a-contrario test of an image: `log_nfa` is log10 of its number of false alarms (NFA).

    `maps` are minus log10 PFA [h, w] by scale and crop; minus `log_tests` they are minus log10 NFA.
    """

    log_nfa: float
    log_tests: float
    maps: list[list[Floats]]

    @classmethod
    def of(cls, latents: Sequence[Latent]) -> Surprise:
        """Test every scale of every crop of an image."""
        tests = log_tests(cells for latent in latents for cells in latent.cells)
        maps = [[-painted(z2, latent.channels) for z2 in latent.energies] for latent in latents]
        most = max(float(map_.max()) for scale in maps for map_ in scale)
        return cls(tests - most, tests, [[map_.astype(np.float32) for map_ in s] for s in maps])

    @property
    def anomalous(self) -> bool:
        """Whether fewer than one such place is to be expected on a good image."""
        return self.log_nfa < 0

    def to_json(self) -> dict[str, float | bool]:
        """The number and the decision."""
        return {"log10": self.log_nfa, "anomalous": self.anomalous}


def painted(energy: npt.NDArray[np.floating], channels: int) -> Doubles:
    """log10 PFA, 0 or below, of the place that each cell of a map belongs to: float64 [h, w].

    `energy` is z2 [h, w], of the cells of the picture alone; `channels` is C. Of the tree of places
    an unbranched chain is narrowed to its most significant place, and sibling leaves merge into
    their parent if it is as significant as each of them, until nothing changes. A cell gets the
    least PFA of the places left that hold it. The minimum is that of all places there are.
    """
    height, width = energy.shape
    rim = np.zeros((height + 2, width + 2))  # its cells are never surprising
    rim[1:-1, 1:-1] = energy
    levels = rim.ravel()
    above = np.flatnonzero(levels > 1)
    order = above[np.argsort(-levels[above], kind="stable")]
    places = _grown(order.tolist(), levels.tolist(), log_pfa(levels, channels).tolist(), width + 2)
    values = np.zeros(len(levels))
    values[order] = _least(order.tolist(), places)
    return values.reshape(rim.shape)[1:-1, 1:-1]


@dataclass(frozen=True)
class _Places:
    """Places by their last cell: the connected place around it of the cells that come no later.

    `parent` is the cell with which a place grew on, itself when it never did; `pfa` is log10 PFA;
    `left` is the outermost place that simplifying left of a place, and `below` those left in one.
    """

    parent: list[int]
    pfa: list[float]
    left: list[int]
    below: list[list[int]]


def _grown(order: list[int], levels: list[float], cell_pfa: list[float], width: int) -> _Places:
    """The places of the cells in `order`, of falling level, simplified; the grid is so wide."""
    parent, nearest = [-1] * len(levels), [-1] * len(levels)  # nearest: with shortcuts
    size, pfa, left = [0] * len(levels), [0.0] * len(levels), [-1] * len(levels)
    inside: list[list[int]] = [[]] * len(levels)  # the places left in a place, but for itself
    places = _Places(parent, pfa, left, [[]] * len(levels))
    for cell in order:
        parent[cell] = nearest[cell] = cell
        level, cells = levels[cell], 1
        inner: list[int] = []
        for beside in (cell - width, cell - 1, cell + 1, cell + width):
            last = nearest[beside]
            if last < 0:
                continue
            while nearest[last] != last:
                nearest[beside] = nearest[last]
                beside, last = last, nearest[last]
            if last == cell:
                continue
            parent[last] = nearest[last] = cell
            cells += size[last]
            # A place of the same level was but a part of this one.
            inner = inner + (inside[last] if levels[last] == level else [left[last]])
        size[cell], pfa[cell], inside[cell] = cells, cells * cell_pfa[cell], inner
        left[cell] = _simplified(cell, inner, places)
    return places


def _simplified(place: int, inner: list[int], places: _Places) -> int:
    """The outermost place left of `place`, in which `inner` are left; sets what is below it."""
    pfa, below = places.pfa, places.below
    if len(inner) == 1:
        if pfa[inner[0]] < pfa[place]:
            return inner[0]  # a chain, narrowed
        inner = below[inner[0]]
    leaves = not any(below[one] for one in inner)
    merged = leaves and all(pfa[place] <= pfa[one] for one in inner)
    below[place] = [] if merged else inner
    return place


def _least(order: list[int], places: _Places) -> list[float]:
    """The least log10 PFA of the places left that hold each cell, 0 where none does."""
    waiting = [places.left[cell] for cell in order if places.parent[cell] == cell]
    kept = set(waiting)
    while waiting:
        below = places.below[waiting.pop()]
        kept.update(below)
        waiting += below
    least = [0.0] * len(places.pfa)
    for cell in reversed(order):  # a place comes before the places in it
        around = places.parent[cell]
        value = 0.0 if around == cell else least[around]
        least[cell] = min(value, places.pfa[cell]) if cell in kept else value
    return [least[cell] for cell in order]
