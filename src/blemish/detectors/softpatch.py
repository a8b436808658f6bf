"""SoftPatch: PatchCore whose bank is cleaned of noisy patches (Jiang et al., NeurIPS 2022).

A training set may hold defective pictures that nobody marked. Every patch is judged among the
patches at its place in all pictures; the noisiest are left out of the memory bank, and the kept
ones carry their noise as a weight: score = squared distance to the nearest patch x its weight.

Departures from the paper: the bank is an r-net and channels are not pooled, both as in PatchCore;
noisy patches never enter the bank, where the official code can still pick one first; `neighbours`
is the paper's 6, where a mismatch of names makes the official code use 5; densities have a floor,
so that copies of a picture do no harm; a place with over 4,096 patches is judged in equal parts.
The defaults, which are the preset `cpu`, depart further: the bundled backbone with a third, coarser
layer of less weight, a bank of 2,000 patches, the mean of a hundredth of the map as the score.
The preset `paper` is for a model's input of 224: `--size 256 --crop 224`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.detectors._embedding import Embedding
from blemish.detectors._patch_noise import JUDGES, Cells, Judge, judge_place, places_of
from blemish.detectors.base import Clock, FittedDetector, Progress, ShowProgress, need_images
from blemish.detectors.patchcore import Space, grow_bank, learn_space
from blemish.errors import BlemishError, BudgetExceeded
from blemish.features.backbone import BUNDLED
from blemish.features.feature_stream import FeatureStream
from blemish.graph import blocks
from blemish.graph.builder import Graph
from blemish.graph.join import join
from blemish.util.files import replacing

Floats = npt.NDArray[np.float32]

PROJECTED = 128  # channels in which patches are judged
LARGEST_BLOCK = 8  # cells: the patches of one place are held at once
PATCH_BYTES = 256 * 2**20  # of patches that wait for their judgement

PRESETS: dict[str, dict[str, object]] = {
    "cpu": {},  # the defaults
    "paper": {
        "backbone": "wide_resnet50_2.tv_in1k",
        "layers": ("layer2", "layer3"),
        "layer_weights": (1.0, 1.0),
        "coreset": 0.1,
        "sigma": 0.5,  # 4 pixels
        "top_share": 0.0,
    },
}


@dataclass(frozen=True)
class Softpatch:
    """Settings of SoftPatch.

    `layer_weights`: a factor for each layer's features; `noise`: how a patch is judged, `lof`,
    `nearest` or `gaussian`; `tau`: share of the patches that is left out as noise; `neighbours` of
    LOF, fewer where there are fewer pictures; `block`: side in cells of the places that are judged
    together, 1 for parts that lie alike, more for textures.
    `top_share`: the score is the mean of the largest values, that share of the map's cells, at
    least one (the paper's 0). `grid_stride`, `pool`, `bank`, `coreset` and `sigma` as in PatchCore;
    a `coreset` is a share of all patches, the noisy ones among them.
    """

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10", "block14")
    layer_weights: tuple[float, ...] = (1.0, 1.0, 0.3)
    grid_stride: int = 8
    pool: int = 3
    noise: str = "lof"
    tau: float = 0.15
    neighbours: int = 6
    block: int = 1
    bank: int = 2000
    coreset: float = 0.0
    sigma: float = 0.0
    top_share: float = 0.01

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
        """A pass over the cached features for their mean, some for the noise, two for the bank.

        The seed draws the projection in which patches are judged.
        """
        need_images(data)
        self._refuse_nonsense()
        embedding = Embedding.of(features, self.grid_stride, self.pool)
        clock, images = Clock(budget), data.images
        space = learn_space(embedding, features, images, False, clock, progress)
        space = replace(space, axes=scale_of(embedding, self.layer_weights))
        noise = judge_patches(
            embedding,
            features,
            images,
            projection(space, seed),
            places_of(embedding.grid, self.block),
            partial(JUDGES[self.noise], neighbours=self.neighbours),
            clock,
            progress,
            checkpoint,
        )
        limit = np.quantile(noise, 1 - self.tau)
        weights = np.where(noise > limit, np.nan, noise)
        size = max(1, round(self.coreset * space.patches)) if self.coreset > 0 else self.bank
        bank = grow_bank(
            embedding, features, images, space, size, clock, progress, checkpoint, weights
        )

        cells = math.prod(embedding.grid)
        top = min(max(1, round(self.top_share * cells)), cells)

        def head(graph: Graph) -> tuple[str, str]:
            points = space.nodes(graph, embedding.nodes(graph))
            score = blocks.weighted_nearest(graph, points, bank.patches, bank.weights[: bank.count])
            map_ = blocks.cells(graph, score, embedding.grid)
            inside = blocks.inside(graph, "valid", embedding.grid, embedding.size)
            # The score comes from the raw values, the smoothing is for the eye (METHODS 0.3).
            peak = blocks.peak(graph, map_, inside, top)
            return blocks.smooth(graph, map_, self.sigma), peak

        model = join(features.backbone.path, self.layers, *embedding.size, head)
        facts = {
            "patches": space.patches,
            "noisy": int(np.isnan(weights).sum()),
            "noise_limit": float(limit),
            "bank": bank.count,
            "radius": float(bank.radius),
        }
        return FittedDetector(model, *embedding.size, facts=facts)

    def _refuse_nonsense(self) -> None:
        """Name a setting that cannot be meant."""
        rule = ""
        if len(self.layer_weights) != len(self.layers):
            rule = (
                f"layer_weights of detector softpatch must be {len(self.layers)} numbers, one for "
                f"each of {', '.join(self.layers)}"
            )
        elif not all(0 < weight < math.inf for weight in self.layer_weights):
            rule = "layer_weights of detector softpatch must be finite and above 0"
        elif self.noise not in JUDGES:
            rule = f"noise={self.noise} of detector softpatch must be one of {', '.join(JUDGES)}"
        elif self.tau >= 1:
            rule = f"tau={self.tau:g} of detector softpatch must be below 1, or no patch is left"
        elif self.block > LARGEST_BLOCK:
            rule = f"block={self.block} of detector softpatch must be at most {LARGEST_BLOCK} cells"
        if rule:
            raise BlemishError(f"setting {rule}")


def scale_of(embedding: Embedding, weights: Sequence[float]) -> Floats:
    """A factor for each channel [C]: the weight of its layer."""
    channels = [channels for channels, _, _ in embedding.layers.values()]
    return np.repeat(np.asarray(weights, np.float32), channels)


def projection(space: Space, seed: int) -> Space:
    """The scaled space in 128 random directions, in which distances are kept on average."""
    assert space.axes is not None
    channels = len(space.axes)
    if channels <= PROJECTED:
        return space
    axes = np.random.default_rng(seed).normal(0, PROJECTED**-0.5, (channels, PROJECTED))
    return replace(space, axes=(space.axes[:, None] * axes).astype(np.float32))


def judge_patches(
    embedding: Embedding,
    features: FeatureStream,
    images: Sequence[Path],
    space: Space,
    places: Sequence[Cells],
    judge: Judge,
    clock: Clock,
    progress: ShowProgress | None,
    checkpoint: Path | None,
) -> Floats:
    """The noise of every patch [space.patches], in the order of the stream.

    One pass over the features for as many places as fit into PATCH_BYTES. Goes on from
    `checkpoint`, and leaves one after each pass and when time is up.
    """
    noise = np.full((space.crops, math.prod(embedding.grid)), np.nan, np.float32)
    done = 0
    if checkpoint is not None and (checkpoint / "noise.npz").exists():
        with np.load(checkpoint / "noise.npz") as kept:
            noise, done = kept["noise"], int(kept["done"])

    def keep() -> None:
        if checkpoint is not None:
            with replacing(checkpoint / "noise.npz") as file:
                np.savez(file, noise=noise, done=done)

    a_patch = 4 * len(space.apply(np.zeros((1, embedding.channels), np.float32))[0])
    room = max(1, PATCH_BYTES // (a_patch * space.crops * max(map(len, places))))
    while done < len(places):
        some = places[done : done + room]
        points, inside = read_places(embedding, features, images, space, some, clock)
        at = 0
        for cells in some:
            try:
                clock.check(f"judging patches, {done} of {len(places)} places done")
            except BudgetExceeded:
                keep()
                raise
            rows = slice(at, at := at + len(cells))
            noise[:, cells] = judge_place(points[rows], inside[rows], judge).T
            done += 1
            if progress:
                progress(Progress("judging patches", done, len(places)))
        keep()
    return noise[~np.isnan(noise)]


def read_places(
    embedding: Embedding,
    features: FeatureStream,
    images: Sequence[Path],
    space: Space,
    places: Sequence[Cells],
    clock: Clock,
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The patches [cells, crops, c] at some places in all pictures, and which lie inside."""
    cells, at = np.concatenate(places), 0
    points, there = None, np.empty((len(cells), space.crops), bool)
    for x, inside, image in embedding.stream(features, images):
        clock.check(f"reading patches to judge, {image + 1} of {len(images)} images done")
        some = space.apply(x.reshape(*x.shape[:2], -1)[:, :, cells].transpose(2, 0, 1))
        if points is None:
            points = np.empty((len(cells), space.crops, some.shape[2]), np.float32)
        points[:, at : at + len(x)] = some
        there[:, at : at + len(x)] = inside.T[cells] > 0
        at += len(x)
    assert points is not None
    return points, there
