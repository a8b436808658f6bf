"""Duet: PaDiM and PatchCore on one pass of the backbone, their maps joined (ours, no paper).

A Gaussian per position knows what belongs where; a memory bank knows patches wherever they lie.
Each distance is taken in units of its median on training images, and the map is their harmonic
mean, which stays near the smaller one: a place is anomalous when both say so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.detectors.base import FitContext, FittedDetector, need_images
from blemish.detectors.embedding import Embedding, cells_inside
from blemish.detectors.head import with_map
from blemish.detectors.padim import learn_positions, mahalanobis
from blemish.detectors.patchcore import bank_distance, grow_bank, learn_space
from blemish.features.backbone import BUNDLED
from blemish.features.feature_stream import FeatureStream
from blemish.features.session import open_session
from blemish.graph import blocks
from blemish.graph.builder import Graph, feature_model
from blemish.util.settings import setting

Floats = npt.NDArray[np.float32]

SCALE_IMAGES = 64  # spread over the training set, for the medians


@dataclass(frozen=True)
class Duet:
    """Settings of Duet.

    Attributes:
        backbone: Name of the backbone that computes the features.
        layers: Names of its layers that are read by both parts.
        grid_stride: Side of a cell of the map, a position and a patch.
        prior: How many images the covariance pooled over all positions counts for.
        regularization: Share of the mean pooled variance that is added to the diagonal of each
            covariance.
        pool: Side of the neighbourhood in a layer over which the features of the memory bank are
            averaged.
        bank: How many patches the memory bank keeps at most.
        top: The score is the mean of so many of the map's largest cells.
    """

    usual_size: ClassVar[int] = 320  # finer maps than 256, better ranks: docs/default_detector.md
    presets: ClassVar[dict[str, dict[str, object]]] = {"cpu": {}}  # the defaults

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10")
    grid_stride: int = setting(8, unit="pixels", least=1)
    prior: float = setting(100.0, unit="images", least=0)
    regularization: float = setting(0.01, unit="share", above=0)
    pool: int = setting(3, unit="cells", least=1, odd=True)
    bank: int = setting(2000, unit="patches", least=1)
    top: int = setting(10, unit="cells", least=1)

    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        """One pass for the Gaussians, then three or more for the bank, over the cached features."""
        need_images(data)
        features, images = context.features, data.images
        places = Embedding.of(features, self.grid_stride, 1)
        patches = Embedding.of(features, self.grid_stride, self.pool)
        moments = learn_positions(places, images, context)
        mean, whitening = moments.whitening(self.prior, self.regularization)
        space = learn_space(patches, images, False, context)
        bank = grow_bank(patches, images, space, self.bank, context)

        def distances(graph: Graph) -> tuple[str, str]:
            by_place = mahalanobis(graph, places.nodes(graph), mean, whitening)
            by_patch = bank_distance(graph, patches.nodes(graph), space, bank.patches)
            gaussian = blocks.cells(graph, by_place, places.grid)
            nearest = blocks.cells(graph, by_patch, patches.grid)
            return gaussian, nearest

        units = _medians(distances, patches, features, images)

        def map_(graph: Graph) -> str:
            gaussian, nearest = (
                graph.add("Div", map_, graph.constant(np.array(unit)))
                for map_, unit in zip(distances(graph), units, strict=True)
            )
            return harmonic_mean(graph, gaussian, nearest)

        facts = {
            "positions": len(mean),
            "patches": space.patches,
            "bank": bank.count,
            "radius": float(bank.radius),
            "units": list(units),
        }
        return with_map(features, patches.grid, map_, top=self.top, facts=facts)


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
