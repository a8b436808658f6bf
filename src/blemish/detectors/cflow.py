"""CFlow: a normalising flow per scale, told the position (Gudovskiy et al., WACV 2022).

Each scale's flow turns the features of one cell (a "fiber") into standard normal ones, on the
condition of a code of the cell's position; a cell is anomalous when it is unlikely where it lies.

Departures from the paper in both presets: what normalises a map is fixed when fitting, from
training images, where the reference takes the maximum over the whole test set; a step draws as many
fibers from every scale; the cosine of the learning rate runs over steps; maps are resized with the
cells' centres aligned, not their corners.

Departures of `cpu`: the bundled backbone, three of its layers at two strides; fewer blocks and
steps, at a higher rate, on larger batches; channels in units of their spread, which a short
training cannot learn; a map of log-likelihoods, in units of their spread, since the likelihood of
all bad defects is 0; a coarser map, and the mean of its largest values as the score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from blemish.dataset import Dataset
from blemish.detectors._affine_coupling import coupling
from blemish.detectors._position_code import position_code
from blemish.detectors.base import FitContext, FittedDetector, need_images
from blemish.detectors.embedding import Embedding, cells_inside
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
from blemish.features.backbone import BUNDLED
from blemish.features.feature_stream import Batch
from blemish.features.feature_table import FeatureTable
from blemish.features.session import open_session
from blemish.graph import blocks
from blemish.graph.builder import Graph, feature_model
from blemish.util.settings import setting

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Shapes = dict[str, tuple[int, int, int]]

CLAMP = 1.9  # of the log of a block's scale
WARM = 2 / 25  # of the steps
COLDEST = 1e-3  # of the highest rate
LEAST_SPREAD = 0.01  # of log-likelihoods, in nats per channel
SOME_CROPS = 64  # spread over the training set, for the constants
RESERVE = 4.0  # seconds, for the constants and the graph


@dataclass(frozen=True)
class Cflow:
    """Settings of CFlow.

    Attributes:
        backbone: Name of the backbone that computes the features.
        layers: Names of its layers that are read, each by a flow.
        blocks: Number of coupling blocks of each flow.
        code: Length of the code of a position.
        steps: Number of training steps.
        rate: Learning rate of Adam, at its highest.
        batch: How many inputs of the model each step learns from.
        fibers: How many of their cells a step takes, of each scale.
        standardise: Channels are first brought to mean 0 and deviation 1 over training images.
        logarithm: The map is of log-likelihoods, not of likelihoods.
        grid_stride: Side of a cell of the map.
        top: The score is the mean of so many of the map's largest cells.
    """

    trained_in_steps: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "cpu": {},  # the defaults
        "paper": {
            "backbone": "wide_resnet50_2.tv_in1k",
            "layers": ("layer2", "layer3", "layer4"),
            "blocks": 8,
            "steps": 160_000,  # 200 epochs of 200 images, in fibers of layer2
            "rate": 2e-4,
            "batch": 32,
            "fibers": 256,
            "standardise": False,
            "logarithm": False,
            "grid_stride": 1,
            "top": 1,
        },
    }
    quick_settings: ClassVar[dict[str, str]] = {
        "blocks": "2",
        "steps": "60",
        "fibers": "256",
        "code": "16",
    }

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block10", "block14", "block15")
    blocks: int = setting(4, unit="blocks", least=1)
    code: int = setting(128, unit="channels", least=4, multiple=4)
    steps: int = setting(700, unit="steps", least=1)
    rate: float = setting(3e-3, unit="factor", least=0)
    batch: int = setting(16, unit="inputs", least=1, formerly="crops")
    fibers: int = setting(512, unit="cells", least=1)
    standardise: bool = True
    logarithm: bool = True
    grid_stride: int = setting(8, unit="pixels", least=1)
    top: int = setting(3, unit="cells", least=1)

    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        """Train the flows on cached features, then fix what normalises their maps."""
        need_images(data)
        seed = context.seed
        embedding = Embedding.of(context.features, self.grid_stride, 1)
        shapes, grid, size = embedding.layers, embedding.grid, embedding.size
        with read_table(data, context) as table:
            with seeded(seed):
                flows = Flows(shapes, self.blocks, self.code)
            if self.standardise:
                flows.standardise(table, size)
            flows.to(DEVICE)

            def loss(step: int) -> torch.Tensor:
                batch = table.take(shuffled(len(table), self.batch, step, seed))
                return flows.loss(batch, size, self.fibers)

            facts = Training(self.steps, context, RESERVE).run(
                flows,
                [torch.optim.Adam(flows.parameters(), self.rate)],
                loss,
                rate=lambda step: warm_cosine(step / self.steps),
            )
            units = [Unit.of(values) for values in log_likelihoods(flows, shapes, table, size)]

        def map_(graph: Graph) -> str:
            each = add_network(graph, flows, shapes)
            maps = [
                (unit.unlikely(graph, likelihood, self.logarithm), (1, *shape[1:]))
                for unit, likelihood, shape in zip(units, each, shapes.values(), strict=True)
            ]
            stacked = blocks.embed(graph, maps, grid)
            return graph.add("ReduceSum", stacked, graph.constant(np.array([1])), keepdims=0)

        return with_map(context.features, grid, map_, top=self.top, facts=facts)


class ScaleFlow(nn.Module):
    """The flow of one scale, of features [n, C, h, w]."""

    codes: torch.Tensor
    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self, shape: tuple[int, int, int], count: int, code: int) -> None:
        super().__init__()
        self.channels, height, width = shape
        self.blocks = nn.ModuleList(
            coupling(shape[:1], subnet, condition=code, clamp=CLAMP, soft=True)
            for _ in range(count)
        )
        codes = position_code(height, width, code).reshape(code, -1).T
        self.register_buffer("codes", torch.from_numpy(np.ascontiguousarray(codes)))
        self.register_buffer("mean", torch.zeros(self.channels))
        self.register_buffer("spread", torch.ones(self.channels))

    def log_likelihood(self, fibers: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Of fibers [k, C] with codes [k, P], per channel: [k]."""
        z, log_det = (fibers - self.mean) / self.spread, torch.zeros(())
        for block in self.blocks:
            (z,), of_block = block([z], [codes])
            log_det = log_det + of_block
        normal = -0.5 * (self.channels * math.log(2 * math.pi) + z.square().sum(1))
        return (normal + log_det) / self.channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log-likelihoods [n, 1, h, w] of features [n, C, h, w]."""
        fibers = x.flatten(2).transpose(1, 2).reshape(-1, self.channels)
        codes = self.codes.repeat(x.shape[0], 1)
        return self.log_likelihood(fibers, codes).reshape(-1, 1, *x.shape[2:])


def subnet(inputs: int, outputs: int) -> nn.Module:
    """What a block computes its scale and shift with."""
    return nn.Sequential(nn.Linear(inputs, 2 * inputs), nn.ReLU(), nn.Linear(2 * inputs, outputs))


class Flows(nn.Module):
    """A flow per scale, in the order of the layers."""

    def __init__(self, shapes: Shapes, count: int, code: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(ScaleFlow(shape, count, code) for shape in shapes.values())

    @property
    def flows(self) -> list[ScaleFlow]:
        """One per scale."""
        return cast("list[ScaleFlow]", list(self.scales))

    def forward(self, *layers: torch.Tensor) -> list[torch.Tensor]:
        """Log-likelihoods [n, 1, h, w] per scale."""
        return [flow(x) for flow, x in zip(self.flows, layers, strict=True)]

    def loss(self, batch: Batch, size: tuple[int, int], count: int) -> torch.Tensor:
        """Sum over scales of the mean of -log sigmoid(l) over `count` fibers inside the pictures.

        No scale shares a weight with another, so this is a step of its own for each.
        """
        losses = []
        for flow, x in zip(self.flows, batch.layers.values(), strict=True):
            fibers, cells = fibers_inside(x, batch.valid, size)
            drawn = torch.randperm(len(cells))[:count].numpy()
            codes = flow.codes[cells[drawn]]
            likelihood = flow.log_likelihood(to_device(fibers[drawn]), codes)
            losses.append(-nn.functional.logsigmoid(likelihood).mean())
        return torch.stack(losses).sum()

    def standardise(self, table: FeatureTable, size: tuple[int, int]) -> None:
        """Take mean and spread of every channel from some training images."""
        for flow, name in zip(self.flows, table.stream.shapes, strict=True):
            some = [
                fibers_inside(batch.layers[name], batch.valid, size)[0]
                for batch in some_batches(table)
            ]
            fibers = np.concatenate(some)
            spread = fibers.std(0)
            # No channel that hardly varies becomes all noise; if none varies, any unit will do.
            spread = np.maximum(spread, 0.01 * spread.mean()) if spread.any() else spread + 1
            flow.mean.copy_(torch.from_numpy(fibers.mean(0)))
            flow.spread.copy_(torch.from_numpy(spread))


@dataclass(frozen=True)
class Unit:
    """Mean, spread and maximum of a scale's log-likelihoods on some training images."""

    mean: float
    spread: float
    highest: float

    @classmethod
    def of(cls, values: Floats) -> Unit:
        """Of log-likelihoods, at least one; they may be all alike."""
        spread = max(float(values.std()), LEAST_SPREAD)
        return cls(float(values.mean()), spread, float(values.max()))

    def unlikely(self, graph: Graph, likelihood: str, logarithm: bool) -> str:
        """From log-likelihoods l: 1 - exp(l - max l), never below 0, or (mean l - l) / spread."""
        mean, spread, highest, zero, one = (
            graph.constant(np.array(number))
            for number in (self.mean, self.spread, self.highest, 0.0, 1.0)
        )
        if logarithm:
            return graph.add("Div", graph.add("Sub", mean, likelihood), spread)
        below = graph.add("Min", graph.add("Sub", likelihood, highest), zero)
        return graph.add("Sub", one, graph.add("Exp", below))


def log_likelihoods(
    flows: Flows, shapes: Shapes, table: FeatureTable, size: tuple[int, int]
) -> list[Floats]:
    """Those of all cells inside the pictures of some training images, per scale."""
    graph = Graph()
    outputs = add_network(graph, flows, shapes)
    session = open_session(feature_model(graph, shapes, *outputs))
    found: list[list[Floats]] = [[] for _ in outputs]
    for batch in some_batches(table):
        for values, map_ in zip(found, session.run(None, batch.layers), strict=True):
            values.append(fibers_inside(map_, batch.valid, size)[0])
    return [np.concatenate(values) for values in found]


def fibers_inside(x: Floats, valid: Floats, size: tuple[int, int]) -> tuple[Floats, Numbers]:
    """All fibers [k, C] of x [n, C, h, w] inside the pictures, and the cell of each, by number."""
    crops, cells = np.nonzero(cells_inside(valid, (x.shape[2], x.shape[3]), size))
    return x.reshape(*x.shape[:2], -1)[crops, :, cells], cells


def some_batches(table: FeatureTable) -> Iterator[Batch]:
    """The features of some crops spread over the training set, the same every time."""
    count = min(SOME_CROPS, len(table))
    crops = np.arange(count) * len(table) // count
    for start in range(0, count, 16):
        yield table.take(crops[start : start + 16])


def warm_cosine(done: float) -> float:
    """The factor of the learning rate when a share of the training is done."""
    cosine = COLDEST + (1 - COLDEST) * (1 + math.cos(math.pi * max(done, WARM))) / 2
    return cosine if done >= WARM else 0.1 + (cosine - 0.1) * done / WARM
