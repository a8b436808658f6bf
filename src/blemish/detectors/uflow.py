"""U-Flow: a U-shaped normalising flow with a label-free threshold (Tailanian et al., JMIV 2024).

The layers pass coarse to fine through invertible stages. After each but the last, a half of the
channels goes up to the next finer layer; the rest is that scale's latent, standard normal on good
parts. The map is 1 minus the mean over the scales of exp(-z2 / 2), z2 the mean of z squared over
the channels of a cell; `aux.z0`, `aux.z1`, ... are z2, finest scale first, for the a-contrario
threshold of `calibration.a_contrario`.

Departures from the paper: the backbone is convolutional (its ResNet alternative; its CaiT-M48 is
out of reach of a plain PC and is not importable). The map and the score are minus the log of the
mean likelihood, which ranks cells as the paper's map does, but does not run into 1 where a defect
is strong; the likelihoods are interpolated as logs. `cpu` standardises the features by their
moments over the training pictures instead of a trained layer normalisation. Training ends after
`steps`, where the official code stops at its best step on the test set. The official code is under
the AGPL and was not read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from blemish.dataset import Dataset
from blemish.detectors._coupling import Subnet, coupling
from blemish.detectors._embedding import cells_inside
from blemish.detectors._network import (
    DEVICE,
    Training,
    add_network,
    read_table,
    seeded,
    shuffled,
    to_device,
)
from blemish.detectors.base import Clock, FittedDetector, ShowProgress, need_images
from blemish.errors import BlemishError
from blemish.features.backbone import BUNDLED
from blemish.features.stream import FeatureStream
from blemish.features.table import FeatureTable
from blemish.graph import blocks
from blemish.graph.builder import Graph
from blemish.graph.join import join

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Shape = tuple[int, int, int]

KERNELS = (3, 1, 3, 1)  # of the blocks of a stage
CLAMP = 2.0
LAST_RATE = 0.4  # of the learning rate, at the last step
STATISTICS_CROPS = 128  # crops, spread over the training, whose moments standardise the features
LEAST_VARIANCE = 1e-4  # of the mean over the channels, for every channel
PRIOR = 100.0  # crops that a channel's pooled variance counts for at every position
RESERVE = 4.0  # seconds to write the graph

PRESETS: dict[str, dict[str, object]] = {
    "cpu": {},  # the defaults: the bundled backbone
    "paper": {
        "backbone": "wide_resnet50_2.tv_in1k",
        "layers": ("layer1", "layer2", "layer3"),
        "layer_norm": True,
        "steps": 8000,
        "width": 1.0,
        "rate": 1e-4,
    },
}
QUICK = {"layers": "block4,block10", "steps": "30", "batch": "8"}


@dataclass(frozen=True)
class UFlow:
    """Settings of U-Flow.

    `layers` go from fine to coarse, each stride twice the one before; `width`: hidden channels of
    the blocks' networks, as a share of those that enter; `layer_norm`: a trained layer
    normalisation of each layer, as in the paper; `rate`: Adam's learning rate, which falls linearly
    to 0.4 of it; `top`: the score is the mean of so many of the map's largest values.
    """

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block2", "block4", "block10")
    width: float = 1.0
    layer_norm: bool = False
    steps: int = 200
    batch: int = 16
    rate: float = 1e-3
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
        """Train the flow on the cached features."""
        need_images(data)
        _need_pyramid(features)
        clock = Clock(budget)
        size = (features.recipe.height, features.recipe.width)
        with seeded(seed):
            flow = Flow(list(features.shapes.values()), self.width, self.layer_norm)
        with read_table(features, data, clock, progress) as table:
            if not self.layer_norm:
                _standardise(flow, table, size)
            flow.to(DEVICE)
            adam = torch.optim.Adam(flow.parameters(), self.rate, weight_decay=1e-5)

            def loss(step: int) -> torch.Tensor:
                batch = table.take(shuffled(len(table), self.batch, step, seed))
                x = flow.normalised([to_device(layer) for layer in batch.layers.values()])
                latents, log_det = flow.latents(*inside_all(x, batch.valid, size))
                energy = torch.stack([z.square().sum((1, 2, 3)) / 2 for z in latents]).sum(0)
                return (energy - log_det).mean()

            training = Training(self.steps, seed, clock, progress, checkpoint, RESERVE)
            facts = training.run(
                flow, [adam], loss, rate=lambda step: 1 - (1 - LAST_RATE) * step / self.steps
            )

        def head(graph: Graph) -> tuple[str, str]:
            energies = add_network(graph, flow, features.shapes)
            for number, energy in enumerate(energies):
                graph.add("Identity", energy, to=f"aux.z{number}")
            grids = [shape[1:] for shape in features.shapes.values()]
            map_ = surprise(graph, energies, grids)
            inside = blocks.inside(graph, "valid", grids[0], size)
            return map_, blocks.peak(graph, map_, inside, min(self.top, math.prod(grids[0])))

        model = join(features.backbone.path, self.layers, *size, head)
        channels = {f"aux.z{number}": count for number, count in enumerate(flow.channels)}
        return FittedDetector(model, *size, facts={**facts, "latent_channels": channels})


class Flow(nn.Module):
    """The U-shaped flow over layers of `shapes`, fine to coarse; `channels` of each latent."""

    def __init__(self, shapes: Sequence[Shape], width: float, layer_norm: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList(
            nn.LayerNorm(shape) if layer_norm else Standard(shape) for shape in shapes
        )
        self.stages = nn.ModuleList()  # coarse to fine
        self.up: list[int] = []  # channels that go up after each of them
        self.channels: list[int] = []
        for number, (channels, *grid) in enumerate(reversed(shapes), 1):
            total = channels + (self.up[-1] // 4 if self.up else 0)
            self.stages.append(nn.ModuleList(_stage((total, *grid), width)))
            self.up.append(total // 8 * 4 if number < len(shapes) else 0)
            self.channels.insert(0, total - self.up[-1])

    def latents(self, *layers: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Every scale's z [n, c, h, w], fine to coarse, and log det J [n], of normalised layers."""
        found: list[torch.Tensor] = []
        total = torch.zeros((), device=layers[0].device)
        carried: list[torch.Tensor] = []
        for x, stage, up in zip(reversed(layers), self.stages, self.up, strict=True):
            x = torch.cat([x, *carried], dim=1)
            for block in stage:
                (x,), log_det = block([x])
                total = total + log_det
            carried = [functional.pixel_shuffle(x[:, :up], 2)] if up else []
            found.insert(0, x[:, up:])
        return found, total

    def normalised(self, layers: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The layers as they enter the flow."""
        return [norm(layer) for norm, layer in zip(self.norms, layers, strict=True)]

    def forward(self, *layers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Every scale's z2 [n, h, w], fine to coarse, of the backbone's layers."""
        latents, _ = self.latents(*self.normalised(layers))
        return tuple(z.square().mean(1) for z in latents)


class Standard(nn.Module):
    """Each channel at each position, less its mean over training pictures, by its deviation."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised x [n, C, H, W]."""
        return (x - self.mean) / self.deviation

    def learn(self, count: Doubles, sums: Doubles, squares: Doubles) -> None:
        """Take over the moments of `count` [H, W] pictures, sums over them [C, H, W].

        A position's variance is shrunk towards the channel's mean one over all positions.
        """
        middle = sums.sum((1, 2)) / count.sum()
        mean = (sums + middle[:, None, None]) / (count + 1)
        scatter = np.maximum(squares - 2 * mean * sums + count * mean**2, 0)
        pooled = scatter.sum((1, 2), keepdims=True) / count.sum()
        variance = (scatter + PRIOR * pooled) / (count + PRIOR)
        usual = float(pooled.mean())
        # A channel that never changes tells nothing; copies of one picture have no scale at all.
        variance += LEAST_VARIANCE * usual if usual > 0 else 1.0
        self.mean.copy_(torch.from_numpy(mean))
        self.deviation.copy_(torch.from_numpy(np.sqrt(variance)))


def _stage(shape: Shape, width: float) -> list[nn.Module]:
    def subnet(kernel: int) -> Subnet:
        def convolutions(inputs: int, outputs: int) -> nn.Module:
            hidden = max(1, round(width * inputs))
            return nn.Sequential(
                nn.Conv2d(inputs, hidden, kernel, padding="same"),
                nn.ReLU(),
                nn.Conv2d(hidden, outputs, kernel, padding="same"),
            )

        return convolutions

    return [coupling(shape, subnet(kernel), clamp=CLAMP, soft=False) for kernel in KERNELS]


def _standardise(flow: Flow, table: FeatureTable, size: tuple[int, int]) -> None:
    """Learn the moments of every layer from crops spread over the training."""
    some = np.unique(np.linspace(0, len(table) - 1, STATISTICS_CROPS).astype(np.int64))
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
    for norm, (count, first, second) in zip(flow.norms, sums, strict=True):
        assert isinstance(norm, Standard)
        norm.learn(count[0], first, second)


def inside_all(
    layers: Sequence[torch.Tensor], valid: Floats, size: tuple[int, int]
) -> list[torch.Tensor]:
    """The layers, fine to coarse, cut to the cells that lie inside of every picture of a batch.

    Pictures lie at the top left. Only what the padding shares a coarsest cell with is learnt of it.
    """
    rows, columns = layers[-1].shape[2:]
    bottom = math.ceil(valid[:, 2].min() * rows / size[0])
    right = math.ceil(valid[:, 3].min() * columns / size[1])
    doublings = [2 ** (len(layers) - 1 - number) for number in range(len(layers))]
    return [
        layer[:, :, : bottom * times, : right * times]
        for layer, times in zip(layers, doublings, strict=True)
    ]


def surprise(graph: Graph, energies: Sequence[str], grids: Sequence[blocks.Grid]) -> str:
    """Minus the log of the mean over the scales of exp(-z2 / 2), on the finest grid [n, h, w]."""
    one = graph.constant(np.array([1]))
    logs = []
    for energy, grid in zip(energies, grids, strict=True):
        x = graph.add("Unsqueeze", energy, one)
        if grid != grids[0]:
            x = blocks.resize(graph, x, grid, grids[0])
        logs.append(graph.add("Mul", x, graph.constant(np.array(-0.5))))
    total = graph.add("ReduceLogSumExp", graph.add("Concat", *logs, axis=1), axes=[1], keepdims=0)
    return graph.add("Sub", graph.constant(np.array(math.log(len(logs)))), total)


def _need_pyramid(features: FeatureStream) -> None:
    """Refuse layers that are no pyramid."""
    strides = [layer.stride for layer in features.layers]
    if any(coarse != 2 * fine for fine, coarse in itertools.pairwise(strides)):
        raise BlemishError(
            f"U-Flow needs layers from fine to coarse, each with twice the stride of the one before"
            f"; {', '.join(features.shapes)} have the strides {', '.join(map(str, strides))}"
        )
