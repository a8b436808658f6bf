"""PatchCore: distance to the nearest patch of a memory bank (Roth et al., CVPR 2022).

Departures from the paper: the bank is an r-net chosen while features stream by instead of exact
greedy k-centre (`features/memory_bank.py` says how), channels are not pooled (METHODS 0.1, simple
variant), and the image score is not re-weighted, as in the official code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.detectors._checkpoint import kept_arrays
from blemish.detectors.base import FitContext, FittedDetector, need_images
from blemish.detectors.embedding import Embedding
from blemish.detectors.head import pixels_of, with_distance
from blemish.detectors.moments import learn_moments
from blemish.errors import BudgetExceeded, DatasetError
from blemish.features.backbone import BUNDLED
from blemish.features.memory_bank import MemoryBank
from blemish.graph import blocks
from blemish.graph.builder import Graph
from blemish.util.files import replacing
from blemish.util.settings import setting

Floats = npt.NDArray[np.float32]

IMAGES_A_STEP = 8
FIRST_ROOM = 0.85  # of the bank in the first pass; the rest is for what slips as the radius grows
PASSES_AT_MOST = 4  # two are enough unless the images come in an order that misleads
SECONDS_BETWEEN_CHECKPOINTS = 15.0


@dataclass(frozen=True)
class Patchcore:
    """Settings of PatchCore.

    Attributes:
        backbone: Name of the backbone that computes the features.
        layers: Names of its layers that are read.
        grid_stride: Side of a cell of the map, a patch.
        pool: Side of the neighbourhood in a layer over which features are averaged.
        bank: How many patches the memory bank keeps at most.
        coreset: Where it is above 0, the bank keeps this share of all patches instead (the paper's
            0.01 and 0.1).
        whiten: Distances are taken in units of the patches' overall covariance.
        smoothing: Sigma of a Gaussian over the map, after the score is taken; 0 for none.
        top: The score is the mean of so many of the map's largest cells (the paper's 1).
    """

    presets: ClassVar[dict[str, dict[str, object]]] = {"cpu": {}}  # the defaults

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10")
    grid_stride: int = setting(8, unit="pixels", least=1)
    pool: int = setting(3, unit="cells", least=1, odd=True)
    bank: int = setting(2000, unit="patches", least=1)
    coreset: float = setting(0.0, unit="share", least=0, most=1)
    whiten: bool = False
    smoothing: float = setting(
        0.0, unit="pixels", least=0, most=1024, formerly="sigma", convert=pixels_of
    )
    top: int = setting(1, unit="cells", least=1)

    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        """One pass over the cached features for mean and covariance, two or more for the bank.

        Nothing is drawn at random: the order of the images decides which patch comes first.
        """
        need_images(data)
        embedding = Embedding.of(context.features, self.grid_stride, self.pool)
        space = learn_space(embedding, data.images, self.whiten, context)
        size = round(self.coreset * space.patches) if self.coreset > 0 else self.bank
        if size < 1:
            raise DatasetError(
                f"a memory bank of {size} patches is empty: {self.coreset:g} of {space.patches}"
            )
        bank = grow_bank(embedding, data.images, space, size, context)
        # The score comes from the raw distances, the smoothing is for the eye (METHODS 0.3).
        return with_distance(
            context.features,
            embedding.grid,
            lambda graph: bank_distance(graph, embedding.nodes(graph), space, bank.patches),
            top=self.top,
            smoothing=self.smoothing,
            facts={"patches": space.patches, "bank": bank.count, "radius": float(bank.radius)},
        )


@dataclass(frozen=True, eq=False)
class PatchSpace:
    """Where distances are taken: x - mean, learnt from `patches` patches of `crops`.

    Turned by `axes` [C, c], or scaled by them where they are [C], unless they are None.
    """

    mean: Floats
    axes: Floats | None
    patches: int
    crops: int

    def apply(self, x: Floats) -> Floats:
        """Patches [p, C] in this space."""
        centred: Floats = x - self.mean
        if self.axes is None:
            return centred
        turned = centred * self.axes if self.axes.ndim == 1 else centred @ self.axes
        return np.asarray(turned, np.float32)

    def nodes(self, graph: Graph, x: str) -> str:
        """The same of an embedding [n, C, h, w] in a graph: patches [n, h * w, C]."""
        centred = graph.add("Sub", blocks.patches(graph, x), graph.constant(self.mean))
        if self.axes is None:
            return centred
        turn = "Mul" if self.axes.ndim == 1 else "MatMul"
        return graph.add(turn, centred, graph.constant(self.axes))


def learn_space(
    embedding: Embedding, images: Sequence[Path], whiten: bool, context: FitContext
) -> PatchSpace:
    """The mean of all patches, which keeps float32 distances exact, and whitening if wanted."""
    moments = learn_moments(embedding, images, context, covariance=whiten)
    axes = None
    if whiten:
        values, vectors = np.linalg.eigh(moments.covariance)
        axes = (vectors / np.sqrt(np.maximum(values, 0) + 0.01 * values.mean())).astype(np.float32)
    return PatchSpace(moments.mean.astype(np.float32), axes, moments.patches, moments.crops)


def grow_bank(
    embedding: Embedding,
    images: Sequence[Path],
    space: PatchSpace,
    size: int,
    context: FitContext,
    weights: Floats | None = None,
) -> MemoryBank:
    """The memory bank of all patches; goes on from a checkpoint, and leaves one when time is up.

    The passes over the images end with the first in which the radius did not grow. `weights`
    [space.patches], in the order of the patches, are kept beside them; a patch without one (NaN)
    never enters the bank.
    """
    clock, checkpoint = context.clock, context.checkpoint
    bank, done, before, row = MemoryBank.empty(size, embedding.channels), 0, 0.0, 0
    if checkpoint is not None and (checkpoint / "bank.npz").exists():
        with kept_arrays(checkpoint / "bank.npz") as kept:
            bank.restore(kept["patches"], kept["gaps"], kept["weights"], float(kept["radius"]))
            done, before, row = int(kept["done"]), float(kept["before"]), int(kept["row"])

    def keep() -> None:
        if checkpoint is not None:
            with replacing(checkpoint / "bank.npz") as file:
                np.savez(
                    file,
                    patches=bank.patches,
                    gaps=bank.gaps[: bank.count],
                    weights=bank.weights[: bank.count],
                    radius=bank.radius,
                    done=done,
                    before=before,
                    row=row,
                )

    steps = range(0, len(images), IMAGES_A_STEP)
    kept_at = clock.now()
    most = PASSES_AT_MOST * len(steps)
    while done < len(steps) or done % len(steps) or (bank.radius > before and done < most):
        turn, step = divmod(done, len(steps))
        try:
            clock.check(f"choosing the memory bank, step {step} of {len(steps)} of pass {turn + 1}")
        except BudgetExceeded:
            keep()
            raise
        if clock.now() - kept_at > SECONDS_BETWEEN_CHECKPOINTS:
            keep()
            kept_at = clock.now()
        if step == 0:
            before, row = bank.radius, 0
        bank.room = size if turn else max(1, round(size * FIRST_ROOM))
        some = images[steps[step] : steps[step] + IMAGES_A_STEP]
        for patches in embedding.patches(context.features, some):
            points = space.apply(patches)
            if weights is None:
                bank.absorb(points)
            else:
                own = weights[row : row + len(points)]
                bank.absorb(points[~np.isnan(own)], own[~np.isnan(own)])
            row += len(points)
        done += 1
        seen = turn * len(images) + steps[step] + len(some)
        context.tell("choosing the memory bank", seen, max(2, turn + 1) * len(images))
    return bank


def bank_distance(graph: Graph, x: str, space: PatchSpace, bank: Floats) -> str:
    """Distance [n, P] of the embedding x [n, C, h, w] to the nearest patch of the bank."""
    return blocks.nearest(graph, space.nodes(graph, x), bank)
