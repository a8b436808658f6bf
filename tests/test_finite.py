"""A number that is no number never passes a part, wherever it comes in."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from plates import save
from running import Cli

from blemish.calibration.part_calibration import HeldOut, calibrate_parts
from blemish.calibration.promise import Calibration, Promise
from blemish.calibration.views import Scale, decide, part_score
from blemish.detectors.base import FittedDetector
from blemish.errors import ArtifactError, BlemishError, CalibrationError, ImageError
from blemish.export import export
from blemish.images import Window
from blemish.inspector import Inspector
from blemish.model.artifact import Artifact, open_artifact, write_artifact
from blemish.model.card import Card
from blemish.util.finite import all_usable, is_finite, not_finite

SIDE = 64
# The grey value of a pixel that the graph below turns into each of these.
GREY_OF = {"NaN": 251, "+inf": 252, "-inf": 253, "3e38": 254}
NUMBER_OF = {"NaN": math.nan, "+inf": math.inf, "-inf": -math.inf}
GOOD = 10
PLANES = {"map": 0, "score": 1, "aux": 2}

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

words = st.sampled_from(sorted(GREY_OF))
planes = st.sampled_from(sorted(PLANES))
not_numbers = st.sampled_from([math.nan, math.inf, -math.inf])


def graph() -> bytes:
    """`map` from red, the largest green as `score`, `aux.z` from blue; 250 grey levels are 1."""
    table = np.arange(256, dtype=np.float32) / 250
    table[list(GREY_OF.values())] = [np.nan, np.inf, -np.inf, 3e38]
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.INT64),
        helper.make_node("Split", ["numbers"], ["r", "g", "b"], axis=3, num_outputs=3),
        helper.make_node("Squeeze", ["r", "last"], ["red"]),
        helper.make_node("Squeeze", ["b", "last"], ["blue"]),
        helper.make_node("ReduceMax", ["g", "inner"], ["green"], keepdims=0),
        helper.make_node("Gather", ["table", "red"], ["map"]),
        helper.make_node("Gather", ["table", "green"], ["score"]),
        helper.make_node("Gather", ["table", "blue"], ["aux.z"]),
    ]
    constants = {
        "table": table,
        "last": np.array([3]),
        "inner": np.array([1, 2, 3]),
        "valid": np.array([[0, 0, SIDE, SIDE]], np.float32),
    }
    outputs = {"map": [None, SIDE, SIDE], "score": [None], "aux.z": [None, SIDE, SIDE]}
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [None, SIDE, SIDE, 3])
    valid = helper.make_tensor_value_info("valid", TensorProto.FLOAT, [None, 4])
    made = helper.make_graph(
        nodes,
        "greys",
        [image, valid],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    model: bytes = helper.make_model(made, opset_imports=opset, ir_version=10).SerializeToString()
    return model


@pytest.fixture(scope="module")
def artifact(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A model of the graph above, with a sound card: tiles of 64, three views, scales of each."""
    sound = open_artifact(model)
    scale = {"median": 0.1, "mad": 0.1, "scores": 9}
    scales = {"scales": dict.fromkeys("ABC", scale), "together": scale}
    calibration = {
        "threshold": 0.5,
        "map_threshold": 0.5,
        "required_views": ["A", "B", "C"],
    }
    values = sound.card.to_json()
    card = Card.from_json(
        values
        | {
            "recipe": values["recipe"] | {"resize": "squash", "tile": SIDE, "overlap": 0.0},
            "calibration": values["calibration"] | calibration,
            "views": scales,
            "fit": values["fit"] | {"latent_channels": {"aux.z": 4}},
        }
    )
    path = tmp_path_factory.mktemp("finite") / "greys.blemish"
    write_artifact(path, graph(), card)
    return open_artifact(path)


@pytest.fixture(scope="module")
def inspector(artifact: Artifact) -> Inspector:
    return Inspector.of(artifact)


def good_picture() -> Pixels:
    """Two tiles by two, all good."""
    return np.full((2 * SIDE, 2 * SIDE, 3), GOOD, np.uint8)


def spoilt_picture(word: str, plane: str, row: int, column: int) -> Pixels:
    """A good picture with one cell of one tile that the graph makes no number of."""
    picture = good_picture()
    picture[row, column, PLANES[plane]] = GREY_OF[word]
    return picture


def with_card(artifact: Artifact, folder: Path, text: str) -> Path:
    """A model with that text for its card and the right hashes, as a stranger may write it."""
    import hashlib

    held = {"model.onnx": artifact.model, "card.json": text.encode(), **artifact.members}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in held.items()}
    path = folder / "foreign.blemish"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**held, "sha256": json.dumps(hashes).encode()}.items():
            archive.writestr(name, data)
    return path


# One cell, one tile, one view.


def test_good_pictures_pass(inspector: Inspector) -> None:
    assert inspector.inspect([(view, good_picture()) for view in "ABC"]).decision == "pass"


@given(words, planes, st.integers(0, 2 * SIDE - 1), st.integers(0, 2 * SIDE - 1), st.integers(0, 2))
def test_one_cell_of_one_tile_of_one_view_never_passes(
    inspector: Inspector, word: str, plane: str, row: int, column: int, view: int
) -> None:
    pictures = [good_picture()] * 3
    pictures[view] = spoilt_picture(word, plane, row, column)
    with pytest.raises(ImageError, match="not finite"):
        inspector.inspect(list(zip("ABC", pictures, strict=True)))


@given(words, st.sampled_from(["map", "score"]))
def test_a_fitted_detector_gives_no_such_number(artifact: Artifact, word: str, plane: str) -> None:
    picture = spoilt_picture(word, plane, 3, 3)[None, :SIDE, :SIDE].copy()
    with pytest.raises(ImageError, match="not finite"):
        FittedDetector(artifact.model, SIDE, SIDE).score(picture)


@pytest.mark.parametrize("plane", sorted(PLANES))
@pytest.mark.parametrize("word", sorted(GREY_OF))
def test_the_command_line_says_which_picture(
    artifact: Artifact, cli: Cli, tmp_path: Path, word: str, plane: str
) -> None:
    for view in "AC":
        save(tmp_path / f"p_{view}.png", good_picture())
    bad = save(tmp_path / "p_B.png", spoilt_picture(word, plane, 70, 3))
    pattern = ("--part-pattern", r"(?P<part>p)_(?P<view>[ABC])")
    cli("inspect", artifact.path, tmp_path, *pattern, "--json").refusal(bad, "not finite")
    labelled = tmp_path / "set"
    for path in sorted(tmp_path.glob("p_*.png")):
        (labelled / "test" / "good").mkdir(parents=True, exist_ok=True)
        path.rename(labelled / "test" / "good" / path.name)
    cli("evaluate", artifact.path, labelled, *pattern).refusal("p_B.png", "not finite")


@pytest.mark.parametrize("word", sorted(GREY_OF))
def test_no_threshold_is_set_on_it(artifact: Artifact, cli: Cli, tmp_path: Path, word: str) -> None:
    before = artifact.path.read_bytes()
    for part in range(3):
        for view in "ABC":
            picture = good_picture()
            if (part, view) == (1, "B"):
                picture = spoilt_picture(word, "score", 0, 0)
            picture[-1, -1] += part  # no part is a copy of another
            save(tmp_path / "good" / f"{part}_{view}.png", picture)
    pattern = ("--part-pattern", r"(?P<part>\d)_(?P<view>[ABC])")
    cli("calibrate", artifact.path, tmp_path / "good", *pattern).refusal("1_B.png", "not finite")
    assert artifact.path.read_bytes() == before


# Numbers in a card.


def leaves(value: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every number in a JSON value."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*steps, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield steps


def changed(value: Any, steps: tuple[Any, ...], new: Any) -> Any:
    """A copy of a JSON value with another one at the end of that way."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for step in steps[:-1]:
        inner = inner[step]
    inner[steps[-1]] = new
    return copy


@given(st.data(), not_numbers)
def test_no_number_of_a_card_may_be_none(
    artifact: Artifact,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    number: float,
) -> None:
    steps = data.draw(st.sampled_from(sorted(leaves(artifact.card.to_json()), key=str)))
    text = json.dumps(changed(artifact.card.to_json(), steps, number))
    path = with_card(artifact, tmp_path_factory.mktemp("card"), text)
    with pytest.raises(ArtifactError, match=str(steps[-1])):
        open_artifact(path)


DECIDING = {
    "threshold": ("calibration", "threshold"),
    "map threshold": ("calibration", "map_threshold"),
    "window": ("recipe", "window", "low"),
    "median of a view": ("views", "scales", "B", "median"),
    "unit of a view": ("views", "scales", "B", "mad"),
    "unit of all views": ("views", "together", "mad"),
}


@pytest.mark.parametrize("where", sorted(DECIDING))
@pytest.mark.parametrize(
    "literal", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, '"NaN"', "null", "true"]
)
def test_a_card_that_decides_nothing_is_refused(
    artifact: Artifact, cli: Cli, tmp_path: Path, where: str, literal: str
) -> None:
    sound = changed(artifact.card.to_json(), ("recipe", "window"), {"low": 0.0, "high": 255.0})
    card = changed(sound, DECIDING[where], "@")
    path = with_card(artifact, tmp_path, json.dumps(card).replace('"@"', literal))
    picture = save(tmp_path / "a.png", good_picture())
    cli("inspect", path, picture, "--json").refusal(path)
    cli("evaluate", path, tmp_path).refusal(path)
    cli("export", path, "--to", "onnx", "-o", tmp_path / "out").refusal(path)
    assert not (tmp_path / "out").exists()


def test_a_card_without_end_is_refused(artifact: Artifact, tmp_path: Path) -> None:
    path = with_card(artifact, tmp_path, "[" * 100_000)
    with pytest.raises(ArtifactError, match="damaged"):
        open_artifact(path)


@given(st.sampled_from([0, -5, 10**30]))
def test_no_latent_has_such_a_number_of_channels(artifact: Artifact, channels: int) -> None:
    fit = artifact.card.fit | {"latent_channels": {"aux.z": channels}}
    with pytest.raises(ValueError, match="channels"):
        Card.from_json(artifact.card.to_json() | {"fit": fit})


@given(not_numbers, st.sampled_from(["threshold", "upper_bound"]))
def test_no_calibration_has_such_a_number(number: float, name: str) -> None:
    sound = Calibration(0.5, Promise(), 9, None, 0.3, True, 299)
    with pytest.raises(CalibrationError):
        replace(sound, **{name: number})


# Decisions.


@given(not_numbers, st.lists(st.floats(0, 1), max_size=3))
def test_no_decision_on_a_threshold_that_is_no_number(
    threshold: float, scores: list[float]
) -> None:
    with pytest.raises(CalibrationError):
        decide({str(view): score for view, score in enumerate(scores)}, threshold)


@given(st.lists(st.floats(0, 1), max_size=3), not_numbers, st.integers(0, 3))
def test_no_decision_on_a_score_that_is_no_number(
    scores: list[float], number: float, place: int
) -> None:
    scores.insert(place, number)
    with pytest.raises(ImageError):
        part_score(scores)
    with pytest.raises(ImageError):
        decide({str(view): score for view, score in enumerate(scores)}, 0.5)


@given(st.integers(0, 5), st.sampled_from(["score", "peak"]), not_numbers)
def test_no_threshold_from_a_held_out_score_that_is_no_number(
    place: int, name: str, number: float
) -> None:
    values = [{"score": 0.1, "peak": 0.2} for _ in range(6)]
    values[place][name] = number
    with pytest.raises(CalibrationError, match="part 1" if place > 2 else "part 0"):
        calibrate_parts(
            [
                HeldOut(f"part {i // 3}", "ABC"[i % 3], **numbers)
                for i, numbers in enumerate(values)
            ],
            Promise(),
        )


@given(not_numbers, st.sampled_from(["median", "mad"]))
def test_no_view_is_measured_on_such_a_scale(number: float, name: str) -> None:
    sound = {"median": 0.1, "mad": 0.1, "scores": 9}
    with pytest.raises(CalibrationError):
        Scale(**(sound | {name: number}))


# The kept picture, other runtimes, settings.


@pytest.mark.parametrize("expected", [math.nan, math.inf])
def test_a_kept_picture_without_a_score_does_not_agree(model: Path, expected: float) -> None:
    artifact = open_artifact(model)
    with pytest.raises(ArtifactError):
        Inspector.of(replace(artifact, card=replace(artifact.card, golden_score=expected)))


def test_another_runtime_that_computes_no_number_does_not_agree(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")

    def compiled(*_: Any) -> Any:
        class Network:
            inputs: tuple[Any, ...] = ()

            def __call__(self, _: Any) -> dict[str, Any]:
                return {"score": np.array([np.nan]), "map": np.zeros(1)}

        return Network()

    monkeypatch.setattr(openvino.Core, "compile_model", compiled)
    with pytest.raises(ArtifactError, match="not exported"):
        export(model, "openvino", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@given(st.sampled_from(["nan", "inf", "-inf", "1e999", "inf/1"]))
def test_no_setting_is_such_a_number(text: str) -> None:
    from blemish.detectors import open_detector

    for name, settings in (("patchcore", "keep"), ("padim", "regularization")):
        with pytest.raises(BlemishError, match=settings):
            open_detector(name, {settings: text})


@pytest.mark.parametrize("low", [math.nan, -math.inf, -1e39, "0", None, True])
def test_no_window_has_such_an_end(low: Any) -> None:
    with pytest.raises(ImageError):
        Window(low, 100.0)


@given(st.one_of(not_numbers, st.booleans(), st.none(), st.text(), st.just(10**400)))
def test_what_is_no_finite_number(value: Any) -> None:
    assert not is_finite(value)


@given(st.one_of(st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False)))
def test_what_is_one(value: float) -> None:
    assert is_finite(value)
    assert is_finite(np.float64(value))
    assert not_finite({"a": [value, {"b": value}]}) is None


def test_the_number_that_is_not_finite_is_named() -> None:
    assert not_finite({"a": [1, {"b": math.nan}]}) == "a[1].b"
    assert not_finite({"ok": True, "long": 10**400}) == "long"


@given(st.integers(0, 11), st.sampled_from([np.nan, np.inf, -np.inf, 3e38]))
def test_an_array_with_one_such_number_is_not_usable(place: int, number: float) -> None:
    values = np.zeros((3, 4), np.float32)
    assert all_usable(values)
    values.flat[place] = number
    assert not all_usable(values)
    assert not all_usable(values.astype(np.float64))
    with np.errstate(over="ignore"):
        assert not all_usable(values.astype(np.float16))
    assert not all_usable(np.zeros(0, np.float32))
    assert not all_usable(np.array(["nan"], object))


def test_the_graph_is_one_that_onnx_accepts() -> None:
    onnx.checker.check_model(onnx.load_from_string(graph()))
