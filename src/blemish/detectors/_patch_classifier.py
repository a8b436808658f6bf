"""A classifier with a logit for every cell: layers of a backbone, the last of them trained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from blemish.detectors._brightness_and_blur import Exposure
from blemish.detectors.network import DEVICE
from blemish.errors import BlemishError
from blemish.features.backbone import Backbone, Layer
from blemish.features.session import open_session
from blemish.features.torch_backbone import TorchBackbone
from blemish.graph.builder import read_graph
from blemish.graph.join import trunk

Known = Mapping[str, npt.NDArray[Any]]
"""What the trained part reads, by name."""

HEAD = "head:"
OF_HEAD = re.compile(r"^head\.part\d+\.")  # before a name of the head in a finished model
PIECE = 32  # patches at a time where no gradient is needed
LEAST_UNIT = 1e-3  # of a channel, as a share of the mean over the channels


@dataclass(frozen=True)
class Stages:
    """Which layers of a backbone are read as they are, and which are trained from `start` on."""

    start: str
    frozen: tuple[Layer, ...]
    trained: tuple[Layer, ...]

    @classmethod
    def of(cls, backbone: Backbone, layers: Sequence[str], frozen: str | None) -> Stages:
        """`layers` up to and with the layer `frozen` stay as they are; None: none does.

        Raises BlemishError for a layer that the backbone does not have.
        """
        read = [backbone.layer(name) for name in layers]
        if frozen is None:
            return cls("image", (), tuple(read))
        order = [layer.name for layer in backbone.layers]
        last = order.index(backbone.layer(frozen).name)
        early = tuple(layer for layer in read if order.index(layer.name) <= last)
        return cls(frozen, early, tuple(layer for layer in read if layer not in early))

    @property
    def read(self) -> tuple[Layer, ...]:
        """The layers that the head reads."""
        return self.frozen + self.trained

    @property
    def computed(self) -> list[str]:
        """What is computed before the training's own part: the frozen layers, and its start."""
        if self.start == "image":
            return []
        names = [layer.name for layer in self.frozen]
        return names if self.start in names or not self.trained else [*names, self.start]


class FrozenFeatures:
    """Computes what the trained part reads of patches, uint8 [k, H, W, 3]: layers, or the image.

    On the CPU by ONNX Runtime.
    """

    def __init__(self, backbone: Backbone, stages: Stages, exposure: Exposure) -> None:
        self.names = stages.computed
        self.exposure = exposure
        kind = TensorProto.UINT8 if exposure.does_nothing else TensorProto.FLOAT
        if self.names:
            self._session = open_session(trunk(backbone.path, self.names, kind))

    def __call__(self, patches: npt.NDArray[np.uint8]) -> Known:
        """Layers float32 [k, c, h, w] by name, or the `image` [k, H, W, 3] where all is trained."""
        shown = self.exposure.apply(patches)
        if not self.names:
            return {"image": shown}
        # A few at once stay in the processor's cache: four times as fast as some hundred.
        found = [
            self._session.run(self.names, {"image": piece["image"]})
            for piece in _pieces({"image": shown})
        ]
        layers = zip(*found, strict=True)
        return {name: np.concatenate(x) for name, x in zip(self.names, layers, strict=True)}


class PatchClassifier(nn.Module):
    """From what `Source` computes to a logit for every cell, [k, h, w], larger for a defect."""

    def __init__(self, backbone: Backbone, stages: Stages, hidden: int | None) -> None:
        super().__init__()
        self.start = stages.start
        self.stage: TorchBackbone | None = None
        if stages.trained:
            names = [layer.name for layer in stages.trained]
            self.stage = TorchBackbone(backbone.path, names, stages.start)
            self.stage.requires_grad_(True)
        self.head = Head(stages.read, hidden)

    def layers(self, known: Known) -> list[Tensor]:
        """The layers that the head reads, in its order, of what `Source` computed."""
        there = {name: _tensor(name, values) for name, values in known.items()}
        if self.stage is not None:
            there |= self.stage(there[self.start])
        return [there[name] for name in self.head.names]

    def forward(self, known: Known) -> Tensor:
        """Logits [k, h, w]."""
        logits: Tensor = self.head(*self.layers(known))
        return logits

    @torch.no_grad()
    def in_pieces(self, known: Known) -> Tensor:
        """The logits of more patches than a step has, without a gradient."""
        return torch.cat([self(piece) for piece in _pieces(known)])

    @torch.no_grad()
    def learn_units(self, known: Known) -> None:
        """Let the head see every channel with mean 0 and deviation 1 over patches like these."""
        count = 0
        total = torch.zeros_like(self.head.mean[:, 0, 0], dtype=torch.float64)
        squares = torch.zeros_like(total)
        for piece in _pieces(known):
            x = self.head.stack(self.layers(piece)).double()
            count += x[:, 0].numel()
            total += x.sum((0, 2, 3))
            squares += x.square().sum((0, 2, 3))
        mean = total / count
        unit = (squares / count - mean.square()).clamp_min(0).sqrt()
        least = LEAST_UNIT * float(unit.mean()) or 1.0
        self.head.mean.copy_(mean[:, None, None])
        self.head.unit.copy_(unit.clamp_min(least)[:, None, None])

    def start_from(self, model: bytes) -> None:
        """Take over the weights of a model of this detector.

        Raises BlemishError where it was made with other settings.
        """
        initializers = read_graph(model, "the model to start from").initializer
        weights = {OF_HEAD.sub(HEAD, w.name): numpy_helper.to_array(w) for w in initializers}
        wanted: list[tuple[str, Tensor]] = [
            (f"{HEAD}{name}", values) for name, values in self.head.named_parameters()
        ]
        wanted += [] if self.stage is None else self.stage.named_weights()
        for name, values in wanted:
            found = weights.get(name)
            if found is None or found.dtype.kind != "f" or found.shape != tuple(values.shape):
                raise BlemishError(
                    "the model to start from was made with other settings of the network "
                    f"({name} has no counterpart); give those that it was trained with"
                )
            values.data.copy_(torch.from_numpy(found.copy()))


def _tensor(name: str, values: npt.NDArray[Any]) -> Tensor:
    """An image as it is; a layer with its channels last in memory, for faster convolutions."""
    x = torch.from_numpy(values).to(DEVICE)
    return x if name == "image" else x.contiguous(memory_format=torch.channels_last)


def _pieces(known: Known) -> Iterator[Known]:
    """The same, `PIECE` patches at a time."""
    count = len(next(iter(known.values())))
    for first in range(0, count, PIECE):
        yield {name: values[first : first + PIECE] for name, values in known.items()}


class Head(nn.Module):
    """Layers brought to one grid, and one or two linear steps for each of its cells."""

    def __init__(self, layers: Sequence[Layer], hidden: int | None) -> None:
        super().__init__()
        self.names = [layer.name for layer in layers]
        self.stride = self.stride_of(layers)
        self.strides = [layer.stride for layer in layers]
        # Of a finer layer the largest values count too, for what is small.
        channels = sum(c.channels * (1 + (c.stride < self.stride)) for c in layers)
        # Parameters that are not trained, since an exported model keeps the names of parameters.
        self.mean = nn.Parameter(torch.zeros(channels, 1, 1), requires_grad=False)
        self.unit = nn.Parameter(torch.ones(channels, 1, 1), requires_grad=False)
        self.hidden = None if hidden is None else nn.Conv2d(channels, hidden, 1)
        self.logit = nn.Conv2d(channels if hidden is None else hidden, 1, 1)

    @staticmethod
    def stride_of(layers: Sequence[Layer]) -> int:
        """Pixels per cell: those of the second finest layer, or of the only one."""
        strides = sorted({layer.stride for layer in layers})
        return strides[min(1, len(strides) - 1)]

    def stack(self, layers: Sequence[Tensor]) -> Tensor:
        """All layers [k, C, h, w] on the head's grid."""
        parts = []
        for x, stride in zip(layers, self.strides, strict=True):
            if stride < self.stride:
                step = self.stride // stride
                parts += [functional.avg_pool2d(x, step), functional.max_pool2d(x, step)]
            elif stride > self.stride:
                scale = float(stride // self.stride)
                parts.append(functional.interpolate(x, scale_factor=scale, mode="bilinear"))
            else:
                parts.append(x)
        return torch.cat(parts, 1)

    def forward(self, *layers: Tensor) -> Tensor:
        """Logits [k, h, w]."""
        x = (self.stack(layers) - self.mean) / self.unit
        if self.hidden is not None:
            x = functional.relu(self.hidden(x))
        logits: Tensor = self.logit(x)[:, 0]
        return logits
