"""Models for programs without blemish: plain ONNX Runtime, and OpenVINO once it has agreed."""

from __future__ import annotations

import dataclasses
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from plates import dented, plate, save_good
from running import Cli

from blemish import export as exporting
from blemish.errors import BlemishError
from blemish.export.openvino import import_openvino
from blemish.images import crops
from blemish.inspector import Inspector
from blemish.model.artifact import open_artifact, write_artifact

GOLDEN = ["golden/raw.png", "golden/tensor.png"]


@pytest.fixture
def openvino() -> ModuleType:
    if find_spec("openvino") is None:
        pytest.skip("the extra openvino is not installed")
    return import_openvino()


def files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def tensor(folder: Path) -> Any:
    """The golden tensor as a foreign program reads it: uint8 [1, H, W, 3] RGB."""
    image = cv2.imdecode(np.fromfile(folder / "golden/tensor.png", np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(image[None, :, :, ::-1])


# ONNX.


def test_plain_onnxruntime_gives_the_inspector_s_score(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    run = cli("export", model, "--to", "onnx", "-o", tmp_path / "line")
    assert run.code == 0
    assert files(tmp_path / "line") == ["card.json", *GOLDEN, "model.onnx"]
    assert len(run.out.splitlines()) == 4
    card = json.loads((tmp_path / "line/card.json").read_text(encoding="utf-8"))
    assert card == open_artifact(model).card.to_json()
    onnx.checker.check_model(onnx.load(tmp_path / "line/model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(
        tmp_path / "line/model.onnx", providers=["CPUExecutionProvider"]
    )
    map_, score = session.run(["map", "score"], {"image": tensor(tmp_path / "line")})
    assert score[0] == pytest.approx(card["golden_score"], rel=1e-4)
    assert map_.shape == (1, 8, 8)
    raw = cv2.imread(str(tmp_path / "line/golden/raw.png"))
    assert raw is not None
    look = Inspector.open(model).look(np.ascontiguousarray(raw[..., ::-1]))
    assert score[0] == pytest.approx(look.score, rel=1e-4)


def test_a_batch_scores_like_its_images(cli: Cli, model: Path, tmp_path: Path) -> None:
    cli("export", model, "--to", "onnx", "-o", tmp_path)
    session = onnxruntime.InferenceSession(
        tmp_path / "model.onnx", providers=["CPUExecutionProvider"]
    )
    inspector = Inspector.open(model)
    pictures = [plate(100), dented(200), plate(101)]
    batch = np.concatenate([c.tensor[None] for p in pictures for c in crops(p, inspector.recipe)])
    [score] = session.run(["score"], {"image": batch})
    assert score == pytest.approx([inspector.look(p).score for p in pictures], rel=1e-4)


def test_a_model_that_computes_something_else_is_not_exported(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    artifact = open_artifact(model)
    lying = tmp_path / "lying.blemish"
    write_artifact(
        lying, artifact.model, dataclasses.replace(artifact.card, golden_score=1.0), artifact.golden
    )
    cli("export", lying, "--to", "onnx", "-o", tmp_path / "out").refusal("instead of 1")
    assert not (tmp_path / "out").exists()


def test_a_format_that_does_not_exist(model: Path, tmp_path: Path) -> None:
    with pytest.raises(BlemishError, match="'tflite'; choose onnx or openvino"):
        exporting.export(model, "tflite", tmp_path)


# OpenVINO.


def test_openvino_gives_the_same_scores(
    cli: Cli, model: Path, tmp_path: Path, openvino: ModuleType
) -> None:
    images = save_good(tmp_path / "images", range(100, 103))
    out = tmp_path / "line"
    run = cli("export", model, "--to", "openvino", "-o", out, "--images", images)
    assert (run.code, run.err) == (0, [])
    assert files(out) == ["card.json", *GOLDEN, "model.bin", "model.xml"]
    network = openvino.Core().compile_model(
        out / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    [found] = network({"image": tensor(out)})["score"]
    assert found == pytest.approx(open_artifact(model).card.golden_score, rel=1e-3)


def test_openvino_takes_padded_pictures(
    cli: Cli, plates: Path, tmp_path: Path, openvino: ModuleType
) -> None:
    """The padding is told by the input `valid`, which must survive the conversion."""
    model, out = tmp_path / "m.blemish", tmp_path / "line"
    quick = ("--size", 64, "--detector", "patchcore", "--set", "bank=50", "--resize", "pad")
    assert cli("train", plates, "-o", model, *quick).code == 0
    assert cli("export", model, "--to", "openvino", "-o", out).code == 0
    network = openvino.Core().compile_model(
        out / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    inspector = Inspector.open(model)
    [crop] = crops(dented(200), inspector.recipe)
    assert crop.valid.tolist() == [0, 0, 51, 64]
    [found] = network({"image": crop.tensor[None], "valid": crop.valid[None]})["score"]
    assert found == pytest.approx(inspector.look(dented(200)).score, rel=1e-3)


def test_openvino_is_not_written_when_it_disagrees(
    cli: Cli,
    model: Path,
    tmp_path: Path,
    openvino: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compile_model = openvino.Core.compile_model

    def slightly_off(core: Any, *arguments: Any) -> Any:
        compiled = compile_model(core, *arguments)

        class Off:
            inputs = compiled.inputs

            def __call__(self, feed: Any) -> dict[str, Any]:
                found = compiled(feed)
                return {"score": found["score"] * 1.01, "map": found["map"]}

        return Off()

    monkeypatch.setattr(openvino.Core, "compile_model", slightly_off)
    run = cli("export", model, "--to", "openvino", "-o", tmp_path / "line")
    run.refusal(model, "was not exported", "OpenVINO differs from ONNX Runtime by 0.01")
    assert not (tmp_path / "line").exists()


def test_openvino_that_is_not_installed(
    cli: Cli, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    run = cli("export", model, "--to", "openvino", "-o", tmp_path / "line")
    run.refusal("pip install 'blemish[openvino]'")
    assert not (tmp_path / "line").exists()
