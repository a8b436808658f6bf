"""A backbone's graph in torch, for a GPU and for training on from its weights.

Imports torch, so import this file only where torch is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from blemish.errors import BlemishError
from blemish.graph.builder import read_graph

Floats = npt.NDArray[np.float32]
Attributes = Mapping[str, Any]
Operator = Callable[..., Tensor]


class TorchBackbone(nn.Module):
    """From the value `start` of a backbone's graph to some of its layers.

    `forward` takes `start`, uint8 [n, H, W, 3] for `image` and float32 [n, c, h, w] for a layer,
    and returns a tensor [n, c, h, w] per layer name. The convolutions' weights are parameters,
    frozen until `requires_grad_(True)`. Raises BlemishError for a graph with an operator that is
    not written down here, and for layers that do not follow from `start` alone.
    """

    def __init__(self, path: Path, layers: Sequence[str], start: str = "image") -> None:
        super().__init__()
        graph = read_graph(path)
        renamed = _take_out_renames(graph)
        made = {node.output[0] for node in graph.node}
        for value in (start, *layers):
            if value != "image" and renamed.get(value, value) not in made:
                known = ", ".join(output.name for output in graph.output)
                raise BlemishError(f"{path} has no layer {value!r}; it has {known}")
        self.layers = {layer: renamed.get(layer, layer) for layer in layers}
        self.start = renamed.get(start, start)
        self._steps: list[tuple[Operator, list[str], str]] = []
        self._attribute: dict[str, str] = {}  # which holds a constant: a name without dots

        constants = {values.name: values for values in graph.initializer}
        there = {self.start, *constants}
        for node in _needed(graph, self.start, set(self.layers.values())):
            if missing := set(node.input) - there:
                raise BlemishError(
                    f"{', '.join(layers)} of {path} cannot be computed from {start!r} alone: "
                    f"{node.name} needs {missing.pop()}, which lies before"
                )
            there.add(node.output[0])
            self._steps.append((_operator(node, path), list(node.input), node.output[0]))
            for name in constants.keys() & set(node.input):
                values = torch.from_numpy(numpy_helper.to_array(constants[name]).copy())
                self._keep(name, values, trained=node.op_type == "Conv")
        self._last_use = {
            value: number for number, step in enumerate(self._steps) for value in step[1]
        }
        self.requires_grad_(False)

    def _keep(self, name: str, values: Tensor, *, trained: bool) -> None:
        """Register a constant of the graph, once."""
        if name in self._attribute:
            return
        attribute = self._attribute[name] = name.replace(".", "_")
        if trained:
            self.register_parameter(attribute, nn.Parameter(values))
        else:
            self.register_buffer(attribute, values)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The layers, computed from `start`."""
        values = {name: getattr(self, attribute) for name, attribute in self._attribute.items()}
        values[self.start] = x
        wanted = set(self.layers.values())
        for number, (operator, inputs, output) in enumerate(self._steps):
            values[output] = operator(*(values[name] for name in inputs))
            for name in set(inputs) - wanted:
                if self._last_use[name] == number:
                    del values[name]  # only what is still needed stays in memory
        return {layer: values[value] for layer, value in self.layers.items()}

    def named_weights(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters by the names of the graph's initialisers."""
        parameters = dict(self.named_parameters())
        names = self._attribute.items()
        return [(name, parameters[one]) for name, one in names if one in parameters]

    def weights(self) -> dict[str, Floats]:
        """Copies of the parameters as they are now, by the same names."""
        return {name: p.detach().cpu().numpy().copy() for name, p in self.named_weights()}


class TorchSession:
    """Runs a backbone in torch on a device, as a session of ONNX Runtime does on the CPU."""

    def __init__(self, path: Path, layers: Sequence[str], device: str) -> None:
        self.device = device
        self.network = TorchBackbone(path, layers).to(device).eval()

    def run(self, image: npt.NDArray[np.uint8]) -> list[Floats]:
        """The layers, float32 [n, c, h, w] each, of uint8 [n, H, W, 3]."""
        # TF32 would drop to 10 bits of mantissa, and the model file runs with all 23.
        exact = torch.backends.cudnn.flags(allow_tf32=False, deterministic=True, benchmark=False)
        with torch.inference_mode(), exact:
            layers = self.network(torch.from_numpy(image).to(self.device))
        return [layer.cpu().numpy() for layer in layers.values()]


def _take_out_renames(graph: onnx.GraphProto) -> dict[str, str]:
    """Remove the Identity nodes; returns the value that each of them gave another name to.

    A layer is such a name, and the node after it reads the value itself.
    """
    renamed: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Identity":
            renamed[node.output[0]] = renamed.get(node.input[0], node.input[0])
        else:
            node.input[:] = [renamed.get(value, value) for value in node.input]
    kept = [node for node in graph.node if node.op_type != "Identity"]
    del graph.node[:]
    graph.node.extend(kept)
    return renamed


def _needed(graph: onnx.GraphProto, start: str, wanted: set[str]) -> list[onnx.NodeProto]:
    """The nodes after `start` that the wanted values need, in the order of the graph."""
    needed = set(wanted)
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if node.output[0] in needed and node.output[0] != start:
            needed.update(node.input)
            nodes.append(node)
    return nodes[::-1]


def _operator(node: onnx.NodeProto, path: Path) -> Operator:
    """What the node does to its inputs."""
    operator, known = OPERATORS.get(node.op_type, (None, ()))
    attributes = {field.name: helper.get_attribute_value(field) for field in node.attribute}
    unknown = [f"its attribute {name}" for name in attributes if name not in known]
    if operator is None or unknown:
        what = unknown[0] if operator else f"known are {', '.join(sorted(OPERATORS))}"
        raise BlemishError(
            f"{path} cannot run in torch: the operator {node.op_type} of {node.name} is not known "
            f"({what})"
        )
    return partial(operator, attributes)


def _convolution(
    attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    x, padding = _padded(attributes, x, 0.0)
    stride, dilation = attributes.get("strides", 1), attributes.get("dilations", 1)
    groups = attributes.get("group", 1)
    return functional.conv2d(x, weight, bias, stride, padding, dilation, groups)


def _max_pool(attributes: Attributes, x: Tensor) -> Tensor:
    x, padding = _padded(attributes, x, -torch.inf)
    size, stride = attributes["kernel_shape"], attributes.get("strides", 1)
    return functional.max_pool2d(x, size, stride, padding)


def _padded(attributes: Attributes, x: Tensor, fill: float) -> tuple[Tensor, list[int]]:
    """The image and the padding left to torch's operator, which pads opposite sides alike."""
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    if (top, left) == (bottom, right):
        return x, [top, left]
    return functional.pad(x, [left, right, top, bottom], value=fill), [0, 0]


def _cast(attributes: Attributes, x: Tensor) -> Tensor:
    return x.to(getattr(torch, str(helper.tensor_dtype_to_np_dtype(attributes["to"]))))


_WINDOW = ("kernel_shape", "strides", "pads")

OPERATORS: dict[str, tuple[Operator, Sequence[str]]] = {
    "Add": (lambda _, x, y: x + y, ()),
    "Cast": (_cast, ("to",)),
    "Clip": (lambda _, x, lowest, highest: torch.clamp(x, lowest, highest), ()),
    "Conv": (_convolution, (*_WINDOW, "dilations", "group")),
    "Div": (lambda _, x, y: x / y, ()),
    "MaxPool": (_max_pool, _WINDOW),
    "Mul": (lambda _, x, y: x * y, ()),
    "Relu": (lambda _, x: functional.relu(x), ()),
    "Sub": (lambda _, x, y: x - y, ()),
    "Transpose": (lambda attributes, x: x.permute(attributes["perm"]), ("perm",)),
}
"""Each ONNX operator in torch, a function of a node's attributes and inputs, and the attributes."""
