"""Models that somebody bent are refused in one sentence, or inspect as ever; nothing else."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_models as hostile
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from plates import dented, save, save_good
from running import Cli, finished

from blemish.cli import main
from blemish.errors import ArtifactError, BlemishError, ImageError
from blemish.images import Recipe, crop_boxes
from blemish.inspector import Inspector
from blemish.model.artifact import open_artifact

SIDE = 64
Nodes = list[onnx.NodeProto]

seeds = st.integers(0, 2**32)
in_one_place = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_good(tmp_path_factory.mktemp("pictures"), range(100, 103))


def check_sentence(error: BlemishError, *names: Path) -> None:
    said = str(error)
    assert all(str(name) in said for name in names)
    assert said.isprintable(), said
    assert len(said) < 700, said


@given(st.sampled_from(sorted(hostile.KINDS)), seeds)
@settings(in_one_place, max_examples=120)
def test_a_bent_model_is_refused_or_inspects(
    model: Path, tmp_path: Path, kind: str, seed: int
) -> None:
    bent = tmp_path / "bent.blemish"
    bent.write_bytes(hostile.mutant(model.read_bytes(), seed, kind).data)
    try:
        verdict = Inspector.open(bent).inspect(dented(200))
    except BlemishError as error:
        check_sentence(error, bent)
    else:
        assert verdict.score is not None


VERBS = {
    "inspect": ("{model}", "{plates}/test", "--json", "{out}/v.json"),
    "evaluate": ("{model}", "{plates}", "--json", "{out}/e.json"),
    "calibrate": ("{model}", "{pictures}", "-o", "{out}/again.blemish"),
    "export": ("{model}", "--to", "onnx", "-o", "{out}/line"),
}


@pytest.mark.parametrize("verb", VERBS)
@given(st.sampled_from(sorted(hostile.KINDS)), seeds)
@in_one_place
def test_a_verb_with_a_bent_model_ends_in_a_sentence(
    model: Path, plates: Path, pictures: Path, tmp_path: Path, verb: str, kind: str, seed: int
) -> None:
    bent = tmp_path / "bent.blemish"
    bent.write_bytes(hostile.mutant(model.read_bytes(), seed, kind).data)
    named = {"model": bent, "plates": plates, "pictures": pictures, "out": tmp_path}
    words = [word.format(**named) for word in VERBS[verb]]
    try:
        assert main([verb, *words, "--quiet", "--debug"]) in (0, 2)  # 2: a picture unreadable
    except BlemishError as error:  # with --debug, that and all else comes through
        check_sentence(error)


@pytest.mark.parametrize(
    "kind", ["no graph", "another output", "a bent golden picture", "a deep entry of the card"]
)
def test_nothing_is_printed_but_the_sentence(
    model: Path, pictures: Path, tmp_path: Path, kind: str
) -> None:
    """In a process of its own: libraries print past Python."""
    bent = tmp_path / "bent.blemish"
    seed = next(
        s for s in range(99) if is_refused(bent, hostile.mutant(model.read_bytes(), s, kind))
    )
    bent.write_bytes(hostile.mutant(model.read_bytes(), seed, kind).data)
    run = finished(["inspect", bent, pictures])
    run.refusal(bent)
    assert run.out == ""


def is_refused(path: Path, mutant: hostile.Mutant) -> bool:
    path.write_bytes(mutant.data)
    try:
        Inspector.open(path)
    except BlemishError:
        return True
    return False


# Graphs.


def graph(
    nodes: Nodes = (),  # type: ignore[assignment]
    constants: dict[str, Any] | None = None,
    *,
    map_: str = "grey",
    score: str = "peak",
    outputs: tuple[str, ...] = ("map", "score"),
    kind: int = TensorProto.FLOAT,
) -> bytes:
    """A graph whose `map` is the image's mean over the channels and `score` the largest of it."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    before = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["grey"], axes=[3], keepdims=0),
        helper.make_node("ReduceMax", ["grey"], ["peak"], axes=[1, 2], keepdims=0),
    ]
    after = [
        helper.make_node("Identity", [map_], ["map"]),
        helper.make_node("Identity", [score], ["score"]),
    ]
    kinds = {"map": TensorProto.FLOAT, "score": kind}
    made = helper.make_graph(
        [*before, *nodes, *after],
        "greys",
        [image],
        [helper.make_tensor_value_info(name, kinds[name], None) for name in outputs],
        [numpy_helper.from_array(np.array(v), n) for n, v in (constants or {}).items()],
    )
    proto = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return proto.SerializeToString()


@pytest.fixture
def bent(model: Path, tmp_path: Path) -> Callable[[bytes], Path]:
    """The model with another graph, and without the picture to replay."""

    def write(graph: bytes, **card: Any) -> Path:
        held = hostile.members(model.read_bytes())
        values = json.loads(held["card.json"]) | card
        kept = {"model.onnx": graph, "card.json": json.dumps(values).encode()}
        path = tmp_path / "bent.blemish"
        path.write_bytes(hostile.packed(kept))
        return path

    return write


def test_a_graph_need_not_take_where_the_picture_ends(bent: Callable[..., Path]) -> None:
    inspector = Inspector.open(bent(graph()))
    white = np.full((SIDE, SIDE, 3), 200, np.uint8)
    assert inspector.look(white).score == 200
    assert inspector.look(white).map.shape == (SIDE, SIDE)


def node(op: str, inputs: list[str], **more: Any) -> Nodes:
    return [helper.make_node(op, inputs, ["odd"], **more)]


@pytest.mark.parametrize(
    ("bytes_", "said"),
    [
        (graph(outputs=("map",)), "gives no score"),
        (graph(outputs=("score",)), "gives no map"),
        (graph(node("Concat", ["peak", "peak"], axis=0), score="odd"), r"float32 \[2\] as the sc"),
        (
            graph(node("Unsqueeze", ["peak", "a"]), {"a": [1]}, score="odd"),
            r"\[n, 1\] instead",
        ),
        (
            graph(node("Unsqueeze", ["grey", "a"]), {"a": [1]}, map_="odd"),
            r"64, 64\] instead",
        ),
        (graph(node("Concat", ["grey", "grey"], axis=0), map_="odd"), r"\[2, 64, 64\] as a map"),
        (graph(node("Squeeze", ["peak"]), score="odd"), r"float32 \[\] as the score"),
        (
            graph(node("Cast", ["peak"], to=TensorProto.DOUBLE), score="odd", kind=11),
            r"tensor\(double\) \[n\] instead",
        ),
    ],
)
def test_a_graph_that_gives_something_else(
    bent: Callable[..., Path], bytes_: bytes, said: str
) -> None:
    path = bent(bytes_)
    with pytest.raises(ArtifactError, match=rf"bent\.blemish.* {said}"):
        Inspector.open(path).look(dented(200))


def test_a_card_that_names_outputs_which_the_graph_lacks(bent: Callable[..., Path]) -> None:
    path = bent(graph(), fit={"latent_channels": {"aux.z\x1b": 4}})
    with pytest.raises(ArtifactError, match=r"bent\.blemish: its graph gives no aux\.z\\x1b"):
        Inspector.open(path)


@pytest.mark.parametrize("size", [1, 65, 10**5, 10**9])
def test_a_card_that_declares_another_input_than_the_graph(
    bent: Callable[..., Path], size: int
) -> None:
    path = bent(graph(), recipe={"height": size, "width": SIDE, "resize": "squash", "window": None})
    with pytest.raises(ArtifactError, match=r"bent\.blemish.* (declares an input|takes image)"):
        Inspector.open(path)


def test_an_input_beyond_the_file_limit(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = open_artifact(model)
    monkeypatch.setenv("BLEMISH_FILE_LIMIT", "10KB")
    with pytest.raises(ArtifactError, match=r"64 x 64 pixels, which would take 0\.1 MB"):
        Inspector.of(artifact)


def endless(body: Nodes, output: str) -> bytes:
    """A graph with a loop that never ends."""
    kinds = {"turn": TensorProto.INT64, "on": TensorProto.BOOL, "held": TensorProto.FLOAT}
    shapes = {"turn": [], "on": [], "held": ["n"]}
    inputs = [helper.make_tensor_value_info(n, kinds[n], shape) for n, shape in shapes.items()]
    outputs = [
        helper.make_tensor_value_info(
            "on" if output == "held" else "still", TensorProto.BOOL, None
        ),
        helper.make_tensor_value_info(output, TensorProto.FLOAT, None),
    ]
    inner = helper.make_graph(body, "body", inputs, outputs)
    return graph(node("Loop", ["", "yes", "peak"], body=inner), {"yes": True}, score="odd")


STEPS = [
    helper.make_node("Identity", ["on"], ["still"]),
    helper.make_node("Identity", ["held"], ["kept"]),
]


def test_a_run_without_end_is_stopped(
    bent: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bent(endless(STEPS, "kept"), latency_ms={"p50": 0.1, "max": 0.1})
    monkeypatch.setattr("blemish.inspector._SHORTEST_LIMIT", 0.2)
    inspector = Inspector.open(path)
    for has_run in (False, True):  # the first run is stopped in another way
        inspector.session._has_run = has_run
        with pytest.raises(ArtifactError, match=r"bent\.blemish was stopped: .* more than 0\.2 s"):
            inspector.look(dented(200))


def test_a_run_that_cannot_be_stopped_is_left_behind(
    bent: Callable[..., Path], pictures: Path
) -> None:
    """A loop whose body does nothing never looks whether it is to stop; the process ends."""
    path = bent(endless([], "held"), latency_ms={"p50": 0.1, "max": 0.1})
    code = (
        "import sys, blemish.inspector as i, blemish.util.time_limit as t; t.GRACE = 0.1\n"
        "i._SHORTEST_LIMIT = 0.2\nfrom blemish.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    finished(["inspect", path, pictures], code=code).refusal(path, "was stopped")


@pytest.mark.parametrize("latency", [0.0, 5.0, 1e300])
def test_no_card_says_that_a_run_may_take_for_ever(
    bent: Callable[..., Path], latency: float
) -> None:
    path = bent(graph(), latency_ms={"p50": 0.0, "max": latency})
    assert Inspector.open(path).session.seconds in (10, 600)


def test_a_value_beyond_the_file_limit(
    bent: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLEMISH_FILE_LIMIT", "50MB")
    large = [
        *node("Expand", ["peak", "shape"]),
        helper.make_node("ReduceMax", ["odd"], ["most"], keepdims=0),
        helper.make_node("Add", ["peak", "most"], ["sum"]),
    ]
    path = bent(graph(large, {"shape": [3000, 20_000]}, score="sum"))
    inspector = Inspector.open(path)
    with pytest.raises(ArtifactError, match=r"bent\.blemish: running its graph would take 0\.2 GB"):
        inspector.look(dented(200))
    small = bent(graph(large, {"shape": [30, 20]}, score="sum"))
    assert Inspector.open(small).look(dented(200)).score > 0


# The picture that is replayed.


def test_a_graph_that_gives_another_score_is_refused(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.blemish"
    other.write_bytes(hostile.with_graph(model.read_bytes(), graph()))
    with pytest.raises(ArtifactError, match=r"other\.blemish gives .* instead of"):
        Inspector.open(other)


@pytest.mark.parametrize("scores", [(0.0, 1e-4, 2e-5), (0.0, -1e-4, 2e-5), (0.05, 1e-4, 2e-5)])
def test_small_scores_are_compared_as_closely_as_large_ones(
    bent: Callable[..., Path], model: Path, tmp_path: Path, scores: tuple[float, float, float]
) -> None:
    given_, expected, threshold = scores
    held = hostile.members(model.read_bytes())
    card = json.loads(held["card.json"])
    card["golden_score"] = expected
    card["calibration"]["threshold"] = threshold
    held["card.json"] = json.dumps(card).encode()
    held["model.onnx"] = graph(
        [*node("Mul", ["peak", "zero"]), helper.make_node("Add", ["odd", "given"], ["sum"])],
        {"zero": np.float32(0), "given": np.float32(given_)},
        score="sum",
    )
    path = tmp_path / "small.blemish"
    path.write_bytes(hostile.packed(held))
    with pytest.raises(ArtifactError, match="computes something else"):
        Inspector.open(path)


def test_a_map_that_is_no_number_on_the_picture_is_refused(model: Path, tmp_path: Path) -> None:
    artifact = open_artifact(model)
    proto = onnx.load_from_string(artifact.model)
    hostile._rename(proto.graph, "map", "sound")
    proto.graph.node.append(helper.make_node("Sqrt", ["below"], ["map"]))
    proto.graph.node.insert(-1, helper.make_node("Sub", ["sound", "much"], ["below"]))
    proto.graph.initializer.append(numpy_helper.from_array(np.float32(1e9), "much"))
    path = tmp_path / "odd.blemish"
    path.write_bytes(hostile.with_graph(model.read_bytes(), proto.SerializeToString()))
    with pytest.raises(ArtifactError, match=r"odd\.blemish cannot inspect the picture kept in it"):
        Inspector.open(path)


def test_a_model_without_the_picture_opens_as_before(model: Path, tmp_path: Path) -> None:
    held = hostile.members(model.read_bytes())
    path = tmp_path / "old.blemish"
    path.write_bytes(hostile.packed({n: d for n, d in held.items() if not n.startswith("golden")}))
    picture = dented(200)
    assert Inspector.open(path).look(picture).score == Inspector.open(model).look(picture).score


@pytest.mark.parametrize("name", [hostile.RAW, hostile.TENSOR])
def test_half_a_golden_pair_is_none(model: Path, tmp_path: Path, name: str) -> None:
    held = hostile.members(model.read_bytes())
    path = tmp_path / "half.blemish"
    path.write_bytes(hostile.packed({n: data for n, data in held.items() if n != name}))
    with pytest.raises(ArtifactError, match=rf"half\.blemish has no {name}"):
        Inspector.open(path)


# Cards.


@pytest.mark.parametrize(
    "changes",
    [
        {"good_parts": -1},
        {"good_parts": 0},
        {"good_parts": 10**30},
        {"rank": -1},
        {"rank": 10**6},
        {"parts_needed": 0},
        {"parts_needed": -299},
        {"parts_needed": 10**30},
        {"parts_left_out": -1},
        {"required_views": "top"},
    ],
)
def test_a_calibration_that_cannot_be(model: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    held = hostile.members(model.read_bytes())
    card = json.loads(held["card.json"])
    card["calibration"] |= changes
    path = tmp_path / "odd.blemish"
    path.write_bytes(hostile.with_card(model.read_bytes(), json.dumps(card)))
    with pytest.raises(ArtifactError, match=r"odd\.blemish"):
        open_artifact(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"schema": 1', '"schema": true', "has schema True"),
        ('"schema": 1', '"schema": -1', "has schema -1"),
        ('"schema": 1', '"schema": 1.0', r"has schema 1\.0"),
        ('"schema": 1', '"schema": 1, "fit": {}', "'fit' is there twice"),
        ('"p50":', '"max": 1, "p50":', "'max' is there twice"),
        ('"schema": 1', f'"schema": {"[" * 10**5}1{"]" * 10**5}', "nested too deeply"),
        ('"schema": 1', '"schema": ' + "9" * 5000, "cannot be read"),
        ('"p50": ', '"p50": -', "latency_ms.p50"),
        ('"seed": ', '"seed": -1', "data.seed"),
        ('"resize": "pad"', '"resize": "' + "x" * 10**6 + '"', r"x \.\.\."),
    ],
)
def test_a_card_that_cannot_be(model: Path, tmp_path: Path, old: str, new: str, said: str) -> None:
    text = hostile.members(model.read_bytes())["card.json"].decode()
    text = text.replace('"squash"', '"pad"')
    assert old in text
    path = tmp_path / "odd.blemish"
    path.write_bytes(hostile.with_card(model.read_bytes(), text.replace(old, new, 1)))
    with pytest.raises(ArtifactError, match=rf"odd\.blemish.*{said}") as refused:
        open_artifact(path)
    check_sentence(refused.value)


def test_a_card_beyond_the_file_limit(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its values take more memory than its text, and nothing of them is there yet."""
    path = tmp_path / "odd.blemish"
    path.write_bytes(hostile.with_card(model.read_bytes(), "{}" + " " * 10_000_000))
    monkeypatch.setenv("BLEMISH_FILE_LIMIT", "100MB")

    def no_look(*_: object, **__: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(zipfile.ZipFile, "read", no_look)
    with pytest.raises(ArtifactError, match=r"would take 0\.6 GB of memory.*LIMIT=1GB"):
        open_artifact(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fit": {str(i): i for i in range(20_000)}}, "far more than usual"),
        ({"detector": {"name": "padim", "settings": {"a": [0] * 50_000}}}, "far more than usual"),
        ({"fit": None}, "fit"),
        ({"schema": 2}, "has schema 2"),
        ({"recipe": {"height": 0, "width": 9}}, "no pixels"),
    ],
)
def test_a_large_card_is_refused_before_its_values_are_made(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, said: str
) -> None:
    card = json.loads(hostile.members(model.read_bytes())["card.json"])
    card["data"]["trained_parts"] = [f"part {i}" for i in range(10_000)]
    path = tmp_path / "large.blemish"
    path.write_bytes(hostile.with_card(model.read_bytes(), json.dumps(card)))
    assert len(open_artifact(path).card.data.trained_parts) == 10_000
    path.write_bytes(hostile.with_card(model.read_bytes(), json.dumps(card | change)))

    def no_values(*_: object, **__: object) -> None:
        raise AssertionError("its values were made")

    monkeypatch.setattr("blemish.model.card.Card.from_json", no_values)
    with pytest.raises(ArtifactError, match=rf"large\.blemish.*{said}"):
        open_artifact(path)


@pytest.mark.parametrize(
    ("tile", "overlap"), [(1, 0.0), (300, 0.999999), (2, 0.5)], ids=["tiny", "step", "half"]
)
def test_a_picture_is_not_cut_into_countless_tiles(tile: int, overlap: float) -> None:
    recipe = Recipe(SIDE, SIDE, tile=tile, overlap=overlap)
    with pytest.raises(ImageError, match=r"cut into [\d,]+ tiles of .* more than 20,000"):
        crop_boxes((1000, 1200), recipe)
    assert len(crop_boxes((100, 120), recipe)) <= 20_000


# What is opened.


def test_a_file_that_has_no_end_is_no_model(cli: Cli, pictures: Path, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.blemish"
    with sparse.open("wb") as file:
        file.truncate(1 << 40)
    cli("inspect", sparse, pictures).refusal(sparse, "cannot be read", "BLEMISH_FILE_LIMIT")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither")
def test_a_device_or_a_pipe_is_no_model(pictures: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.blemish"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        run = finished(["inspect", path, pictures])  # a process that can be ended if it waits
        run.refusal(path, "cannot be read", "no file")


@pytest.mark.parametrize("large", [False, True], ids=["as usual", "as of files beyond 4 GB"])
def test_a_directory_with_more_entries_than_a_model_can_have(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    data = model.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    start = struct.unpack("<I", data[end + 16 : end + 20])[0]
    directory = data[start : start + 56] * 50_000  # 56: that of model.onnx
    record = bytearray(data[end:])
    struct.pack_into("<II", record, 12, len(directory), start)
    if large:
        head = struct.pack(
            "<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, *2 * [50_000], len(directory), start
        )
        record[12:20] = b"\xff" * 8
        record = (
            bytearray(head + struct.pack("<4sIQI", b"PK\6\7", 0, start + len(directory), 1))
            + record
        )
    path = tmp_path / "many.blemish"
    path.write_bytes(data[:start] + directory + bytes(record))
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == 50_000

    def no_look(*_: object, **__: object) -> None:
        raise AssertionError("zipfile saw the directory")

    monkeypatch.setattr(zipfile, "ZipFile", no_look)
    with pytest.raises(ArtifactError, match=r"many\.blemish has more members than a model"):
        open_artifact(path)


def test_a_zip_of_something_else_is_shown_as_text(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("\x1b[2J" + "x" * 5000, b"")
    path = tmp_path / "odd.blemish"
    path.write_bytes(file.getvalue())
    with pytest.raises(ArtifactError, match=r"it holds \\x1b\[2Jx+ \.\.\.") as refused:
        open_artifact(path)
    check_sentence(refused.value)


# Backbones.


def test_a_backbone_that_is_no_graph(
    cli: Cli, plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    monkeypatch.setenv("BLEMISH_BACKBONES", str(tmp_path))
    layers = [{"name": "layer1", "channels": 4, "stride": 4}]
    for name, data in (("garbage", b"none"), ("grey", graph()), ("empty", b"")):
        card = {"sha256": hashlib.sha256(data).hexdigest(), "layers": layers}
        (tmp_path / f"{name}.onnx").write_bytes(data)
        (tmp_path / f"{name}.json").write_text(json.dumps(card), encoding="utf-8")
        settings_ = ("--set", f"backbone={name}", "--set", "layers=layer1")
        out = ("-o", tmp_path / f"{name}.blemish", "--size", 64, "--quiet")
        run = cli("train", plates, *out, "--detector", "padim", *settings_)
        run.refusal(tmp_path / f"{name}.onnx")


@pytest.mark.parametrize(
    "layers", ["top", [{}], [{"name": "a", "channels": 4, "stride": 0}], {"a": 1}, [[]], None]
)
def test_a_backbone_s_card_that_cannot_be(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: Any
) -> None:
    import hashlib

    monkeypatch.setenv("BLEMISH_BACKBONES", str(tmp_path))
    (tmp_path / "odd.onnx").write_bytes(b"x")
    card = {"sha256": hashlib.sha256(b"x").hexdigest(), "layers": layers}
    (tmp_path / "odd.json").write_text(json.dumps(card), encoding="utf-8")
    run = cli("backbone", "list")
    assert run.code == 0
    assert any("odd is damaged" in line for line in run.err)


def test_the_pictures_are_sound(model: Path, pictures: Path, tmp_path: Path) -> None:
    """So that what is refused above is refused for the model."""
    verdict = Inspector.open(model).inspect(save(tmp_path / "dent.png", dented(200)))
    assert verdict.decision == "reject"
