"""Put one ONNX model, such as an exported network, into a graph as part of it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from blemish.graph.builder import Graph


def splice(graph: Graph, part: onnx.ModelProto, inputs: Sequence[str]) -> list[str]:
    """Add the nodes of `part`, fed with `inputs` in its order; the names of its outputs.

    All its names get a prefix of their own. Raises ValueError when the inputs do not match.
    """
    wanted = [value.name for value in part.graph.input]
    if len(wanted) != len(inputs):
        raise ValueError(f"the part has the inputs {wanted}, not {len(inputs)}")
    prefix = f"{graph.prefix}part{len(graph.nodes)}."
    names: dict[str, str] = {"": "", **dict(zip(wanted, inputs, strict=True))}

    def renamed(name: str) -> str:
        return names.setdefault(name, prefix + name)

    for values in part.graph.initializer:
        copy = onnx.TensorProto()
        copy.CopyFrom(values)
        copy.name = renamed(values.name)
        graph.initializers.append(copy)
    for node in part.graph.node:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        copied.name = prefix + node.name
        copied.input[:] = [renamed(name) for name in node.input]
        copied.output[:] = [renamed(name) for name in node.output]
        graph.nodes.append(copied)
    return [renamed(value.name) for value in part.graph.output]
