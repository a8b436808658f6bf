"""PaDiM: a Gaussian of the features at every position (Defard et al., ICPR workshops 2020).

Departures from the paper: all channels are kept instead of a random subset, and each position's
covariance is shrunk towards the one pooled over all positions, which a few hundred images need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.detectors.base import FitContext, FittedDetector, need_images
from blemish.detectors.embedding import Embedding
from blemish.detectors.head import pixels_of, with_distance
from blemish.features.backbone import BUNDLED
from blemish.graph.builder import Graph
from blemish.util.settings import setting

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

TRIANGLE_BLOCKS = 4
POSITIONS_AT_ONCE = 16


@dataclass(frozen=True)
class Padim:
    """Settings of PaDiM.

    Attributes:
        backbone: Name of the backbone that computes the features.
        layers: Names of its layers that are read.
        grid_stride: Side of a cell of the map, a position.
        pool: Side of the neighbourhood in a layer over which features are averaged.
        prior: How many images the covariance pooled over all positions counts for.
        regularization: Share of the mean pooled variance that is added to the diagonal of each
            covariance (the paper's epsilon I).
        smoothing: Sigma of a Gaussian over the map, before the score is taken; 0 for none.
        top: The score is the mean of so many of the map's largest cells.
    """

    presets: ClassVar[dict[str, dict[str, object]]] = {"cpu": {}}  # the defaults

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10", "block14")
    grid_stride: int = setting(16, unit="pixels", least=1)
    pool: int = setting(1, unit="cells", least=1, odd=True)
    prior: float = setting(100.0, unit="images", least=0)
    regularization: float = setting(0.01, unit="share", above=0)
    smoothing: float = setting(
        0.0, unit="pixels", least=0, most=1024, formerly="sigma", convert=pixels_of
    )
    top: int = setting(3, unit="cells", least=1)

    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        """One pass: sums of x and x xT per position, so memory does not grow with the images.

        Nothing is drawn at random, and the only slow part, the features, lies in the cache: there
        is nothing for a checkpoint to hold.
        """
        need_images(data)
        embedding = Embedding.of(context.features, self.grid_stride, self.pool)
        moments = learn_positions(embedding, data.images, context)
        mean, whitening = moments.whitening(self.prior, self.regularization)
        return with_distance(
            context.features,
            embedding.grid,
            lambda graph: mahalanobis(graph, embedding.nodes(graph), mean, whitening),
            top=self.top,
            smoothing=self.smoothing,
            score_smoothed=True,
            facts={"positions": len(mean)},
        )


def learn_positions(embedding: Embedding, images: Sequence[Path], context: FitContext) -> Moments:
    """The moments of every position over all images, in one pass."""
    moments = Moments(embedding.grid, embedding.channels)
    for x, inside in embedding.read(images, context, "learning positions"):
        moments.add(x, inside)
    return moments


class Moments:
    """Count, sum and scatter of the features at every position, added up batch by batch."""

    def __init__(self, grid: tuple[int, int], channels: int) -> None:
        positions = grid[0] * grid[1]
        self.count = np.zeros(positions, np.float32)
        self.sum = np.zeros((positions, channels), np.float32)
        self.squares = np.zeros((positions, channels, channels), np.float32)
        self.origin: Floats | None = None

    def add(self, x: Floats, inside: Floats) -> None:
        """Add features [n, C, h, w] where `inside` [n, h * w] is 1."""
        flat = x.reshape(*x.shape[:2], -1).transpose(2, 0, 1)  # position, image, channel
        weight = inside.T[..., None]
        if self.origin is None:
            # A mean to start from keeps the float32 sums of squares small.
            self.origin = flat.mean(1, keepdims=True)
        centred = np.ascontiguousarray((flat - self.origin) * weight)
        self.count += inside.sum(0)
        self.sum += centred.sum(1)
        for start in range(0, len(centred), POSITIONS_AT_ONCE):  # few enough to stay in the cache
            some = slice(start, start + POSITIONS_AT_ONCE)
            self.squares[some] += centred[some].transpose(0, 2, 1) @ centred[some]

    def whitening(self, prior: float, regularization: float) -> tuple[Floats, Floats]:
        """Mean [P, C] and lower triangle W [P, C, C]: |W (x - mean)| is the Mahalanobis distance.

        The covariance is (scatter + prior * pooled) / (count + prior), plus a share of the mean
        pooled variance on the diagonal; a position without images has the pooled one.
        """
        assert self.origin is not None
        count = self.count[:, None]
        total = self.count.sum()
        overall = self.sum.sum(0) / total
        mean = (self.sum + overall) / (count + 1)
        own = self.sum / np.maximum(count, 1)
        scatter = self.squares
        scatter -= self.sum[:, :, None] * own[:, None, :]
        pooled = scatter.sum(0, dtype=np.float64).astype(np.float32) / total
        scatter += prior * pooled
        scatter /= (count + prior)[..., None]
        channels = np.arange(len(pooled))
        variance = pooled.diagonal().mean()
        # Copies of one picture have the variance 0; any unit will do then.
        scatter[:, channels, channels] += regularization * variance if variance > 0 else 1.0
        whitening = np.empty_like(scatter)
        for start in range(0, len(scatter), 64):  # in blocks: it works on copies
            block = slice(start, start + 64)
            whitening[block] = inverse_factor(scatter[block].astype(np.float64))
        return mean + self.origin[:, 0], whitening


def inverse_factor(matrices: Doubles) -> Doubles:
    """The inverse of the lower Cholesky factor of each positive definite matrix [P, C, C].

    By halves, over all matrices at once: many times faster than one small matrix after the other.
    """
    channels = matrices.shape[1]
    if channels == 1:
        return np.asarray(1 / np.sqrt(matrices))
    half = channels // 2
    upper = inverse_factor(matrices[:, :half, :half])
    beside = matrices[:, half:, :half] @ upper.transpose(0, 2, 1)
    lower = inverse_factor(matrices[:, half:, half:] - beside @ beside.transpose(0, 2, 1))
    inverse = np.zeros_like(matrices)
    inverse[:, :half, :half], inverse[:, half:, half:] = upper, lower
    inverse[:, half:, :half] = -(lower @ beside) @ upper
    return inverse


def mahalanobis(graph: Graph, x: str, mean: Floats, whitening: Floats) -> str:
    """Distance [n, P] of the features x [n, C, h, w] at every position, per root of C channels.

    `whitening` [P, C, C] is lower triangular.
    """
    channels = mean.shape[1]
    flat = graph.add("Reshape", x, graph.constant(np.array([0, 0, -1])))
    rows = graph.add("Transpose", flat, perm=[2, 0, 1])  # position, image, channel
    centred = graph.add("Sub", rows, graph.constant(mean[:, None]))
    zero, last = graph.constant(np.array([0])), graph.constant(np.array([2]))
    parts = []
    # Nothing lies right of the diagonal: by blocks of rows, a third less is read for each image.
    for rows_of_block in np.array_split(np.arange(channels), TRIANGLE_BLOCKS):
        stop = int(rows_of_block[-1]) + 1
        before = graph.add("Slice", centred, zero, graph.constant(np.array([stop])), last)
        block = whitening[:, rows_of_block, :stop].transpose(0, 2, 1) / np.sqrt(channels)
        # Half precision halves the file; the runtime widens it once, when the model is opened.
        parts.append(graph.add("MatMul", before, graph.widen(block.astype(np.float16))))
    white = graph.add("Concat", *parts, axis=2)
    distance = graph.add("ReduceL2", white, axes=[2], keepdims=0)
    return graph.add("Transpose", distance, perm=[1, 0])
