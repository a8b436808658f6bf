"""A graph is looked through by its bytes: what no model has is refused before it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import hostile_models as hostile
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from blemish.errors import ArtifactError
from blemish.model import graph_outline
from blemish.model.artifact import open_artifact
from blemish.model.graph_outline import fault

node = helper.make_node
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]


def graph(
    nodes: Sequence[onnx.NodeProto] = (),
    weights: Sequence[onnx.TensorProto] = (),
    functions: Sequence[onnx.FunctionProto] = (),
) -> bytes:
    made = helper.make_graph(nodes, "g", [], [], list(weights))
    model = helper.make_model(made, opset_imports=OPSETS, functions=list(functions))
    data: bytes = model.SerializeToString()
    return data


def within(inner: onnx.NodeProto) -> bytes:
    """A graph with a node in the branch of a condition."""
    branch = helper.make_graph([inner], "branch", [], [])
    return graph([node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)])


def function(name: str, *nodes: onnx.NodeProto) -> onnx.FunctionProto:
    return helper.make_function("own", name, ["x"], ["y"], nodes, OPSETS)


WEIGHTS = numpy_helper.from_array(np.ones(4, np.float32), "w")
TEXTS = helper.make_tensor("t", TensorProto.STRING, [2], ["a", "b"])
ELSEWHERE = onnx.TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT)
ELSEWHERE.data_location = TensorProto.EXTERNAL
ELSEWHERE.external_data.add(key="location", value="../../weights")
SPARSE = helper.make_sparse_tensor(ELSEWHERE, numpy_helper.from_array(np.arange(4), "i"), [9])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (graph([], [ELSEWHERE]), "takes weights from another file"),
        (graph([node("Constant", [], ["y"], value=ELSEWHERE)]), "takes weights from another file"),
        (within(node("Constant", [], ["y"], value=ELSEWHERE)), "takes weights from another file"),
        (
            graph([node("Constant", [], ["y"], sparse_value=SPARSE)]),
            "takes weights from another file",
        ),
        (
            graph(functions=[function("F", node("Constant", [], ["y"], value=ELSEWHERE))]),
            "takes weights from another file",
        ),
        (graph([], [TEXTS]), "computes with texts"),
        (graph([node("Constant", [], ["y"], value_string="a")]), "computes with texts"),
        (graph([node("Constant", [], ["y"], value_strings=["a"])]), "computes with texts"),
        (graph([node("ConstantOfShape", ["s"], ["y"], value=TEXTS)]), "computes with texts"),
        (graph([node("Cast", ["x"], ["y"], to=TensorProto.STRING)]), "computes with texts"),
        (within(node("Cast", ["x"], ["y"], to=TensorProto.STRING)), "computes with texts"),
        (graph([node("LabelEncoder", ["x"], ["y"], values_strings=["a"])]), "computes with texts"),
    ],
)
def test_what_no_model_has(data: bytes, said: str) -> None:
    assert fault(data) == said


def test_what_models_have() -> None:
    held = [node("Cast", ["x"], ["z"], to=TensorProto.FLOAT), node("Add", ["z", "w"], ["y"])]
    held += [node("Conv", ["y", "w"], ["v"], auto_pad="SAME_UPPER")]
    assert fault(graph(held, [WEIGHTS])) is None
    assert fault(graph([node("F", ["x"], ["y"], domain="own")], [], [function("F", *held)])) is None


def test_nodes_and_tensors_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_outline, "MOST", 20)
    steps = [node("Neg", ["x"], [f"y{number}"]) for number in range(21)]
    assert fault(graph(steps[1:])) is None
    assert fault(graph(steps)) == "has more than 20 nodes, far more than that of any detector"
    assert "20 tensors" in str(fault(graph([], [WEIGHTS] * 21)))
    # Two calls of what calls another twice, and so on: few nodes, until each stands for its own.
    doubled = [function("F0", node("Neg", ["x"], ["y"]))]
    for number in range(1, 6):
        call = node(f"F{number - 1}", ["x"], ["y"], domain="own")
        doubled.append(function(f"F{number}", call, call))
    assert fault(graph([node("F4", ["x"], ["y"], domain="own")], [], doubled)) is None
    assert "20 nodes" in str(fault(graph([node("F5", ["x"], ["y"], domain="own")], [], doubled)))


def test_functions_that_call_each_other_in_a_circle_end() -> None:
    there, back = node("B", ["x"], ["y"], domain="own"), node("A", ["x"], ["y"], domain="own")
    assert fault(graph([back], [], [function("A", there), function("B", back)])) is None
    chain = [function(f"F{k}", node(f"F{k + 1}", ["x"], ["y"], domain="own")) for k in range(400)]
    assert "functions" in str(fault(graph([node("F0", ["x"], ["y"], domain="own")], [], chain)))


def varint(number: int, more: int) -> bytes:
    """A number in bytes, `more` of them than it needs."""
    digits = [number >> shift & 127 for shift in range(0, max(number.bit_length(), 1), 7)]
    digits += [0] * more
    return bytes([digit | 128 for digit in digits[:-1]] + digits[-1:])


@pytest.mark.parametrize("more", range(3))
@pytest.mark.parametrize("old", [b"", b"\x7b\x0b\x08\x01\x0c\x7c"], ids=["", "groups"])
def test_a_graph_that_is_written_in_another_way(more: int, old: bytes) -> None:
    def field(number: int, content: bytes) -> bytes:
        return old + varint(number << 3 | 2, more) + varint(len(content), more) + content

    elsewhere = field(13, field(1, b"location") + field(2, b"../../weights"))
    model = field(7, field(5, field(8, b"w") + elsewhere))
    onnx.ModelProto.FromString(model)
    assert fault(model) == "takes weights from another file"


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_left_to_the_runtime_or_told(data: bytes, inside: bool) -> None:
    sound = graph([node("Neg", ["x"], ["y"])], [WEIGHTS])
    told = fault(sound[:20] + data + sound[20:] if inside else data)
    assert told is None or told.startswith(("takes", "computes", "has more"))


def test_a_model_of_which_the_graph_is_faulty_is_refused(model: Path, tmp_path: Path) -> None:
    """Texts that double: the limit on memory is one of numbers, and here are 2 ** 40 letters."""
    steps = [node("StringConcat", [f"t{k}"] * 2, [f"t{k + 1}"]) for k in range(40)]
    texts = helper.make_tensor("t0", TensorProto.STRING, [1], ["a"])
    bent = tmp_path / "bent.blemish"
    bent.write_bytes(hostile.with_graph(model.read_bytes(), graph(steps, [texts])))
    with pytest.raises(ArtifactError, match=r"bent\.blemish: its graph computes with texts; take"):
        open_artifact(bent)
