"""One vector per patch: the same embedding while fitting and in the finished graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blemish.detectors.base import FitContext
from blemish.errors import BlemishError
from blemish.features.feature_stream import Batch, FeatureStream
from blemish.features.session import open_session
from blemish.graph import blocks
from blemish.graph.builder import Graph, feature_model

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Embedding:
    """Layers (name -> c, h, w) averaged over pool x pool cells and stacked on one grid.

    `size` is the model's input (height, width), `grid` the cells over it.
    """

    layers: dict[str, tuple[int, int, int]]
    grid: tuple[int, int]
    size: tuple[int, int]
    pool: int

    @classmethod
    def of(cls, features: FeatureStream, stride: int, pool: int) -> Embedding:
        """The embedding of a stream's layers, a patch every `stride` pixels.

        Raises BlemishError for a stride that does not divide the model's input.
        """
        size = (features.recipe.height, features.recipe.width)
        if stride < 1 or size[0] % stride or size[1] % stride:
            raise BlemishError(
                f"grid_stride {stride} does not divide the model's input of {size[0]} x {size[1]}"
            )
        return cls(features.shapes, (size[0] // stride, size[1] // stride), size, pool)

    @property
    def channels(self) -> int:
        """Length of a patch's vector."""
        return sum(channels for channels, _, _ in self.layers.values())

    def nodes(self, graph: Graph) -> str:
        """Add the embedding's nodes to a graph; the name of its output [n, C, h, w]."""
        return blocks.embed(graph, list(self.layers.items()), self.grid, self.pool)

    def stream(
        self, features: FeatureStream, images: Sequence[Path]
    ) -> Iterator[tuple[Floats, Floats, int]]:
        """Embeddings [n, C, h, w], the share 1 or 0 of each cell [n, h * w], and the last image.

        A cell counts when the picture, not the padding, reaches into it.
        """
        embed = self.function()
        for batch in features.batches(images):
            yield *embed(batch), int(batch.image[-1])

    def read(
        self, images: Sequence[Path], context: FitContext, doing: str = "reading features"
    ) -> Iterator[tuple[Floats, Floats]]:
        """The embeddings and shares of `stream`, within the budget and with progress.

        `doing` says in both what is done with them.
        """
        done = 0
        for x, inside, image in self.stream(context.features, images):
            context.clock.check(f"{doing}, {done} of {len(images)} images done")
            yield x, inside
            done = image + 1
            context.tell(doing, done, len(images))

    def function(self) -> Callable[[Batch], tuple[Floats, Floats]]:
        """From a batch of features to embeddings [n, C, h, w] and the share of each cell."""
        graph = Graph()
        graph.add("Identity", self.nodes(graph), to="embedding")
        session = open_session(feature_model(graph, self.layers, "embedding"))

        def embed(batch: Batch) -> tuple[Floats, Floats]:
            (x,) = session.run(None, batch.layers)
            return x, cells_inside(batch.valid, self.grid, self.size)

        return embed

    def patches(self, features: FeatureStream, images: Sequence[Path]) -> Iterator[Floats]:
        """The vectors of all patches inside the pictures, [p, C] at a time."""
        for x, inside, _ in self.stream(features, images):
            yield np.ascontiguousarray(patches_inside(x, inside))


def patches_inside(x: Floats, inside: Floats) -> Floats:
    """The vectors [p, C] of the embeddings x [n, C, h, w] whose cell's share [n, h * w] is 1."""
    return x.reshape(*x.shape[:2], -1).transpose(0, 2, 1)[inside > 0]


def cells_inside(valid: Floats, grid: tuple[int, int], size: tuple[int, int]) -> Floats:
    """1.0 for cells that the box `valid` [n, 4] reaches into, else 0.0: float32 [n, h * w]."""
    step = (size[0] / grid[0], size[1] / grid[1])
    rows, columns = np.arange(grid[0]) * step[0], np.arange(grid[1]) * step[1]
    in_rows = (rows + step[0] > valid[:, 0:1]) & (rows < valid[:, 2:3])
    in_columns = (columns + step[1] > valid[:, 1:2]) & (columns < valid[:, 3:4])
    inside = in_rows[:, :, None] & in_columns[:, None, :]
    return inside.reshape(len(valid), -1).astype(np.float32)
