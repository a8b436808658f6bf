"""U-Flow: a U-shaped normalising flow with a label-free threshold (Tailanian et al., JMIV 2024).

The layers pass coarse to fine through invertible stages. After each but the last, a half of the
channels goes up to the next finer layer; the rest is that scale's latent, standard normal on good
parts. The map is 1 minus the mean over the scales of exp(-z2 / 2), z2 the mean of z squared over
the channels of a cell; `aux.z0`, `aux.z1`, ... are z2, finest scale first, for the a-contrario
threshold of `calibration.a_contrario`.

Departures from the paper: the backbone is convolutional (the paper's ResNet alternative; its
CaiT-M48 is too large for a plain PC, and cannot be imported). The map is minus the log of that mean
likelihood: it ranks cells alike, but does not run into 1 where a defect is strong. In `cpu` the
score is the mean of the 10 largest cells, and the features are standardised by their moments over
training pictures, not by a trained layer normalisation. Training ends after `steps`, where the
official code keeps the best step on the test set. The official code (AGPL-3.0) was not read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from blemish.dataset import Dataset
from blemish.detectors._affine_coupling import Subnet, coupling
from blemish.detectors._standardisation import Standard, standardise
from blemish.detectors.base import FitContext, FittedDetector, need_images
from blemish.detectors.head import with_map
from blemish.detectors.network import (
    DEVICE,
    Training,
    add_network,
    read_table,
    seeded,
    shuffled,
    to_device,
)
from blemish.errors import BlemishError
from blemish.features.backbone import BUNDLED
from blemish.features.feature_stream import FeatureStream
from blemish.graph import blocks
from blemish.graph.builder import Graph
from blemish.util.settings import setting

Floats = npt.NDArray[np.float32]
Shape = tuple[int, int, int]

KERNELS = (3, 1, 3, 1)  # of the blocks of a stage
CLAMP = 2.0
LAST_RATE = 0.4  # of the learning rate, at the last step
RESERVE = 4.0  # seconds to write the graph


@dataclass(frozen=True)
class UFlow:
    """Settings of U-Flow.

    Attributes:
        backbone: Name of the backbone that computes the features.
        layers: Names of its layers that are read, from fine to coarse, each of twice the
            stride of the one before.
        hidden_share: Hidden channels of the blocks' networks, as a share of those that enter.
        layer_norm: A trained layer normalisation of each layer; else layers are standardised by
            their moments over training images.
        steps: Number of training steps.
        batch: How many inputs of the model each step learns from.
        rate: Learning rate of Adam, which falls linearly to 0.4 of it.
        top: The score is the mean of so many of the map's largest cells.
    """

    trained_in_steps: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "cpu": {},  # the defaults
        "paper": {
            "backbone": "wide_resnet50_2.tv_in1k",
            "layers": ("layer1", "layer2", "layer3"),
            "layer_norm": True,
            "top": 1,
            "steps": 4000,  # about 200 epochs of 320 images
            "hidden_share": 1.0,
            "rate": 1e-4,
        },
    }
    quick_settings: ClassVar[dict[str, str]] = {
        "layers": "block4,block10",
        "steps": "30",
        "batch": "8",
    }

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10", "block14")
    hidden_share: float = setting(1.0, unit="share", least=0, formerly="width")
    layer_norm: bool = False
    steps: int = setting(100, unit="steps", least=1)
    batch: int = setting(16, unit="inputs", least=1)
    rate: float = setting(2e-3, unit="factor", least=0)
    top: int = setting(10, unit="cells", least=1)

    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        """Train the flow on the cached features."""
        need_images(data)
        features, seed = context.features, context.seed
        _need_pyramid(features)
        size = (features.recipe.height, features.recipe.width)
        with seeded(seed):
            flow = UShapedFlow(list(features.shapes.values()), self.hidden_share, self.layer_norm)
        with read_table(data, context) as table:
            if not self.layer_norm:
                standardise(flow.norms, table, size)
            flow.to(DEVICE)
            adam = torch.optim.Adam(flow.parameters(), self.rate, weight_decay=1e-5)

            def loss(step: int) -> torch.Tensor:
                batch = table.take(shuffled(len(table), self.batch, step, seed))
                x = flow.normalised([to_device(layer) for layer in batch.layers.values()])
                latents, log_det = flow.latents(*inside_all(x, batch.valid, size))
                energy = torch.stack([z.square().sum((1, 2, 3)) / 2 for z in latents]).sum(0)
                return (energy - log_det).mean()

            facts = Training(self.steps, context, RESERVE).run(
                flow, [adam], loss, rate=lambda step: 1 - (1 - LAST_RATE) * step / self.steps
            )

        grids = [shape[1:] for shape in features.shapes.values()]

        def map_(graph: Graph) -> str:
            energies = add_network(graph, flow, features.shapes)
            for number, energy in enumerate(energies):
                graph.add("Identity", energy, to=f"aux.z{number}")
            return over_scales(graph, energies, grids)

        channels = {f"aux.z{number}": count for number, count in enumerate(flow.channels)}
        facts["latent_channels"] = channels
        return with_map(features, grids[0], map_, top=self.top, facts=facts)


class UShapedFlow(nn.Module):
    """The U-shaped flow over layers of `shapes`, fine to coarse; `channels` of each latent."""

    def __init__(self, shapes: Sequence[Shape], hidden_share: float, layer_norm: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList(
            nn.LayerNorm(shape) if layer_norm else Standard(shape) for shape in shapes
        )
        self.stages = nn.ModuleList()  # coarse to fine
        self.up: list[int] = []  # channels that go up after each of them
        self.channels: list[int] = []
        for number, (channels, *grid) in enumerate(reversed(shapes), 1):
            total = channels + (self.up[-1] // 4 if self.up else 0)
            self.stages.append(nn.ModuleList(_stage([total, *grid], hidden_share)))
            self.up.append(total // 8 * 4 if number < len(shapes) else 0)
            self.channels.insert(0, total - self.up[-1])

    def latents(self, *layers: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Every scale's z [n, c, h, w], fine to coarse, and log det J [n], of normalised layers."""
        found: list[torch.Tensor] = []
        total = torch.zeros((), device=layers[0].device)
        carried: list[torch.Tensor] = []
        for x, stage, up in zip(reversed(layers), self.stages, self.up, strict=True):
            x = torch.cat([x, *carried], dim=1)
            for block in stage.children():
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


def _stage(shape: Sequence[int], hidden_share: float) -> list[nn.Module]:
    def subnet(kernel: int) -> Subnet:
        def convolutions(inputs: int, outputs: int) -> nn.Module:
            hidden = max(1, round(hidden_share * inputs))
            return nn.Sequential(
                nn.Conv2d(inputs, hidden, kernel, padding="same"),
                nn.ReLU(),
                nn.Conv2d(hidden, outputs, kernel, padding="same"),
            )

        return convolutions

    return [coupling(shape, subnet(kernel), clamp=CLAMP, soft=False) for kernel in KERNELS]


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


def over_scales(graph: Graph, energies: Sequence[str], grids: Sequence[blocks.Grid]) -> str:
    """Minus the log of the mean over the scales of exp(-z2 / 2), on the finest grid [n, h, w]."""
    stacked = []
    for energy, grid in zip(energies, grids, strict=True):
        x = graph.add("Unsqueeze", energy, graph.constant(np.array([1])))
        stacked.append(x if grid == grids[0] else blocks.resize(graph, x, grid, grids[0]))
    x = graph.add("Concat", *stacked, axis=1)
    logs = graph.add("Mul", x, graph.constant(np.array(-0.5)))
    total = graph.add("ReduceLogSumExp", logs, axes=[1], keepdims=0)
    return graph.add("Sub", graph.constant(np.array(math.log(len(stacked)))), total)


def _need_pyramid(features: FeatureStream) -> None:
    """Refuse layers that are no pyramid."""
    strides = [layer.stride for layer in features.layers]
    if any(coarse != 2 * fine for fine, coarse in itertools.pairwise(strides)):
        raise BlemishError(
            f"U-Flow needs layers from fine to coarse, each with twice the stride of the one before"
            f"; {', '.join(features.shapes)} have the strides {', '.join(map(str, strides))}"
        )
