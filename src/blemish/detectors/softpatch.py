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
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.detectors._checkpoint import kept_arrays
from blemish.detectors._patch_noise import JUDGES, Cells, Judge, judge_place, places_of
from blemish.detectors.base import FitContext, FittedDetector, need_images
from blemish.detectors.embedding import Embedding
from blemish.detectors.head import pixels_of, with_distance
from blemish.detectors.patchcore import PatchSpace, grow_bank, learn_space
from blemish.errors import BlemishError, BudgetExceeded
from blemish.features.backbone import BUNDLED
from blemish.graph import blocks
from blemish.graph.builder import Graph
from blemish.util.files import replacing
from blemish.util.settings import setting

Floats = npt.NDArray[np.float32]

PROJECTED = 128  # channels in which patches are judged
LARGEST_PLACE = 8  # cells: the patches of one place are held at once
PATCH_BYTES = 256 * 2**20  # of patches that wait for their judgement


@dataclass(frozen=True)
class Softpatch:
    """Settings of SoftPatch.

    Attributes:
        backbone: Name of the backbone that computes the features.
        layers: Names of its layers that are read.
        layer_weights: Factor for the features of each layer.
        grid_stride: Side of a cell of the map, a patch.
        pool: Side of the neighbourhood in a layer over which features are averaged.
        noise_method: How the noise of a patch is judged: by its local outlier factor (`lof`), its
            distance to the nearest other, or its distance in a Gaussian.
        tau: Share of the patches that is left out as noise.
        neighbours: Number of neighbours of LOF; fewer where there are fewer images.
        place_side: Side of the places that are judged together: 1 for parts that lie alike, more
            for textures.
        bank: How many patches the memory bank keeps at most.
        coreset: Where it is above 0, the bank keeps this share of all patches instead, the noisy
            ones among them.
        smoothing: Sigma of a Gaussian over the map, after the score is taken; 0 for none.
        top_share: The score is the mean of the map's largest cells, this share of all, at least one
            (the paper's 0).
    """

    presets: ClassVar[dict[str, dict[str, object]]] = {
        "cpu": {},  # the defaults
        "paper": {
            "backbone": "wide_resnet50_2.tv_in1k",
            "layers": ("layer2", "layer3"),
            "layer_weights": (1.0, 1.0),
            "coreset": 0.1,
            "smoothing": 4.0,
            "top_share": 0.0,
        },
    }

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10", "block14")
    layer_weights: tuple[float, ...] = setting((1.0, 1.0, 0.3), unit="factor", above=0)
    grid_stride: int = setting(8, unit="pixels", least=1)
    pool: int = setting(3, unit="cells", least=1, odd=True)
    noise_method: str = setting("lof", choices=tuple(JUDGES), formerly="noise")
    tau: float = setting(0.15, unit="share", least=0, below=1)
    neighbours: int = setting(6, unit="patches", least=1)
    place_side: int = setting(1, unit="cells", least=1, most=LARGEST_PLACE, formerly="block")
    bank: int = setting(2000, unit="patches", least=1)
    coreset: float = setting(0.0, unit="share", least=0, most=1)
    smoothing: float = setting(
        0.0, unit="pixels", least=0, most=1024, formerly="sigma", convert=pixels_of
    )
    top_share: float = setting(0.01, unit="share", least=0, most=1)

    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        """A pass over the cached features for their mean, some for the noise, two for the bank.

        The seed draws the projection in which patches are judged.
        """
        need_images(data)
        if len(self.layer_weights) != len(self.layers):
            raise BlemishError(
                f"setting layer_weights of detector softpatch must be {len(self.layers)} numbers, "
                f"one for each of {', '.join(self.layers)}"
            )
        embedding = Embedding.of(context.features, self.grid_stride, self.pool)
        space = learn_space(embedding, data.images, False, context)
        space = replace(space, axes=scale_of(embedding, self.layer_weights))
        noise = judge_patches(
            embedding,
            data.images,
            projection(space, context.seed),
            places_of(embedding.grid, self.place_side),
            partial(JUDGES[self.noise_method], neighbours=self.neighbours),
            context,
        )
        limit = np.quantile(noise, 1 - self.tau)
        weights = np.where(noise > limit, np.nan, noise)
        size = max(1, round(self.coreset * space.patches)) if self.coreset > 0 else self.bank
        bank = grow_bank(embedding, data.images, space, size, context, weights)

        def distance(graph: Graph) -> str:
            points = space.nodes(graph, embedding.nodes(graph))
            return blocks.weighted_nearest(graph, points, bank.patches, bank.weights[: bank.count])

        facts = {
            "patches": space.patches,
            "noisy": int(np.isnan(weights).sum()),
            "noise_limit": float(limit),
            "bank": bank.count,
            "radius": float(bank.radius),
        }
        # The score comes from the raw values, the smoothing is for the eye (METHODS 0.3).
        return with_distance(
            context.features,
            embedding.grid,
            distance,
            top=max(1, round(self.top_share * math.prod(embedding.grid))),
            smoothing=self.smoothing,
            facts=facts,
        )


def scale_of(embedding: Embedding, weights: Sequence[float]) -> Floats:
    """A factor for each channel [C]: the weight of its layer."""
    channels = [channels for channels, _, _ in embedding.layers.values()]
    return np.repeat(np.asarray(weights, np.float32), channels)


def projection(space: PatchSpace, seed: int) -> PatchSpace:
    """The scaled space in 128 random directions, in which distances are kept on average."""
    assert space.axes is not None
    channels = len(space.axes)
    if channels <= PROJECTED:
        return space
    axes = np.random.default_rng(seed).normal(0, PROJECTED**-0.5, (channels, PROJECTED))
    return replace(space, axes=(space.axes[:, None] * axes).astype(np.float32))


def judge_patches(
    embedding: Embedding,
    images: Sequence[Path],
    space: PatchSpace,
    places: Sequence[Cells],
    judge: Judge,
    context: FitContext,
) -> Floats:
    """The noise of every patch [space.patches], in the order of the stream.

    One pass over the features for as many places as fit into PATCH_BYTES. Goes on from a
    checkpoint, and leaves one after each pass and when time is up.
    """
    checkpoint = context.checkpoint
    noise = np.full((space.crops, math.prod(embedding.grid)), np.nan, np.float32)
    done = 0
    if checkpoint is not None and (checkpoint / "noise.npz").exists():
        with kept_arrays(checkpoint / "noise.npz") as kept:
            if kept["noise"].shape != noise.shape:
                raise ValueError("it is of other images")
            noise, done = kept["noise"], int(kept["done"])

    def keep() -> None:
        if checkpoint is not None:
            with replacing(checkpoint / "noise.npz") as file:
                np.savez(file, noise=noise, done=done)

    a_patch = 4 * len(space.apply(np.zeros((1, embedding.channels), np.float32))[0])
    room = max(1, PATCH_BYTES // (a_patch * space.crops * max(map(len, places))))
    while done < len(places):
        some = places[done : done + room]
        points, inside = read_places(embedding, images, space, some, context)
        at = 0
        for cells in some:
            try:
                context.clock.check(f"judging patches, {done} of {len(places)} places done")
            except BudgetExceeded:
                keep()
                raise
            rows = slice(at, at := at + len(cells))
            noise[:, cells] = judge_place(points[rows], inside[rows], judge).T
            done += 1
            context.tell("judging patches", done, len(places))
        keep()
    return noise[~np.isnan(noise)]


def read_places(
    embedding: Embedding,
    images: Sequence[Path],
    space: PatchSpace,
    places: Sequence[Cells],
    context: FitContext,
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The patches [cells, crops, c] at some places in all pictures, and which lie inside."""
    cells, at = np.concatenate(places), 0
    points, there = None, np.empty((len(cells), space.crops), bool)
    for x, inside in embedding.read(images, context, "reading patches to judge"):
        some = space.apply(x.reshape(*x.shape[:2], -1)[:, :, cells].transpose(2, 0, 1))
        if points is None:
            points = np.empty((len(cells), space.crops, some.shape[2]), np.float32)
        points[:, at : at + len(x)] = some
        there[:, at : at + len(x)] = inside.T[cells] > 0
        at += len(x)
    assert points is not None
    return points, there
