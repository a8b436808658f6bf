"""Reverse Distillation: a decoder rebuilds a teacher's features (Deng & Li, CVPR 2022).

The teacher is the frozen backbone. Its three layers are fused and squeezed into a one-class
embedding, from which a mirrored decoder rebuilds them, the deepest first. It learns that on good
parts only, so where a part is defective, teacher and decoder differ.

Departures from the paper: the map has the finest layer's grid, on which it is summed and smoothed,
instead of the image's. Those that preset `paper` undoes: `standardised`, for layers without a ReLU,
brings the teacher's channels to mean 0 and variance 1 over training images, and the decoder's
outputs pass no ReLU either; `balanced` divides each scale's map by its mean on training images, so
that the noisiest does not rule the sum; preset `cpu` takes the bundled backbone's layers of strides
8 to 32, an embedding half as wide, one basic block per stage and far fewer steps.
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

STATISTICS_CROPS = 64  # spread over the training set, for what is fixed by statistics
LAST_SECONDS = 3.0  # for the scales' means and the graph, after the last step

PRESETS: dict[str, dict[str, object]] = {
    "cpu": {},  # the defaults: the bundled backbone
    "paper": {
        "backbone": "wide_resnet50_2.tv_in1k",
        "layers": ("layer1", "layer2", "layer3"),
        "steps": 3000,  # 200 epochs of 240 images in batches of 16
        "depths": (3, 3, 4, 6),
        "embedding": 2.0,
        "bottlenecks": True,
        "standardised": False,
        "balanced": False,
    },
}
QUICK = {"steps": "60", "embedding": "1/4", "batch": "8"}


@dataclass(frozen=True)
class ReverseDistillation:
    """Settings of Reverse Distillation.

    `layers`: three, each of twice the stride of the one before; `steps` of `batch` crops at the
    learning rate `rate`; `embedding`: its channels, times those of the deepest layer; `depths`:
    residual blocks in its stage and in the decoder's three; `bottlenecks`: blocks as in a wide
    ResNet-50, else of two 3 x 3 convolutions; `standardised` and `balanced` as above; `sigma`:
    smoothing of the map in input pixels; `top`: the score is the mean of so many of the map's
    largest values (the paper's 1).
    """

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10", "block14")
    steps: int = 400
    batch: int = 16
    rate: float = 0.005
    embedding: float = 1.0
    depths: tuple[int, ...] = (1, 1, 1, 1)
    bottlenecks: bool = False
    standardised: bool = True
    balanced: bool = True
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
        self._check(features)
        clock = Clock(budget)
        size = (features.recipe.height, features.recipe.width)
        grid = next(iter(features.shapes.values()))[1:]
        with read_table(features, data, clock, progress) as table:
            network = self._network(table, size, seed)

            def loss(step: int) -> torch.Tensor:
                batch = table.take(shuffled(len(table), self.batch, step, seed))
                return network.loss(*_tensors(batch, size))

            optimizer = torch.optim.Adam(network.parameters(), self.rate, betas=(0.5, 0.999))
            training = Training(self.steps, seed, clock, progress, checkpoint, LAST_SECONDS)
            facts = training.run(network, [optimizer], loss)
            if self.balanced:
                network.units.copy_(_mean_maps(network, table, size))

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
        with seeded(seed):
            network = Distillation(channels, self)
        if self.standardised:
            _standardise(network.to(DEVICE), table, size)
        return network.to(DEVICE)

    def _check(self, features: FeatureStream) -> None:
        """Refuse layers, depths, a batch or a size of the input that do not fit the networks."""
        strides = [layer.stride for layer in features.layers]
        if len(strides) != 3 or strides[1:] != [2 * stride for stride in strides[:-1]]:
            found = ", ".join(f"{layer.name} ({layer.stride})" for layer in features.layers)
            raise BlemishError(
                "reverse_distillation needs three layers, each of twice the stride of the one "
                f"before, such as block4,block10,block14; of {features.backbone.name} it was "
                f"given, with their strides: {found}"
            )
        if len(self.depths) != 4 or min(self.depths) < 1 or self.batch < 2 or self.embedding == 0:
            raise BlemishError(
                "reverse_distillation needs four depths of 1 or more, a batch of 2 or more and an "
                "embedding above 0"
            )
        side, height, width = 2 * strides[-1], features.recipe.height, features.recipe.width
        if height % side or width % side:
            raise BlemishError(
                f"reverse_distillation with layer {self.layers[-1]} needs an input whose sides are "
                f"multiples of {side} pixels, not {height} x {width}"
            )


class Distillation(nn.Module):
    """Teacher's layers E_k [n, c_k, h_k, w_k], finest first, to the anomaly map [n, h_1, w_1].

    `standards` are BNs of the teacher's channels, identities at first, that training leaves alone;
    `units` divide the scales' maps.
    """

    units: torch.Tensor

    def __init__(self, channels: Sequence[int], settings: ReverseDistillation) -> None:
        super().__init__()
        first, second, third = channels
        self.linear = settings.standardised
        self.standards = nn.ModuleList(
            nn.BatchNorm2d(c, momentum=1.0, affine=False) for c in channels
        )
        # Multi-scale feature fusion brings the finer layers to the deepest one's grid.
        self.fuse_first = _chain(_step(first, second, "down"), _step(second, third, "down"))
        self.fuse_second = _step(second, third, "down")
        widths = [max(1, round(settings.embedding * third)), third, second, first]
        one_class, *decoder = settings.depths
        self.embed = _stage(3 * third, widths[0], "down", one_class, settings.bottlenecks)
        self.decode = nn.ModuleList(
            _stage(inputs, outputs, "up", depth, settings.bottlenecks)
            for inputs, outputs, depth in zip(widths[:-1], widths[1:], decoder, strict=True)
        )
        self.register_buffer("units", torch.ones(3))

    def train(self, mode: bool = True) -> Distillation:
        """As of any module; but the teacher's standards stay."""
        super().train(mode)
        self.standards.eval()
        return self

    def both(self, layers: Sequence[torch.Tensor]) -> tuple[Tensors, Tensors]:
        """The teacher's E_k and the decoder's D_k, of the same shapes, finest first."""
        teacher = [one(layer) for one, layer in zip(self.standards, layers, strict=True)]
        first, second, third = teacher
        finer = [functional.relu(self.fuse_first(first)), functional.relu(self.fuse_second(second))]
        x, decoded = functional.relu(self.embed(torch.cat([*finer, third], 1))), []
        for stage in self.decode:
            rebuilt = stage(x)
            x = functional.relu(rebuilt)
            decoded.append(rebuilt if self.linear else x)
        return teacher, decoded[::-1]

    def loss(self, layers: Sequence[torch.Tensor], insides: Sequence[torch.Tensor]) -> torch.Tensor:
        """Sum over k of the batch's mean of 1 - cos(E_k, D_k), each flattened to one vector.

        `insides` [n, 1, h_k, w_k] are 1 where a cell counts, and 0 in the padding.
        """
        total = torch.zeros((), device=layers[0].device)
        for e, d, inside in zip(*self.both(layers), insides, strict=True):
            cosine = functional.cosine_similarity((e * inside).flatten(1), (d * inside).flatten(1))
            total = total + (1 - cosine).mean()
        return total

    def maps(self, layers: Sequence[torch.Tensor]) -> Tensors:
        """Per scale 1 - cos over channels: [n, h_k, w_k]."""
        pairs = zip(*self.both(layers), strict=True)
        return [1 - functional.cosine_similarity(e, d, dim=1) for e, d in pairs]

    def forward(self, *layers: torch.Tensor) -> torch.Tensor:
        """The sum of the maps in their units, enlarged to the finest grid, corners aligned."""
        maps = self.maps(layers)
        grid = tuple(maps[0].shape[1:])
        large = [
            functional.interpolate(map_[:, None], grid, mode="bilinear", align_corners=True)
            for map_ in maps
        ]
        return (torch.cat(large, 1) / self.units[:, None, None]).sum(1)


class Residual(nn.Module):
    """A residual block of a ResNet without its last ReLU; [n, inputs, h, w] -> [n, outputs, ...].

    "up" mirrors the strided "down", with a transposed convolution of 2 x 2.
    """

    def __init__(self, inputs: int, outputs: int, way: Way, bottleneck: bool) -> None:
        super().__init__()
        if bottleneck:
            inner = outputs // 2  # as in wide_resnet50_2
            narrow, widen = _convolution(inputs, inner, 1), _convolution(inner, outputs, 1)
            self.body = _chain(narrow, _step(inner, inner, way), widen)
        else:
            self.body = _chain(_step(inputs, outputs, way), _step(outputs, outputs, "keep"))
        self.shortcut = nn.Sequential()
        if way == "down":
            self.shortcut = _convolution(inputs, outputs, 1, 2)
        elif way == "up":
            self.shortcut = _step(inputs, outputs, way)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum of both paths."""
        return torch.add(self.body(x), self.shortcut(x))


def _stage(inputs: int, outputs: int, way: Way, depth: int, bottlenecks: bool) -> nn.Module:
    """`depth` residual blocks, the first of which changes channels and grid; no ReLU at the end."""
    more = (Residual(outputs, outputs, "keep", bottlenecks) for _ in range(depth - 1))
    return _chain(Residual(inputs, outputs, way, bottlenecks), *more)


def _step(inputs: int, outputs: int, way: Way) -> nn.Sequential:
    """A convolution onto a grid of half the height and width, of twice, or the same; and a BN."""
    if way == "up":
        up = nn.ConvTranspose2d(inputs, outputs, 2, 2, bias=False)
        return nn.Sequential(up, nn.BatchNorm2d(outputs))
    return _convolution(inputs, outputs, 3, 2 if way == "down" else 1)


def _convolution(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def _chain(*parts: nn.Module) -> nn.Sequential:
    """These one after the other, a ReLU between each two."""
    return nn.Sequential(parts[0], *(nn.Sequential(nn.ReLU(), part) for part in parts[1:]))


@torch.no_grad()
def _standardise(network: Distillation, table: FeatureTable, size: tuple[int, int]) -> None:
    """Set the standards from every channel's values in cells inside some of the crops."""
    layers, insides = _tensors(table.take(_some(table)), size)
    for standard, layer, inside in zip(network.standards, layers, insides, strict=True):
        cells = layer.movedim(1, 0)[:, inside[:, 0] > 0]  # [c_k, p]
        standard.train()(cells.T[:, :, None, None])
        standard.eval()


@torch.no_grad()
def _mean_maps(network: Distillation, table: FeatureTable, size: tuple[int, int]) -> torch.Tensor:
    """The mean of each scale's map over cells inside some of the crops: [3], above 0."""
    totals, counts = torch.zeros(3, device=DEVICE), torch.zeros(3, device=DEVICE)
    some = _some(table)
    for start in range(0, len(some), 16):
        layers, insides = _tensors(table.take(some[start : start + 16]), size)
        maps = network.maps(layers)
        totals += torch.stack([(m * i[:, 0]).sum() for m, i in zip(maps, insides, strict=True)])
        counts += torch.stack([inside.sum() for inside in insides])
    return (totals / counts).clamp_min(1e-6)


def _some(table: FeatureTable) -> npt.NDArray[np.int64]:
    return np.linspace(0, len(table) - 1, min(len(table), STATISTICS_CROPS)).astype(np.int64)


def _tensors(batch: Batch, size: tuple[int, int]) -> tuple[Tensors, Tensors]:
    """The teacher's layers; and 1 for cells the picture reaches into, else 0: [n, 1, h_k, w_k]."""
    layers = list(batch.layers.values())
    grids = [(layer.shape[2], layer.shape[3]) for layer in layers]
    insides = [cells_inside(batch.valid, grid, size).reshape(-1, 1, *grid) for grid in grids]
    return [to_device(layer) for layer in layers], [to_device(inside) for inside in insides]
