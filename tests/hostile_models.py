"""Models that somebody bent: cards, graphs, pictures and archives, with right hashes but wrong.

`mutant(model, seed)` is the same for the same model and seed, for tests and long runs alike.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Members = dict[str, bytes]
Change = Callable[[Members, random.Random], "Members | bytes"]

GRAPH, CARD, RAW, TENSOR = "model.onnx", "card.json", "golden/raw.png", "golden/tensor.png"
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, -0.5, 1e-300, 1e300, 10**9, 10**30, 1e30),
    *("", "top", "\x1b[2J\n", "../../x", "ü" * 300, "NaN", [], [None], ["top", 1], [[0] * 9] * 9),
    *({}, {"a": [1]}, {"aux.z0": 4}, {"score": 3}, {"a": -1}, {"": {"": {}}}),
)


@dataclass(frozen=True)
class Mutant:
    """A bent model: the kind of its bend, and the bytes of its file."""

    kind: str
    data: bytes


def mutant(model: bytes, seed: int, kind: str | None = None) -> Mutant:
    """The model, the bytes of a sound `.blemish` file, bent in one way that the seed chooses."""
    dice = random.Random(seed)
    kind = kind or dice.choice(sorted(KINDS))
    changed = KINDS[kind](members(model), dice)
    return Mutant(kind, changed if isinstance(changed, bytes) else packed(changed))


def members(model: bytes) -> Members:
    """What a `.blemish` file holds, but for its hashes."""
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "sha256"}


def packed(held: Members) -> bytes:
    """A `.blemish` file of these members, with their right hashes."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in held.items()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in {**held, "sha256": json.dumps(hashes).encode()}.items():
            archive.writestr(name, data)
    return file.getvalue()


def with_card(model: bytes, text: str | bytes) -> bytes:
    """The model with another card."""
    text = text if isinstance(text, bytes) else text.encode()
    return packed({**members(model), CARD: text})


def with_graph(model: bytes, graph: bytes) -> bytes:
    """The model with another graph."""
    return packed({**members(model), GRAPH: graph})


def steps_to(value: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every entry of a JSON value."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*steps, key)
        if isinstance(inner, dict | list):
            yield from steps_to(inner, (*steps, key))


# Cards.


def _another_value(held: Members, dice: random.Random) -> Members:
    card, inner, key = _entry(held, dice)
    inner[key] = dice.choice(ODD_VALUES)
    return {**held, CARD: json.dumps(card).encode()}


def _an_entry_less(held: Members, dice: random.Random) -> Members:
    card, inner, key = _entry(held, dice)
    del inner[key]
    return {**held, CARD: json.dumps(card).encode()}


def _an_entry_more(held: Members, dice: random.Random) -> Members:
    card, inner, key = _entry(held, dice)
    if isinstance(inner, dict):
        inner[f"{key}2"] = dice.choice(ODD_VALUES)
    else:
        inner.append(dice.choice(ODD_VALUES))
    return {**held, CARD: json.dumps(card).encode()}


def _an_entry_twice(held: Members, dice: random.Random) -> Members:
    text = held[CARD].decode()
    key = dice.choice([key for key in json.loads(text) if f'"{key}":' in text])
    value = json.dumps(dice.choice(ODD_VALUES))
    return {**held, CARD: text.replace("{", f'{{"{key}": {value}, ', 1).encode()}


def _a_deep_entry(held: Members, dice: random.Random) -> Members:
    deep = "[" * (depth := dice.choice([50, 500, 900, 100_000])) + "]" * depth
    card, inner, key = _entry(held, dice)
    inner[key] = "DEEP"
    return {**held, CARD: json.dumps(card).replace('"DEEP"', deep, 1).encode()}


def _another_text(held: Members, dice: random.Random) -> Members:
    text = dice.choice([b"", b"null", b"[1]", b"\xff\xfe{}", b"{", b"1e999", b'{"schema": 1}'])
    return {**held, CARD: text}


def _entry(held: Members, dice: random.Random) -> tuple[Any, Any, Any]:
    """A copy of the card, and one of its entries by what holds it and its key."""
    card = json.loads(held[CARD])
    steps = dice.choice(list(steps_to(card)))
    inner = card
    for step in steps[:-1]:
        inner = inner[step]
    return card, inner, steps[-1]


# Graphs.


def _flipped(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice([1, 1, 3, 30])):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _flipped_graph(held: Members, dice: random.Random) -> Members:
    return {**held, GRAPH: _flipped(held[GRAPH], dice)}


def _flipped_structure(held: Members, dice: random.Random) -> Members:
    """Bits of everything but the weights, which are most of the bytes."""
    proto = onnx.load_from_string(held[GRAPH])
    kept = [values.raw_data for values in proto.graph.initializer]
    for values in proto.graph.initializer:
        values.ClearField("raw_data")
    changed = onnx.ModelProto()
    try:
        changed.ParseFromString(_flipped(proto.SerializeToString(), dice))
    except Exception:  # protobuf's own: these bytes are no model any more
        return {**held, GRAPH: _flipped(held[GRAPH], dice)}
    for values, data in zip(changed.graph.initializer, kept, strict=False):
        values.raw_data = data
    return {**held, GRAPH: changed.SerializeToString()}


def _cut_graph(held: Members, dice: random.Random) -> Members:
    return {**held, GRAPH: held[GRAPH][: dice.randrange(len(held[GRAPH]))]}


def _zeroed_graph(held: Members, dice: random.Random) -> Members:
    data = bytearray(held[GRAPH])
    start = dice.randrange(len(data))
    data[start : start + 512] = bytes(len(data[start : start + 512]))
    return {**held, GRAPH: bytes(data)}


def _garbage_graph(held: Members, dice: random.Random) -> Members:
    return {**held, GRAPH: dice.choice([b"", b"\0" * 64, b"ORTM" * 99, dice.randbytes(999)])}


def _edited(edit: Callable[[onnx.GraphProto, random.Random], None]) -> Change:
    def change(held: Members, dice: random.Random) -> Members:
        proto = onnx.load_from_string(held[GRAPH])
        edit(proto.graph, dice)
        return {**held, GRAPH: proto.SerializeToString()}

    return change


def _another_output(graph: onnx.GraphProto, dice: random.Random) -> None:
    dice.choice(graph.output).name = dice.choice(["map", "score", "scores", "", "aux.z0"])


def _an_output_less(graph: onnx.GraphProto, dice: random.Random) -> None:
    del graph.output[dice.randrange(len(graph.output))]


def _an_output_of_another_kind(graph: onnx.GraphProto, dice: random.Random) -> None:
    kind = dice.choice([TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT64])
    output = dice.choice(graph.output)
    _rename(graph, output.name, "before.last")
    graph.node.append(helper.make_node("Cast", ["before.last"], [output.name], to=kind))
    output.type.tensor_type.elem_type = kind


def _an_output_of_another_shape(graph: onnx.GraphProto, dice: random.Random) -> None:
    output = dice.choice(graph.output)
    name = output.name
    if dice.random() < 0.5:
        output.type.tensor_type.ClearField("shape")
    else:
        del output.type.tensor_type.shape.dim[:]
    _rename(graph, name, "before.last")
    axes = numpy_helper.from_array(np.array([dice.choice([0, 1, -1])]), "before.axes")
    graph.initializer.append(axes)
    add = helper.make_node("Unsqueeze", ["before.last", "before.axes"], [name])
    twice = helper.make_node("Concat", ["before.last", "before.last"], [name], axis=0)
    graph.node.append(dice.choice([add, twice]))


def _another_input(graph: onnx.GraphProto, dice: random.Random) -> None:
    kind = dice.choice([TensorProto.FLOAT, TensorProto.UINT8, TensorProto.STRING])
    shape: list[Any] = dice.choice([[], [1], ["n", 3, 64, 64], [10**9] * 3])
    more = helper.make_tensor_value_info(dice.choice(["mask", "image2", ""]), kind, shape)
    graph.input.insert(dice.randrange(2), more)


def _an_input_of_another_shape(graph: onnx.GraphProto, dice: random.Random) -> None:
    dims = graph.input[dice.randrange(len(graph.input))].type.tensor_type.shape.dim
    if dims:
        dims[dice.randrange(len(dims))].dim_value = dice.choice([0, 1, 5, 10**9, -3])


def _no_optional_input(graph: onnx.GraphProto, dice: random.Random) -> None:
    for values in list(graph.input):
        if values.name == "valid":
            graph.input.remove(values)


def _another_size_of_weights(graph: onnx.GraphProto, dice: random.Random) -> None:
    values = dice.choice(graph.initializer)
    values.dims[:] = dice.choice([[10**9, 10**9], [-1], [], [2**31, 2**31, 4], [10**6, 10**6], [0]])


def _sparse_weights(graph: onnx.GraphProto, dice: random.Random) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), dice.choice(graph.initializer).name)
    places = numpy_helper.from_array(np.array([5]), "places")
    size = dice.choice([10, 10**9, 10**15])
    graph.sparse_initializer.append(
        onnx.SparseTensorProto(values=values, indices=places, dims=[size])
    )


def _other_weights(graph: onnx.GraphProto, dice: random.Random) -> None:
    values = dice.choice(graph.initializer)
    array = numpy_helper.to_array(values)
    number = dice.choice([0, 1, -1, 6e4]) if array.dtype.kind == "f" else dice.choice([0, 1, -7])
    values.CopyFrom(numpy_helper.from_array(np.full_like(array, number), values.name))


def _a_node_less(graph: onnx.GraphProto, dice: random.Random) -> None:
    del graph.node[dice.randrange(len(graph.node))]


def _another_operator(graph: onnx.GraphProto, dice: random.Random) -> None:
    node = dice.choice(graph.node)
    node.op_type = dice.choice(["Relu", "Add", "Neg", "Shape", "If", "NonZero", "Nothing", "\x1b"])


def _another_attribute(graph: onnx.GraphProto, dice: random.Random) -> None:
    having = [node for node in graph.node if node.attribute]
    attribute = dice.choice(dice.choice(having).attribute)
    if attribute.ints:
        place = dice.randrange(len(attribute.ints))
        attribute.ints[place] = dice.choice([-1, 0, 7, 10**6, 2**62])
    else:
        attribute.i = dice.choice([-1, 0, 7, 10**6, 2**62])


def _a_large_value(graph: onnx.GraphProto, dice: random.Random) -> None:
    """A value of gigabytes, terabytes or more than there can be, of which the score depends."""
    shape = dice.choice([[10**7, 10**7], [10**6, 10**5], [2**40, 2**40], [-5, 3]])
    score = next(output.name for output in graph.output if output.name == "score")
    _rename(graph, score, "before.score")
    graph.initializer.append(numpy_helper.from_array(np.array(shape), "before.shape"))
    graph.node.extend(
        [
            helper.make_node("Expand", ["before.score", "before.shape"], ["before.large"]),
            helper.make_node("ReduceMax", ["before.large"], ["before.most"], keepdims=0),
            helper.make_node("Add", ["before.score", "before.most"], [score]),
        ]
    )


def _rename(graph: onnx.GraphProto, name: str, new: str) -> None:
    """Give a value another name wherever nodes make or take it."""
    for node in graph.node:
        node.input[:] = [new if value == name else value for value in node.input]
        node.output[:] = [new if value == name else value for value in node.output]


# Pictures, members and archives.


def _bent_picture(held: Members, dice: random.Random) -> Members:
    name = dice.choice([RAW, TENSOR])
    png = held[name]
    at = dice.randrange(8, len(png))
    huge = bytearray(png)
    huge[16:24] = (100_000).to_bytes(4, "big") * 2
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
    bent = [_flipped(png, dice), png[:at], bytes(huge), b"", held[RAW], held[TENSOR], held[CARD]]
    return {**held, name: dice.choice(bent)}


def _a_member_less(held: Members, dice: random.Random) -> Members:
    gone = dice.choice(sorted(held))
    return {name: data for name, data in held.items() if name != gone}


def _a_member_more(held: Members, dice: random.Random) -> Members:
    name = dice.choice(["golden/x.png", "../x", "\x1b[2J", "defects/0000.png", "a" * 60_000, "/"])
    return {**held, name: b"x"}


def _flipped_file(held: Members, dice: random.Random) -> bytes:
    return _flipped(packed(held), dice)


def _cut_file(held: Members, dice: random.Random) -> bytes:
    data = packed(held)
    return data[: dice.randrange(len(data))]


KINDS: dict[str, Change] = {
    "another value in the card": _another_value,
    "an entry of the card less": _an_entry_less,
    "an entry of the card more": _an_entry_more,
    "an entry of the card twice": _an_entry_twice,
    "a deep entry of the card": _a_deep_entry,
    "another text for a card": _another_text,
    "flipped bits of the graph": _flipped_graph,
    "flipped bits of the graph's structure": _flipped_structure,
    "a graph cut short": _cut_graph,
    "a graph with zeros": _zeroed_graph,
    "no graph": _garbage_graph,
    "another output": _edited(_another_output),
    "an output less": _edited(_an_output_less),
    "an output of another kind": _edited(_an_output_of_another_kind),
    "an output of another shape": _edited(_an_output_of_another_shape),
    "another input": _edited(_another_input),
    "an input of another shape": _edited(_an_input_of_another_shape),
    "no optional input": _edited(_no_optional_input),
    "weights of another size": _edited(_another_size_of_weights),
    "sparse weights": _edited(_sparse_weights),
    "other weights": _edited(_other_weights),
    "a node less": _edited(_a_node_less),
    "another operator": _edited(_another_operator),
    "another attribute": _edited(_another_attribute),
    "a large value": _edited(_a_large_value),
    "a bent golden picture": _bent_picture,
    "a member less": _a_member_less,
    "a member more": _a_member_more,
    "flipped bits of the file": _flipped_file,
    "a file cut short": _cut_file,
}
