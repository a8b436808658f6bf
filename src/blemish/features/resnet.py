"""ResNet backbones as ONNX graphs, from state dicts named as in torchvision and timm.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), Table 1; the stride of a
bottleneck sits in its 3 x 3 convolution, as in both libraries. Wide: Zagoruyko and Komodakis,
"Wide Residual Networks" (BMVC 2016).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from blemish.errors import BlemishError
from blemish.features.backbone import Layer
from blemish.features.state_dict import StateDict
from blemish.graph.builder import Graph, model, serialize, tensor

BN_EPSILON = 1e-5
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Architecture:
    """Blocks of the four stages, and the first stage's inner width where blocks are bottlenecks."""

    blocks: tuple[int, int, int, int]
    bottleneck: int | None = None


ARCHITECTURES = {
    "resnet18": Architecture((2, 2, 2, 2)),
    "resnet34": Architecture((3, 4, 6, 3)),
    "resnet50": Architecture((3, 4, 6, 3), 64),
    "wide_resnet50_2": Architecture((3, 4, 6, 3), 128),
}


@dataclass(frozen=True)
class Convolution:
    """One convolution and its batch norm, by their names in a state dict."""

    name: str
    norm: str
    inputs: int
    outputs: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class ResidualBlock:
    """A residual block: convolutions in a row, and the one beside them where shapes change."""

    name: str
    row: tuple[Convolution, ...]
    beside: Convolution | None


STEM = Convolution("conv1", "bn1", 3, 64, 7, 2)


def stage(architecture: Architecture, number: int) -> list[ResidualBlock]:
    """The blocks of stage 1 to 4; from stage 2 on, the first block halves the grid."""
    width = 64 * 2 ** (number - 1)
    outputs = width if architecture.bottleneck is None else 4 * width
    inner = width if architecture.bottleneck is None else architecture.bottleneck * width // 64
    before = 64 if number == 1 else outputs // 2
    blocks = []
    for index in range(architecture.blocks[number - 1]):
        name = f"layer{number}.{index}"
        inputs, stride = (before, min(number, 2)) if index == 0 else (outputs, 1)
        if architecture.bottleneck is None:
            shapes = [(inputs, outputs, 3, stride), (outputs, outputs, 3, 1)]
        else:
            shapes = [(inputs, inner, 1, 1), (inner, inner, 3, stride), (inner, outputs, 1, 1)]
        row = tuple(
            Convolution(f"{name}.conv{place}", f"{name}.bn{place}", *shape)
            for place, shape in enumerate(shapes, 1)
        )
        beside = None
        if (inputs, stride) != (outputs, 1):
            norm = f"{name}.downsample.1"
            beside = Convolution(f"{name}.downsample.0", norm, inputs, outputs, 1, stride)
        blocks.append(ResidualBlock(name, row, beside))
    return blocks


def convolutions(architecture: Architecture) -> Iterator[Convolution]:
    """Every convolution of the network."""
    yield STEM
    for number in range(1, 5):
        for block in stage(architecture, number):
            yield from block.row
            if block.beside is not None:
                yield block.beside


def tensors(architecture: Architecture) -> dict[str, Shape]:
    """The shape of every tensor that the network needs."""
    shapes: dict[str, Shape] = {}
    for conv in convolutions(architecture):
        shapes[f"{conv.name}.weight"] = (conv.outputs, conv.inputs, conv.kernel, conv.kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{conv.norm}.{part}"] = (conv.outputs,)
    return shapes


def architecture_named(name: str) -> str | None:
    """The architecture that a backbone's name begins with, such as `resnet18.tv_in1k`."""
    first = re.split(r"[.-]", name)[0]
    return first if first in ARCHITECTURES else None


def choose(state: StateDict, name: str, source: str) -> Architecture:
    """The architecture that a backbone's name begins with, or else the one that the tensors fit.

    Raises BlemishError that names the first tensor of `source` that is not as it should be.
    """
    faults = {known: _faults(state, fitting) for known, fitting in ARCHITECTURES.items()}
    nearest = min(faults, key=lambda known: len(faults[known]))
    chosen = architecture_named(name) or nearest
    if not faults[chosen]:
        return ARCHITECTURES[chosen]
    if faults[nearest]:
        way_out = f"a backbone can be a {', '.join(ARCHITECTURES)}, named as in torchvision"
    else:
        way_out = f"the weights are those of a {nearest}, so begin the backbone's name with that"
    raise BlemishError(f"{source} is no {chosen}: {faults[chosen][0]}; {way_out}")


def _faults(state: StateDict, architecture: Architecture) -> list[str]:
    """What in the tensors is not as the network needs it."""
    needed = tensors(architecture)
    faults = [
        f"the tensor {name} is missing"
        if name not in state
        else f"the tensor {name} has the shape {list(state[name].shape)}, not {list(shape)}"
        for name, shape in needed.items()
        if name not in state or state[name].shape != shape
    ]
    # A tensor too many is a part that this graph would leave out, such as an attention block.
    spare = {name for name in set(state) - set(needed) if not _ignored(name)}
    return faults + [f"it has a tensor {name}" for name in sorted(spare)]


def _ignored(name: str) -> bool:
    """True for the classifier and for the counter of batch norm."""
    return name.startswith("fc.") or name.endswith(".num_batches_tracked")


def random_state(architecture: Architecture, seed: int) -> StateDict:
    """Random weights: He's initialisation; each block adds half of what it computes."""
    rng = np.random.default_rng(seed)
    state: dict[str, npt.NDArray[Any]] = {}
    for name, shape in tensors(architecture).items():
        if len(shape) == 4:
            deviation = np.sqrt(2 / np.prod(shape[1:]))
            state[name] = rng.normal(0, deviation, shape).astype(np.float32)
        else:
            fill = 1.0 if name.endswith(("weight", "running_var")) else 0.0
            state[name] = np.full(shape, fill, np.float32)
    last = "bn2" if architecture.bottleneck is None else "bn3"
    for name in state:
        if name.startswith("layer") and name.endswith(f"{last}.weight"):
            state[name] *= 0.5
    return state


def build(
    architecture: Architecture,
    state: StateDict,
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    deviation: tuple[float, float, float] = IMAGENET_DEVIATION,
) -> tuple[bytes, tuple[Layer, ...]]:
    """The graph, `image` uint8 [n, H, W, 3] -> float32 layer1 to layer4, and its layers.

    Batch norm is folded into the convolutions; `mean` and `deviation` are of pixels from 0 to 1.
    Raises BlemishError for weights that are not finite.
    """
    graph = Graph()
    cast = helper.make_node("Cast", ["image"], ["image.float"], "image.float", to=TensorProto.FLOAT)
    graph.nodes.append(cast)
    centre = graph.constant(255 * np.array(mean), "mean")
    scale = graph.constant(1 / (255 * np.array(deviation)), "scale")
    x = graph.add("Sub", "image.float", centre, to="image.centred")
    x = graph.add("Mul", x, scale, to="image.scaled")
    x = graph.add("Transpose", x, to="image.nchw", perm=[0, 3, 1, 2])
    x = graph.add("Relu", _convolve(graph, x, STEM, state), to="conv1.relu")
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    x = graph.add("MaxPool", x, to="maxpool", **window)
    layers, outputs = [], []
    for number in range(1, 5):
        blocks = stage(architecture, number)
        for block in blocks:
            x = _add_block(graph, x, block, state)
        name, channels = f"layer{number}", blocks[-1].row[-1].outputs
        graph.add("Identity", x, to=name)
        layers.append(Layer(name, channels, 2 ** (number + 1)))
        outputs.append(tensor(name, ["n", channels, f"{name}.h", f"{name}.w"]))
    image = tensor("image", ["n", "H", "W", 3], TensorProto.UINT8)
    return serialize(model(graph, [image], outputs, "resnet")), tuple(layers)


def _add_block(graph: Graph, x: str, block: ResidualBlock, state: StateDict) -> str:
    before = x if block.beside is None else _convolve(graph, x, block.beside, state)
    for conv in block.row[:-1]:
        x = graph.add("Relu", _convolve(graph, x, conv, state), to=f"{conv.name}.relu")
    x = graph.add("Add", _convolve(graph, x, block.row[-1], state), before, to=f"{block.name}.sum")
    return graph.add("Relu", x, to=f"{block.name}.relu")


def _convolve(graph: Graph, x: str, conv: Convolution, state: StateDict) -> str:
    scale, bias, mean, variance = (
        state[f"{conv.norm}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    with np.errstate(invalid="ignore", over="ignore"):
        scale = scale / np.sqrt(variance + BN_EPSILON)
        weight = (state[f"{conv.name}.weight"] * scale[:, None, None, None]).astype(np.float32)
        bias = (bias - mean * scale).astype(np.float32)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise BlemishError(
            f"the weights of {conv.name} and {conv.norm} are not finite; get the file again"
        )
    return graph.add(
        "Conv",
        x,
        graph.constant(weight, f"{conv.name}.weight"),
        graph.constant(bias, f"{conv.name}.bias"),
        to=conv.name,
        kernel_shape=[conv.kernel] * 2,
        strides=[conv.stride] * 2,
        pads=[conv.kernel // 2] * 4,
    )
