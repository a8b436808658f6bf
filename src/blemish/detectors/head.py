"""The head of most detectors: from a distance at every cell to the finished model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from blemish.detectors.base import FittedDetector
from blemish.features.feature_stream import FeatureStream
from blemish.graph import blocks
from blemish.graph.blocks import Grid
from blemish.graph.builder import Graph
from blemish.graph.join import join

AddNodes = Callable[[Graph], str]
"""Adds nodes that read the backbone's layers by name; returns the name of their output."""


def with_distance(
    features: FeatureStream, grid: Grid, distance: AddNodes, **options: Any
) -> FittedDetector:
    """The detector of a distance [n, h * w] at every cell of the grid; options of `with_map`."""
    return with_map(
        features, grid, lambda graph: blocks.cells(graph, distance(graph), grid), **options
    )


def with_map(
    features: FeatureStream,
    grid: Grid,
    map_: AddNodes,
    *,
    top: int,
    smoothing: float = 0.0,
    score_smoothed: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> FittedDetector:
    """The detector of an anomaly map [n, h, w] over the cells of a grid.

    Its score is the mean of the `top` largest cells inside the image. `smoothing` is the sigma, in
    input pixels, of a Gaussian over the map; the score is taken from the smoothed map or the raw
    one. `facts` go into the card.
    """
    size = (features.recipe.height, features.recipe.width)
    sigma = cells_of(smoothing, grid, size)

    def head(graph: Graph) -> tuple[str, str]:
        raw = map_(graph)
        first = blocks.smooth(graph, raw, sigma) if score_smoothed else raw
        inside = blocks.inside(graph, "valid", grid, size)
        score = blocks.peak(graph, first, inside, min(top, math.prod(grid)))
        return first if score_smoothed else blocks.smooth(graph, raw, sigma), score

    layers = [layer.name for layer in features.layers]
    model = join(features.backbone.path, layers, *size, head)
    return FittedDetector(model, *size, facts=dict(facts or {}))


def cells_of(pixels: float, grid: Grid, size: tuple[int, int]) -> float:
    """A length in pixels of the model's input, (height, width), in cells of a grid over it."""
    return pixels * grid[0] / size[0]


def pixels_of(settings: Any, cells: float) -> float:
    """A length in cells of `grid_stride` pixels, in pixels: the unit of a smoothing, once sigma."""
    return cells * float(settings.grid_stride)
