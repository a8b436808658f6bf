"""An ONNX graph written down node by node, and sessions on parts of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper

from blemish.errors import ArtifactError
from blemish.util.files import read_regular

OPSET = 17
IR_VERSION = 8


class Graph:
    """Nodes and initialisers in the order in which they are added; names number themselves."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add(self, op: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        """Append a node and return the name of its first output."""
        return self.add_many(op, *inputs, outputs=1, to=to, **attributes)[0]

    def cast(self, x: str, kind: int) -> str:
        """The value as another type."""
        name = f"{self.prefix}cast{len(self.nodes)}"
        self.nodes.append(helper.make_node("Cast", [x], [name], name, to=kind))
        return name

    def widen(self, values: npt.NDArray[np.float16]) -> str:
        """An initialiser kept in float16 and used as float32."""
        return self.cast(self.constant(values), TensorProto.FLOAT)

    def add_many(
        self, op: str, *inputs: str, outputs: int, to: str | None = None, **attributes: Any
    ) -> list[str]:
        """Append a node with several outputs and return their names."""
        name = to or f"{self.prefix}{op.lower()}{len(self.nodes)}"
        names = [name if i == 0 else f"{name}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=name, **attributes))
        return names

    def constant(self, values: npt.ArrayLike, name: str | None = None) -> str:
        """Append an initialiser: floats become float32, integers int64."""
        array = np.asarray(values)
        if array.dtype.kind == "f" and array.dtype != np.float16:
            array = array.astype(np.float32)
        elif array.dtype.kind in "iu":
            array = array.astype(np.int64)
        name = name or f"{self.prefix}constant{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


Shape = Sequence[int | str]


def tensor(name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """A graph input or output; a string in the shape is a free dimension."""
    return helper.make_tensor_value_info(name, kind, list(shape))


def model(
    graph: Graph,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    name: str = "blemish",
) -> onnx.ModelProto:
    """The finished model."""
    return helper.make_model(
        helper.make_graph(graph.nodes, name, inputs, outputs, graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="blemish",
    )


def read_graph(source: Path | bytes, name: object = None) -> onnx.GraphProto:
    """The graph in a file, or in its bytes, which sentences call `name`.

    Raises ArtifactError for what is no ONNX model.
    """
    name = name or source
    try:
        data = source if isinstance(source, bytes) else read_regular(source)
        return onnx.load_from_string(data).graph
    except OSError as error:
        raise ArtifactError(f"{name} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise ArtifactError(f"{name} is no ONNX model; take the file as it was written") from error


def serialize(proto: onnx.ModelProto) -> bytes:
    """The model as bytes, the same for the same model."""
    return bytes(proto.SerializeToString(deterministic=True))


def feature_model(graph: Graph, layers: Mapping[str, tuple[int, int, int]], *outputs: str) -> bytes:
    """A model from float32 layers [n, c, h, w] to outputs of the graph, to run during a fit."""
    inputs = [tensor(name, ("n", *shape)) for name, shape in layers.items()]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    return serialize(model(graph, inputs, results))
