"""PatchCore: distance to the nearest patch of a memory bank (Roth et al., CVPR 2022).

Departures from the paper: the bank is an r-net chosen while features stream by instead of exact
greedy k-centre (`features/memory_bank.py` says how), channels are not pooled (METHODS 0.1, simple
variant), and the image score is not re-weighted, as in the official code.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.detectors._embedding import Embedding
from blemish.detectors.base import Clock, FittedDetector, Progress, ShowProgress, need_images
from blemish.errors import BudgetExceeded, DatasetError
from blemish.features.backbone import BUNDLED
from blemish.features.feature_stream import FeatureStream
from blemish.features.memory_bank import MemoryBank
from blemish.graph import blocks
from blemish.graph.builder import Graph
from blemish.graph.join import join
from blemish.util.files import replacing

Floats = npt.NDArray[np.float32]

IMAGES_A_STEP = 8
FIRST_ROOM = 0.85  # of the bank in the first pass; the rest is for what slips as the radius grows
PASSES_AT_MOST = 4  # two are enough unless the images come in an order that misleads
SECONDS_BETWEEN_CHECKPOINTS = 15.0


PRESETS: dict[str, dict[str, object]] = {"cpu": {}}  # the defaults: the bundled backbone


@dataclass(frozen=True)
class Patchcore:
    """Settings of PatchCore.

    `grid_stride`: input pixels per patch; `pool`: side of the neighbourhood that is averaged;
    `bank`: how many patches are kept at most, or, where it is above 0, `coreset`: their share of
    all patches (the paper's 0.01 and 0.1); `whiten`: distances in units of the patches' overall
    covariance; `sigma`: smoothing of the map in cells; `top`: the score is the mean of so many of
    the largest distances (the paper's 1).
    """

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10")
    grid_stride: int = 8
    pool: int = 3
    bank: int = 2000
    coreset: float = 0.0
    whiten: bool = False
    sigma: float = 0.0
    top: int = 1

    def fit(
        self,
        data: Dataset,
        *,
        features: FeatureStream,
        seed: int,
        budget: float | None = None,
        progress: ShowProgress | None = None,
        checkpoint: Path | None = None,
    ) -> FittedDetector:
        """One pass over the cached features for mean and covariance, two or more for the bank.

        Nothing is drawn at random: the order of the images decides which patch comes first.
        """
        need_images(data)
        embedding = Embedding.of(features, self.grid_stride, self.pool)
        clock = Clock(budget)
        space = learn_space(embedding, features, data.images, self.whiten, clock, progress)
        size = round(self.coreset * space.patches) if self.coreset > 0 else self.bank
        if size < 1:
            raise DatasetError(
                f"a memory bank of {size} patches is empty: {self.coreset:g} of {space.patches}"
            )
        bank = grow_bank(embedding, features, data.images, space, size, clock, progress, checkpoint)

        def head(graph: Graph) -> tuple[str, str]:
            distance = bank_distance(graph, embedding.nodes(graph), space, bank.patches)
            map_ = blocks.cells(graph, distance, embedding.grid)
            inside = blocks.inside(graph, "valid", embedding.grid, embedding.size)
            # The score comes from the raw distances, the smoothing is for the eye (METHODS 0.3).
            score = blocks.peak(graph, map_, inside, min(self.top, math.prod(embedding.grid)))
            return blocks.smooth(graph, map_, self.sigma), score

        model = join(features.backbone.path, self.layers, *embedding.size, head)
        facts = {"patches": space.patches, "bank": bank.count, "radius": float(bank.radius)}
        return FittedDetector(model, *embedding.size, facts=facts)


@dataclass(frozen=True, eq=False)
class Space:
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
    embedding: Embedding,
    features: FeatureStream,
    images: Sequence[Path],
    whiten: bool,
    clock: Clock,
    progress: ShowProgress | None,
) -> Space:
    """The mean of all patches, which keeps float32 distances exact, and whitening if wanted."""
    channels = embedding.channels
    count, crops, total = 0, 0, np.zeros(channels)
    squares = np.zeros((channels, channels))
    done = 0
    for x, inside, image in embedding.stream(features, images):
        clock.check(f"reading features, {done} of {len(images)} images done")
        rows = x.reshape(*x.shape[:2], -1).transpose(0, 2, 1)[inside > 0]
        count += len(rows)
        crops += len(x)
        total += rows.sum(0, dtype=np.float64)
        if whiten:
            squares += rows.T @ rows
        done = image + 1
        if progress:
            progress(Progress("reading features", done, len(images)))
    mean = total / max(count, 1)
    axes = None
    if whiten:
        values, vectors = np.linalg.eigh(squares / max(count, 1) - np.outer(mean, mean))
        axes = (vectors / np.sqrt(np.maximum(values, 0) + 0.01 * values.mean())).astype(np.float32)
    return Space(mean.astype(np.float32), axes, count, crops)


def grow_bank(
    embedding: Embedding,
    features: FeatureStream,
    images: Sequence[Path],
    space: Space,
    size: int,
    clock: Clock,
    progress: ShowProgress | None,
    checkpoint: Path | None,
    weights: Floats | None = None,
) -> MemoryBank:
    """The memory bank of all patches; goes on from `checkpoint`, and leaves one when time is up.

    The passes over the images end with the first in which the radius did not grow. `weights`
    [space.patches], in the order of the patches, are kept beside them; a patch without one (NaN)
    never enters the bank.
    """
    bank, done, before, row = MemoryBank.empty(size, embedding.channels), 0, 0.0, 0
    if checkpoint is not None and (checkpoint / "bank.npz").exists():
        with np.load(checkpoint / "bank.npz") as kept:
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
    kept_at = time.monotonic()
    most = PASSES_AT_MOST * len(steps)
    while done < len(steps) or done % len(steps) or (bank.radius > before and done < most):
        turn, step = divmod(done, len(steps))
        try:
            clock.check(f"choosing the memory bank, step {step} of {len(steps)} of pass {turn + 1}")
        except BudgetExceeded:
            keep()
            raise
        if time.monotonic() - kept_at > SECONDS_BETWEEN_CHECKPOINTS:
            keep()
            kept_at = time.monotonic()
        if step == 0:
            before, row = bank.radius, 0
        bank.room = size if turn else max(1, round(size * FIRST_ROOM))
        some = images[steps[step] : steps[step] + IMAGES_A_STEP]
        for patches in embedding.patches(features, some):
            points = space.apply(patches)
            if weights is None:
                bank.absorb(points)
            else:
                own = weights[row : row + len(points)]
                bank.absorb(points[~np.isnan(own)], own[~np.isnan(own)])
            row += len(points)
        done += 1
        if progress:
            seen = turn * len(images) + steps[step] + len(some)
            total = max(2, turn + 1) * len(images)
            progress(Progress("choosing the memory bank", seen, total))
    return bank


def bank_distance(graph: Graph, x: str, space: Space, bank: Floats) -> str:
    """Distance [n, P] of the embedding x [n, C, h, w] to the nearest patch of the bank."""
    return blocks.nearest(graph, space.nodes(graph, x), bank)
