"""Features standardised by training pictures: a mean per position, a deviation per channel."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from blemish.detectors.embedding import cells_inside
from blemish.detectors.network import spread_out
from blemish.features.feature_table import FeatureTable

Doubles = npt.NDArray[np.float64]

CROPS = 128  # spread over the training, whose moments are taken
LEAST_VARIANCE = 1e-4  # of the mean over the channels, for every channel


class Standard(nn.Module):
    """Each channel at each position, less its mean there, by the channel's deviation from it."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape[0], 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised x [n, C, H, W]."""
        return (x - self.mean) / self.deviation

    def learn(self, count: Doubles, sums: Doubles, squares: Doubles) -> None:
        """Take over the moments of `count` [H, W] pictures, sums over them [C, H, W].

        One deviation serves all positions: with one for each, the faint noise of a dark background
        would count as much as the part does.
        """
        middle = sums.sum((1, 2)) / count.sum()
        mean = (sums + middle[:, None, None]) / (count + 1)
        scatter = np.maximum(squares - 2 * mean * sums + count * mean**2, 0)
        variance = scatter.sum((1, 2), keepdims=True) / count.sum()
        usual = float(variance.mean())
        # A channel that never changes tells nothing; copies of one picture have no scale at all.
        variance += LEAST_VARIANCE * usual if usual > 0 else 1.0
        self.mean.copy_(torch.from_numpy(mean))
        self.deviation.copy_(torch.from_numpy(np.sqrt(variance)))


def standardise(norms: Iterable[nn.Module], table: FeatureTable, size: tuple[int, int]) -> None:
    """Let the norm of each layer learn its moments; `size` is the model's input."""
    some = spread_out(len(table), CROPS)
    shapes = table.stream.shapes
    sums = [np.zeros((3, *shape)) for shape in shapes.values()]
    for start in range(0, len(some), 16):
        batch = table.take(some[start : start + 16])
        for total, (name, (_, *grid)) in zip(sums, shapes.items(), strict=True):
            inside = cells_inside(batch.valid, (grid[0], grid[1]), size).reshape(-1, 1, *grid)
            x = batch.layers[name].astype(np.float64)
            total += [
                np.broadcast_to(inside, x.shape).sum(0),
                (x * inside).sum(0),
                (x * x * inside).sum(0),
            ]
    for norm, (count, first, second) in zip(norms, sums, strict=True):
        assert isinstance(norm, Standard)
        norm.learn(count[0], first, second)
