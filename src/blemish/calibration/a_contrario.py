"""The a-contrario threshold: the number of false alarms (NFA) expected by chance.

U-Flow (Tailanian, Pardo, Muse, JMIV 2024) decides so without labels. In its latents, standard
normal on good parts, the tests are on the connected components (4 neighbours) of the upper level
sets of z2, the mean of z squared over the C channels of one scale. A component whose cells all lie
above u has a probability of false alarm PFA of at most exp(-C/2 (u - 1 - ln u)) for each of its
cells (Chernoff's bound on the chi-square distribution, for u > 1). The NFA is the PFA times the
number of tests; a component with an NFA below 1 is an anomaly.

Ours: a level u of 1 or less, where the bound does not hold, counts as no evidence. The decision on
an image takes the most significant component of each scale as it is, not after its interpolation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# There are about ALPHA * BETA**r / r connected components of r cells (polyominoes) at each cell.
ALPHA, BETA = 0.316915, 4.062570


def log_tests(cells: Iterable[int]) -> float:
    """log10 of the number of tests: all connected components in maps of so many cells."""
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
        """Whether fewer than one such component is to be expected on a good image."""
        return self.log_nfa < 0

    def to_json(self) -> dict[str, float | bool]:
        """The number and the decision."""
        return {"log10": self.log_nfa, "anomalous": self.anomalous}


def painted(energy: npt.NDArray[np.floating], channels: int) -> Doubles:
    """log10 PFA, 0 or below, of the component that each cell of a map belongs to: float64 [h, w].

    `energy` is z2 [h, w], without padding; `channels` is C. The tree is pruned until nothing
    changes: an unbranched chain becomes its most significant component, and sibling leaves merge
    into a parent that is as significant as each of them. A cell gets the least PFA of the remaining
    components that hold it. The minimum is that of the whole tree.
    """
    height, width = energy.shape
    rim = np.zeros((height + 2, width + 2))  # its cells are never surprising
    rim[1:-1, 1:-1] = energy
    levels = rim.ravel()
    above = np.flatnonzero(levels > 1)
    order = above[np.argsort(-levels[above], kind="stable")]
    tree = _grown(order.tolist(), levels.tolist(), log_pfa(levels, channels).tolist(), width + 2)
    values = np.zeros(len(levels))
    values[order] = _least(order.tolist(), tree)
    return values.reshape(rim.shape)[1:-1, 1:-1]


@dataclass(frozen=True)
class _ComponentTree:
    """The component tree of a map; a component is named by its last cell, that of lowest level.

    `parent` is the last cell of the component that holds it, itself at the root; `pfa` is log10
    PFA; `left` is the outermost component that pruning left of it; `below` are those left inside.
    """

    parent: list[int]
    pfa: list[float]
    left: list[int]
    below: list[list[int]]


def _grown(
    order: list[int], levels: list[float], cell_pfa: list[float], width: int
) -> _ComponentTree:
    """The pruned tree of the cells in `order`, of falling level; `width` is that of the grid."""
    parent, nearest = [-1] * len(levels), [-1] * len(levels)  # nearest: with shortcuts
    size, pfa, left = [0] * len(levels), [0.0] * len(levels), [-1] * len(levels)
    inside: list[list[int]] = [[]] * len(levels)  # remaining components inside of one
    tree = _ComponentTree(parent, pfa, left, [[]] * len(levels))
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
            # A component of the same level is only a part of this one.
            inner = inner + (inside[last] if levels[last] == level else [left[last]])
        size[cell], pfa[cell], inside[cell] = cells, cells * cell_pfa[cell], inner
        left[cell] = _simplified(cell, inner, tree)
    return tree


def _simplified(component: int, inner: list[int], tree: _ComponentTree) -> int:
    """Prune `component`, in which `inner` are left: its outermost remainder; sets `below`."""
    pfa, below = tree.pfa, tree.below
    if len(inner) == 1:
        if pfa[inner[0]] < pfa[component]:
            return inner[0]  # a chain, narrowed
        inner = below[inner[0]]
    leaves = not any(below[one] for one in inner)
    merged = leaves and all(pfa[component] <= pfa[one] for one in inner)
    below[component] = [] if merged else inner
    return component


def _least(order: list[int], tree: _ComponentTree) -> list[float]:
    """The least log10 PFA of the remaining components that hold each cell, 0 where none does."""
    waiting = [tree.left[cell] for cell in order if tree.parent[cell] == cell]
    kept = set(waiting)
    while waiting:
        below = tree.below[waiting.pop()]
        kept.update(below)
        waiting += below
    least = [0.0] * len(tree.pfa)
    for cell in reversed(order):  # a component comes before the components in it
        around = tree.parent[cell]
        value = 0.0 if around == cell else least[around]
        least[cell] = min(value, tree.pfa[cell]) if cell in kept else value
    return [least[cell] for cell in order]
