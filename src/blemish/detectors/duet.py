"""Duet: PaDiM and PatchCore on one pass of the backbone, their maps joined (ours, no paper).

A Gaussian per position knows what belongs where; a memory bank knows patches wherever they lie.
Each distance is taken in units of its median on training images, and the map is their harmonic
mean, which stays near the smaller one: a place is anomalous when both say so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.detectors._embedding import Embedding, cells_inside
from blemish.detectors.base import Clock, FittedDetector, ShowProgress, need_images
from blemish.detectors.padim import learn_moments, mahalanobis
from blemish.detectors.patchcore import bank_distance, grow_bank, learn_space
from blemish.features.backbone import BUNDLED
from blemish.features.feature_stream import FeatureStream
from blemish.features.session import open_session
from blemish.graph import blocks
from blemish.graph.builder import Graph, feature_model
from blemish.graph.join import join

Floats = npt.NDArray[np.float32]

SCALE_IMAGES = 64  # spread over the training set, for the medians


SIZE = 320  # finer maps than 256, and better ranks: docs/default_detector.md
PRESETS: dict[str, dict[str, object]] = {"cpu": {}}  # the defaults: the bundled backbone


@dataclass(frozen=True)
class Duet:
    """Settings of Duet.

    Both parts read `layers` every `grid_stride` pixels. The Gaussians take `prior` and
    `regularization` as in PaDiM; the bank holds `bank` patches averaged over `pool` x `pool` cells;
    `top`: the score is the mean of so many of the map's largest values.
    """

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10")
    grid_stride: int = 8
    prior: float = 100.0
    regularization: float = 0.01
    pool: int = 3
    bank: int = 2000
    top: int = 10

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
        """One pass for the Gaussians, then three or more for the bank, over the cached features."""
        need_images(data)
        clock, images = Clock(budget), data.images
        places = Embedding.of(features, self.grid_stride, 1)
        patches = Embedding.of(features, self.grid_stride, self.pool)
        moments = learn_moments(places, features, images, clock, progress)
        mean, whitening = moments.whitening(self.prior, self.regularization)
        space = learn_space(patches, features, images, False, clock, progress)
        bank = grow_bank(patches, features, images, space, self.bank, clock, progress, checkpoint)

        def distances(graph: Graph) -> tuple[str, str]:
            by_place = mahalanobis(graph, places.nodes(graph), mean, whitening)
            by_patch = bank_distance(graph, patches.nodes(graph), space, bank.patches)
            gaussian = blocks.cells(graph, by_place, places.grid)
            nearest = blocks.cells(graph, by_patch, patches.grid)
            return gaussian, nearest

        units = _medians(distances, patches, features, images)

        def head(graph: Graph) -> tuple[str, str]:
            gaussian, nearest = (
                graph.add("Div", map_, graph.constant(np.array(unit)))
                for map_, unit in zip(distances(graph), units, strict=True)
            )
            map_ = harmonic_mean(graph, gaussian, nearest)
            inside = blocks.inside(graph, "valid", patches.grid, patches.size)
            return map_, blocks.peak(graph, map_, inside, min(self.top, math.prod(patches.grid)))

        model = join(features.backbone.path, self.layers, *places.size, head)
        facts = {
            "positions": places.grid[0] * places.grid[1],
            "patches": space.patches,
            "bank": bank.count,
            "radius": float(bank.radius),
            "units": list(units),
        }
        return FittedDetector(model, *places.size, facts=facts)


def harmonic_mean(graph: Graph, a: str, b: str) -> str:
    """2 a b / (a + b) of two maps of distances; 0 where both are 0."""
    tiny = graph.constant(np.array(1e-12))
    total = graph.add("Add", graph.add("Add", a, b), tiny)
    product = graph.add("Mul", graph.add("Mul", a, b), graph.constant(np.array(2.0)))
    return graph.add("Div", product, total)


def _medians(
    distances: Callable[[Graph], tuple[str, str]],
    patches: Embedding,
    features: FeatureStream,
    images: Sequence[Path],
) -> tuple[float, float]:
    """The median of each of the two maps over cells inside the pictures of some training images."""
    graph = Graph()
    for name, output in zip(("gaussian", "nearest"), distances(graph), strict=True):
        graph.add("Identity", output, to=name)
    session = open_session(feature_model(graph, features.shapes, "gaussian", "nearest"))
    values: tuple[list[Floats], list[Floats]] = ([], [])
    for batch in features.batches(images[:: max(1, len(images) // SCALE_IMAGES)]):
        inside = cells_inside(batch.valid, patches.grid, patches.size) > 0
        for found, map_ in zip(values, session.run(None, batch.layers), strict=True):
            found.append(map_.reshape(inside.shape)[inside])
    # A set of identical pictures has the distance 0; any unit will do then.
    gaussian, nearest = (float(np.median(np.concatenate(found))) or 1.0 for found in values)
    return gaussian, nearest
