"""Reverse Distillation: a decoder rebuilds a teacher's features (Deng & Li, CVPR 2022).

The teacher is the frozen backbone. Its three layers are fused and squeezed into a one-class
embedding, from which a mirrored decoder rebuilds them, the deepest first. It learns that on good
parts only, so where a part is defective, teacher and decoder differ.

Departures from the paper: the map has the finest layer's grid, on which it is summed and smoothed,
instead of the image's. With `signed` (not in preset `paper`), for backbones whose layers are linear
and so of either sign: the teacher's channels are brought to mean 0 and variance 1 over the training
images, since a cosine would else see the few largest, and the decoder's outputs pass no ReLU. The
bundled backbone's preset `cpu` has one basic block per stage and far fewer steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from blemish.dataset import Dataset
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
from blemish.features.stream import Batch, FeatureStream
from blemish.features.table import FeatureTable
from blemish.graph import blocks
from blemish.graph.builder import Graph
from blemish.graph.join import join

Floats = npt.NDArray[np.float32]
Tensors = list[torch.Tensor]
Way = Literal["down", "keep", "up"]

STATISTICS_CROPS = 64  # spread over the training set, for the channels' mean and deviation
LAST_SECONDS = 2.0  # for the graph, after the last step

PRESETS: dict[str, dict[str, object]] = {
    "cpu": {},  # the defaults: the bundled backbone
    "paper": {
        "backbone": "wide_resnet50_2.tv_in1k",
        "layers": ("layer1", "layer2", "layer3"),
        "steps": 3000,  # 200 epochs of 240 images in batches of 16
        "depths": (3, 3, 4, 6),
        "bottlenecks": True,
        "signed": False,
    },
}
QUICK = {"steps": "60"}


@dataclass(frozen=True)
class ReverseDistillation:
    """Settings of Reverse Distillation.

    `layers`: three, each of twice the stride of the one before; `steps` of `batch` crops at the
    learning rate `rate`; `depths`: residual blocks in the embedding's stage and in the decoder's
    three; `bottlenecks`: blocks as in a wide ResNet-50, else of two 3 x 3 convolutions; `signed`:
    for layers of either sign; `sigma`: smoothing of the map in input pixels; `top`: the score is
    the mean of so many of the map's largest values (the paper's 1).
    """

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block2", "block4", "block10")
    steps: int = 400
    batch: int = 16
    rate: float = 0.005
    depths: tuple[int, ...] = (1, 1, 1, 1)
    bottlenecks: bool = False
    signed: bool = True
    sigma: float = 4.0
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
        """Train bottleneck and decoder on the teacher's cached features.

        Raises BlemishError for layers or a size of the input that they cannot be built on.
        """
        need_images(data)
        _check_layers(features)
        clock = Clock(budget)
        size = (features.recipe.height, features.recipe.width)
        grid = next(iter(features.shapes.values()))[1:]
        with read_table(features, data, clock, progress) as table:
            network = self._network(table, size, seed)

            def loss(step: int) -> torch.Tensor:
                batch = table.take(shuffled(len(table), self.batch, step, seed))
                return network.loss(_teacher(batch), _insides(batch, size))

            optimizer = torch.optim.Adam(network.parameters(), self.rate, betas=(0.5, 0.999))
            training = Training(self.steps, seed, clock, progress, checkpoint, LAST_SECONDS)
            facts = training.run(network, [optimizer], loss)

        def head(graph: Graph) -> tuple[str, str]:
            (raw,) = add_network(graph, network, features.shapes)
            map_ = blocks.smooth(graph, raw, self.sigma * grid[0] / size[0])
            inside = blocks.inside(graph, "valid", grid, size)
            return map_, blocks.peak(graph, map_, inside, min(self.top, grid[0] * grid[1]))

        model = join(features.backbone.path, self.layers, *size, head)
        return FittedDetector(model, *size, facts=facts)

    def _network(self, table: FeatureTable, size: tuple[int, int], seed: int) -> Distillation:
        """The network before its first step."""
        channels = [shape[0] for shape in table.stream.shapes.values()]
        raw = [(np.zeros(c, np.float32), np.ones(c, np.float32)) for c in channels]
        statistics = _statistics(table, size) if self.signed else raw
        with seeded(seed):
            return Distillation(statistics, self.depths, self.bottlenecks, self.signed).to(DEVICE)


class Distillation(nn.Module):
    """Teacher's layers E_k [n, c_k, h_k, w_k], finest first, to the anomaly map [n, h_1, w_1].

    `statistics` are mean and deviation [c_k] of the channels, which E_k is standardised with.
    """

    def __init__(
        self,
        statistics: Sequence[tuple[Floats, Floats]],
        depths: Sequence[int],
        bottlenecks: bool,
        signed: bool,
    ) -> None:
        super().__init__()
        self.signed = signed
        for k, (mean, deviation) in enumerate(statistics):
            self.register_buffer(f"mean{k}", torch.from_numpy(mean[:, None, None]))
            self.register_buffer(f"deviation{k}", torch.from_numpy(deviation[:, None, None]))
        first, second, third = (len(mean) for mean, _ in statistics)
        # Multi-scale feature fusion brings the finer layers to the deepest one's grid.
        self.fuse_first = _chain(_step(first, second, "down"), _step(second, third, "down"))
        self.fuse_second = _step(second, third, "down")
        widths = [2 * third, third, second, first]
        self.embed = _stage(3 * third, widths[0], "down", depths[0], bottlenecks)
        self.decode = nn.ModuleList(
            _stage(inputs, outputs, "up", depth, bottlenecks)
            for inputs, outputs, depth in zip(widths[:-1], widths[1:], depths[1:], strict=True)
        )

    def both(self, layers: Sequence[torch.Tensor]) -> tuple[Tensors, Tensors]:
        """The teacher's E_k and the decoder's D_k, of the same shapes, finest first."""
        teacher = [
            (layer - self.get_buffer(f"mean{k}")) / self.get_buffer(f"deviation{k}")
            for k, layer in enumerate(layers)
        ]
        first, second, third = teacher
        finer = [functional.relu(self.fuse_first(first)), functional.relu(self.fuse_second(second))]
        x, decoded = functional.relu(self.embed(torch.cat([*finer, third], 1))), []
        for stage in self.decode:
            rebuilt = stage(x)
            x = functional.relu(rebuilt)
            decoded.append(rebuilt if self.signed else x)
        return teacher, decoded[::-1]

    def loss(self, layers: Sequence[torch.Tensor], insides: Sequence[torch.Tensor]) -> torch.Tensor:
        """Sum over k of the batch's mean of 1 - cos(E_k, D_k), each flattened to one vector.

        `insides` [n, 1, h_k, w_k] are 1 where a cell counts, and 0 in the padding.
        """
        total = torch.zeros(())
        for e, d, inside in zip(*self.both(layers), insides, strict=True):
            cosine = functional.cosine_similarity((e * inside).flatten(1), (d * inside).flatten(1))
            total = total + (1 - cosine).mean()
        return total

    def forward(self, *layers: torch.Tensor) -> torch.Tensor:
        """The sum over k of 1 - cos over channels, enlarged to the finest grid."""
        maps = [
            1 - functional.cosine_similarity(e, d, dim=1)
            for e, d in zip(*self.both(layers), strict=True)
        ]
        finest = maps[0].shape[1:]
        return torch.stack([_enlarged(map_, finest) for map_ in maps]).sum(0)


class Residual(nn.Module):
    """A residual block of a ResNet without its last ReLU; [n, inputs, h, w] -> [n, outputs, ...].

    "up" mirrors the strided "down", with a transposed convolution of 2 x 2.
    """

    def __init__(self, inputs: int, outputs: int, way: Way, bottleneck: bool) -> None:
        super().__init__()
        if bottleneck:
            inner = outputs // 2  # as in wide_resnet50_2
            narrow, widen = _pointwise(inputs, inner, 1), _pointwise(inner, outputs, 1)
            self.body = _chain(narrow, _step(inner, inner, way), widen)
        else:
            self.body = _chain(_step(inputs, outputs, way), _step(outputs, outputs, "keep"))
        self.shortcut = nn.Sequential()
        if way == "down":
            self.shortcut = _pointwise(inputs, outputs, 2)
        elif way == "up":
            self.shortcut = _step(inputs, outputs, way)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum of both paths."""
        total: torch.Tensor = self.body(x) + self.shortcut(x)
        return total


def _stage(inputs: int, outputs: int, way: Way, depth: int, bottlenecks: bool) -> nn.Module:
    """`depth` residual blocks, the first of which changes channels and grid; no ReLU at the end."""
    more = (Residual(outputs, outputs, "keep", bottlenecks) for _ in range(depth - 1))
    return _chain(Residual(inputs, outputs, way, bottlenecks), *more)


def _step(inputs: int, outputs: int, way: Way) -> nn.Sequential:
    """A convolution onto a grid of half the height and width, of twice, or the same; and a BN."""
    convolution: nn.Module = nn.Conv2d(inputs, outputs, 3, 1 + (way == "down"), 1, bias=False)
    if way == "up":
        convolution = nn.ConvTranspose2d(inputs, outputs, 2, 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def _pointwise(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def _chain(*parts: nn.Module) -> nn.Sequential:
    """These one after the other, a ReLU between each two."""
    return nn.Sequential(parts[0], *(nn.Sequential(nn.ReLU(), part) for part in parts[1:]))


def _enlarged(map_: torch.Tensor, grid: Sequence[int]) -> torch.Tensor:
    """[n, h, w] -> [n, *grid], bilinear, the corners aligned."""
    large = functional.interpolate(map_[:, None], tuple(grid), mode="bilinear", align_corners=True)
    return large[:, 0]


def _statistics(table: FeatureTable, size: tuple[int, int]) -> list[tuple[Floats, Floats]]:
    """Mean and deviation [c_k] of the teacher's channels, over cells inside some of the crops."""
    some = np.linspace(0, len(table) - 1, min(len(table), STATISTICS_CROPS)).astype(int)
    batch = table.take(some)
    statistics = []
    for layer, inside in zip(batch.layers.values(), _insides(batch, size), strict=True):
        cells = layer.transpose(1, 0, 2, 3)[:, inside.cpu().numpy()[:, 0] > 0]
        deviation = cells.std(1)
        statistics.append((cells.mean(1), np.where(deviation > 0, deviation, 1).astype(np.float32)))
    return statistics


def _teacher(batch: Batch) -> Tensors:
    return [to_device(layer) for layer in batch.layers.values()]


def _insides(batch: Batch, size: tuple[int, int]) -> Tensors:
    """Per layer, 1 for the cells that the picture reaches into, else 0: [n, 1, h_k, w_k]."""
    insides = []
    for layer in batch.layers.values():
        grid = (layer.shape[2], layer.shape[3])
        inside = cells_inside(batch.valid, grid, size)
        insides.append(to_device(inside.reshape(-1, 1, *grid)))
    return insides


def _check_layers(features: FeatureStream) -> None:
    """Refuse layers that are not three of doubling strides, and a size that they do not divide."""
    strides = [layer.stride for layer in features.layers]
    if len(strides) != 3 or strides[1:] != [2 * stride for stride in strides[:-1]]:
        found = ", ".join(f"{layer.name} ({layer.stride})" for layer in features.layers)
        raise BlemishError(
            "reverse_distillation needs three layers, each of twice the stride of the one before, "
            f"such as block2,block4,block10; of {features.backbone.name} it was given: {found}"
        )
    side = 2 * strides[-1]
    if features.recipe.height % side or features.recipe.width % side:
        raise BlemishError(
            f"the embedding needs an input whose sides are multiples of {side} pixels, not "
            f"{features.recipe.height} x {features.recipe.width}"
        )
