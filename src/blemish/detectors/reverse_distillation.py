"""Reverse Distillation: a decoder rebuilds a teacher's features (Deng & Li, CVPR 2022).

The teacher is the frozen backbone. Its three layers are fused and squeezed into a one-class
embedding, from which a mirrored decoder rebuilds them, the deepest first. It learns that on good
parts only, so where a part is defective, teacher and decoder differ.

Departures from the paper: the map has the finest layer's grid, on which it is summed and smoothed,
instead of the image's. Preset `paper` undoes the others. `standardise`, for layers without a ReLU:
the teacher's channels come to mean 0 and variance 1 over training images, and the decoder's outputs
pass no ReLU either. `balanced`: each scale's map is taken less its mean at a place, by its spread,
both of training images, so that the noisiest does not rule the sum. `top`: the score is the
mean of the 10 largest values. Preset `cpu` takes the bundled backbone's layers of strides 8 to 32,
an embedding half as wide, one basic block per stage, and far fewer steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from blemish.dataset import Dataset
from blemish.detectors.base import FitContext, FittedDetector, need_images
from blemish.detectors.embedding import cells_inside
from blemish.detectors.head import with_map
from blemish.detectors.network import (
    DEVICE,
    Training,
    add_network,
    read_table,
    seeded,
    shuffled,
    spread_out,
    to_device,
)
from blemish.errors import BlemishError
from blemish.features.backbone import BUNDLED
from blemish.features.feature_stream import Batch, FeatureStream
from blemish.features.feature_table import FeatureTable
from blemish.util.settings import setting

Floats = npt.NDArray[np.float32]
Tensors = list[torch.Tensor]
Way = Literal["down", "keep", "up"]

STATISTICS_CROPS = 64  # spread over the training set, for what is fixed by statistics
LAST_SECONDS = 3.0  # for the maps' statistics and the graph, after the last step


@dataclass(frozen=True)
class ReverseDistillation:
    """Settings of Reverse Distillation.

    Attributes:
        backbone: Name of the backbone that computes the features.
        layers: Names of its layers that are read: three, each of twice the stride of the
            one before.
        steps: Number of training steps.
        batch: How many inputs of the model each step learns from.
        rate: Learning rate of Adam.
        embedding: Channels of the one-class embedding, times those of the deepest layer.
        depths: Residual blocks in the embedding's stage and in each of the decoder's three.
        bottlenecks: Blocks as in a wide ResNet-50; else of two 3 x 3 convolutions.
        standardise: Channels are first brought to mean 0 and deviation 1 over training images.
        balanced: Each scale's map is taken less its mean at a place, by its spread, both over
            training images.
        smoothing: Sigma of a Gaussian over the map, before the score is taken; 0 for none.
        top: The score is the mean of so many of the map's largest cells (the paper's 1).
    """

    trained_in_steps: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "cpu": {},  # the defaults
        "paper": {
            "backbone": "wide_resnet50_2.tv_in1k",
            "layers": ("layer1", "layer2", "layer3"),
            "steps": 3000,  # 200 epochs of 240 images in batches of 16
            "depths": (3, 3, 4, 6),
            "embedding": 2.0,
            "bottlenecks": True,
            "standardise": False,
            "balanced": False,
            "top": 1,
        },
    }
    # So few steps, since two trainings drift apart from the rounding of sums as they go on.
    quick_settings: ClassVar[dict[str, str]] = {
        "steps": "5",
        "rate": "0.003",
        "embedding": "1/4",
    }

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10", "block14")
    steps: int = setting(300, unit="steps", least=1)
    batch: int = setting(16, unit="inputs", least=2)
    rate: float = setting(0.005, unit="factor", least=0)
    embedding: float = setting(1.0, unit="factor", above=0)
    depths: tuple[int, ...] = setting((1, 1, 1, 1), unit="blocks", least=1)
    bottlenecks: bool = False
    standardise: bool = setting(True, formerly="standardised")
    balanced: bool = True
    smoothing: float = setting(4.0, unit="pixels", least=0, most=1024, formerly="sigma")
    top: int = setting(10, unit="cells", least=1)

    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        """Train bottleneck and decoder on the teacher's cached features.

        Raises BlemishError for layers or a size of the input that they cannot be built on.
        """
        need_images(data)
        features, seed = context.features, context.seed
        self._check(features)
        size = (features.recipe.height, features.recipe.width)
        grid = next(iter(features.shapes.values()))[1:]
        with read_table(data, context) as table:
            network = self._network(table, size, seed)

            def loss(step: int) -> torch.Tensor:
                batch = table.take(shuffled(len(table), self.batch, step, seed))
                return network.loss(*_tensors(batch, size))

            optimizer = torch.optim.Adam(network.parameters(), self.rate, betas=(0.5, 0.999))
            facts = Training(self.steps, context, LAST_SECONDS).run(network, [optimizer], loss)
            if self.balanced:
                _balance(network, table, size)

        return with_map(
            features,
            grid,
            lambda graph: add_network(graph, network, features.shapes)[0],
            top=self.top,
            smoothing=self.smoothing,
            score_smoothed=True,
            facts=facts,
        )

    def _network(self, table: FeatureTable, size: tuple[int, int], seed: int) -> Distillation:
        """The network before its first step."""
        with seeded(seed):
            network = Distillation(list(table.stream.shapes.values()), self)
        if self.standardise:
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
        if len(self.depths) != 4:
            raise BlemishError("reverse_distillation needs four depths, such as 1,1,1,1")
        side, height, width = 2 * strides[-1], features.recipe.height, features.recipe.width
        if height % side or width % side:
            raise BlemishError(
                f"reverse_distillation with layer {self.layers[-1]} needs an input whose sides are "
                f"multiples of {side} pixels, not {height} x {width}"
            )


class Distillation(nn.Module):
    """Teacher's layers E_k [n, c_k, h_k, w_k], finest first, to the anomaly map [n, h_1, w_1].

    `shapes` are (c_k, h_k, w_k). The teacher's channels pass `standards`, BNs that do nothing until
    they are set; the maps are less `usual<k>` [h_k, w_k], and divided by `spread<k>`.
    """

    def __init__(
        self, shapes: Sequence[tuple[int, int, int]], settings: ReverseDistillation
    ) -> None:
        super().__init__()
        channels = first, second, third = [c for c, _, _ in shapes]
        self.linear = settings.standardise
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
        for k, (_, height, width) in enumerate(shapes):
            self.register_buffer(f"usual{k}", torch.zeros(height, width))
            self.register_buffer(f"spread{k}", torch.ones(height, width))

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
        """The sum of the balanced maps, enlarged to the finest grid, corners aligned."""
        maps = [
            (map_ - self.get_buffer(f"usual{k}")) / self.get_buffer(f"spread{k}")
            for k, map_ in enumerate(self.maps(layers))
        ]
        grid = tuple(maps[0].shape[1:])
        large = [
            functional.interpolate(map_[:, None], grid, mode="bilinear", align_corners=True)
            for map_ in maps
        ]
        return torch.cat(large, 1).sum(1)


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
    layers, insides = _tensors(table.take(spread_out(len(table), STATISTICS_CROPS)), size)
    for standard, layer, inside in zip(network.standards, layers, insides, strict=True):
        cells = layer.movedim(1, 0)[:, inside[:, 0] > 0]  # [c_k, p]
        standard.train()(cells.T[:, :, None, None])
        standard.eval()


@torch.no_grad()
def _balance(network: Distillation, table: FeatureTable, size: tuple[int, int]) -> None:
    """Learn what each scale's map usually is at a place, and how far it strays from that.

    One spread serves all places: with one for each, the faint noise of a dark background would
    count as much as the part does.
    """
    some = spread_out(len(table), STATISTICS_CROPS)
    batches = [some[start : start + 16] for start in range(0, len(some), 16)]
    found = [network.maps(_tensors(table.take(batch), size)[0]) for batch in batches]
    for k, maps in enumerate(zip(*found, strict=True)):
        values = torch.cat(maps)  # [n, h_k, w_k]
        usual = values.mean(0)
        network.get_buffer(f"usual{k}").copy_(usual)
        network.get_buffer(f"spread{k}").copy_((values - usual).std(correction=0).clamp_min(1e-4))


def _tensors(batch: Batch, size: tuple[int, int]) -> tuple[Tensors, Tensors]:
    """The teacher's layers; and 1 for cells the picture reaches into, else 0: [n, 1, h_k, w_k]."""
    layers = list(batch.layers.values())
    grids = [(layer.shape[2], layer.shape[3]) for layer in layers]
    insides = [cells_inside(batch.valid, grid, size).reshape(-1, 1, *grid) for grid in grids]
    return [to_device(layer) for layer in layers], [to_device(inside) for inside in insides]
