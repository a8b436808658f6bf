"""Join a backbone and a detector's head into the one graph that everything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from blemish.graph.builder import Graph, model, read_graph, serialize, tensor

Head = Callable[[Graph], tuple[str, str]]
"""Adds a detector's nodes after the layers; returns the names of map [n, h, w] and score [n].

What it names `aux.*` [n, h, w] becomes an output too, for rules that no graph can hold.
"""


Before = Callable[[Graph, str], str]
"""Adds nodes between the image, by its name, and the backbone; returns what the backbone reads."""


def join(
    backbone: Path,
    layers: Sequence[str],
    height: int,
    width: int,
    head: Head,
    *,
    before: Before | None = None,
    weights: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> bytes:
    """The whole detector as an ONNX model; `weights` replace initialisers of the backbone.

    Inputs: `image` uint8 [n, height, width, 3] and, optional, `valid` float32 [n, 4], the box (top,
    left, bottom, right) that the picture fills (default: all of it). Outputs: `map` float32
    [n, h, w], `score` float32 [n], and what the head names `aux.*`, float32 [n, h', w']. The head
    reads the backbone's layers and `valid` by name.
    """
    graph = Graph("head.")
    map_name, score_name = head(graph)
    graph.add("Identity", map_name, to="map")
    graph.add("Identity", score_name, to="score")
    results = [tensor("map", ("n", "h", "w")), tensor("score", ("n",))]
    names = [name for node in graph.nodes for name in node.output if name.startswith("aux.")]
    results += [tensor(name, ("n", f"{name}.h", f"{name}.w")) for name in names]
    nodes, initializers = _prune(read_graph(backbone), set(layers))
    for values in initializers:
        if weights and values.name in weights:
            values.CopyFrom(numpy_helper.from_array(weights[values.name], values.name))
    if before is not None:
        first = Graph("before.")
        read = before(first, "image")
        for node in nodes:
            node.input[:] = [read if name == "image" else name for name in node.input]
        nodes = first.nodes + nodes
        initializers = first.initializers + initializers
    graph.nodes = nodes + graph.nodes
    graph.initializers = initializers + graph.initializers
    # An input that also has an initialiser need not be fed.
    whole = np.array([[0, 0, height, width]], np.float32)
    graph.initializers.append(numpy_helper.from_array(whole, "valid"))
    inputs = [
        tensor("image", ("n", height, width, 3), TensorProto.UINT8),
        tensor("valid", ("m", 4)),
    ]
    return serialize(model(graph, inputs, results))


def _prune(
    graph: onnx.GraphProto, wanted: Iterable[str]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes and initialisers that the wanted values need."""
    needed = set(wanted)
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    return nodes[::-1], [values for values in graph.initializer if values.name in needed]


def trunk(backbone: Path, layers: Sequence[str], kind: int = TensorProto.UINT8) -> bytes:
    """The backbone up to some of its layers, from `image` [n, H, W, 3] of a type of pixels."""
    nodes, initializers = _prune(read_graph(backbone), set(layers))
    graph = Graph()
    graph.nodes, graph.initializers = nodes, initializers
    inputs = [tensor("image", ("n", "H", "W", 3), kind)]
    results = [tensor(name, ("n", f"{name}.c", f"{name}.h", f"{name}.w")) for name in layers]
    return serialize(model(graph, inputs, results))
