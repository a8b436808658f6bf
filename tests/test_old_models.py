"""What earlier code wrote opens, and says what it said then: models, split files, kept results."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from running import Cli

OLD = Path(__file__).parent / "fixtures" / "old"
MODELS = {path.stem: path for path in sorted(OLD.glob("*/*.blemish"))}
SAID = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in OLD.glob("said/*")}
SINCE = {"time", "lot", "graph"}
TIMES = {"seconds", "images_per_second"}


@pytest.fixture(autouse=True)
def _among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(OLD)
    monkeypatch.setenv("BLEMISH_BACKBONES", str(OLD / "backbones"))


def said(keys: str, *names: str) -> list[Any]:
    """The commands whose keys begin so with their JSON, of all models or of the files named."""
    return [
        pytest.param(entry["command"], entry["json"], id=f"{name}-{key}".replace(" ", "-"))
        for name in names or MODELS
        for key, entry in SAID[name].items()
        if key.startswith(keys)
    ]


def printed(cli: Cli, command: list[str]) -> Any:
    """The JSON that a command prints."""
    run = cli(*command, "--json", "-")
    assert run.code == 0, run.err
    return json.loads(run.out)


def check_same(found: Any, expected: Any, where: str = "") -> None:
    """The same keys, words and counts, and numbers to 1e-4 of themselves."""
    if where.endswith(".regions"):
        check_same_regions(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key, value in expected.items():
            check_same(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for number, value in enumerate(expected):
            check_same(found[number], value, f"{where}[{number}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-9), where
    elif isinstance(expected, str):
        assert found.replace("\\", "/").removeprefix(f"{OLD.as_posix()}/") == expected, where
    else:
        assert found == expected, where


def check_same_regions(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """The same places: on another processor a pixel at the rim may fall on the other side."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        assert one["value"] == pytest.approx(other["value"], rel=1e-4)
        assert one["box"] == pytest.approx(other["box"], abs=1)
        assert one["area"] == pytest.approx(other["area"], rel=0.05, abs=2)


def card_of(model: Path) -> dict[str, Any]:
    with zipfile.ZipFile(model) as archive:
        card: dict[str, Any] = json.loads(archive.read("card.json"))
        return card


def kept_defects(model: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(model) as archive:
        names = [name for name in archive.namelist() if name.startswith("defects/")]
        return {name: archive.read(name) for name in names}


def set_by(card: dict[str, Any]) -> set[str]:
    """The parts that set the threshold."""
    return {entry["part"] for entry in card["calibration"]["scores"]}


# Models.


@pytest.mark.parametrize(("command", "expected"), said("inspect"))
def test_a_model_gives_the_same_verdicts(cli: Cli, command: list[str], expected: Any) -> None:
    found = printed(cli, command)
    for verdict in found:  # what earlier versions did not tell
        assert verdict.keys() >= SINCE
        for key in SINCE:
            del verdict[key]
    check_same(found, expected)


@pytest.mark.parametrize(("command", "expected"), said("evaluate"))
def test_a_model_has_the_same_figures(
    cli: Cli, tmp_path: Path, command: list[str], expected: Any
) -> None:
    found = printed(cli, [*command, "--report", str(tmp_path)])
    assert found.keys() >= TIMES
    ignored = TIMES | {"findings"}  # what is odd about masks, which earlier versions did not tell
    check_same({key: value for key, value in found.items() if key not in ignored}, expected)
    assert (tmp_path / "report.html").is_file()


def check_kept(new: dict[str, Any], old: dict[str, Any]) -> None:
    """`new` says what `old` says, and may add entries, with what models without them meant."""
    for key, value in new.items():
        if isinstance(value, dict) and key in old:
            check_kept(value, old[key])
        else:
            assert value == old.get(key, {"device": "cpu", "margin": 0}.get(key))


@pytest.mark.parametrize(("command", "expected"), said("calibrate"))
def test_a_threshold_is_set_anew(
    cli: Cli, tmp_path: Path, command: list[str], expected: Any
) -> None:
    out = tmp_path / "again.blemish"
    check_same(printed(cli, [str(out) if word == "{out}" else word for word in command]), expected)
    old, new = card_of(OLD / command[1]), card_of(out)
    assert new.pop("data")["recalibrated_on"] == "new_good"
    check_same(new.pop("calibration"), expected)
    check_kept(new, old)


def test_a_model_knows_what_it_learnt_from(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "again.blemish"
    run = cli("calibrate", "models/padim.blemish", "plates/train/good", "-o", out)
    run.refusal("plates/train/good", "were used to train")


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_is_exported_with_its_card(cli: Cli, tmp_path: Path, model: Path) -> None:
    """The golden picture in it gets its score, or nothing is written."""
    assert cli("export", model, "--to", "onnx", "-o", tmp_path).code == 0
    assert json.loads((tmp_path / "card.json").read_text(encoding="utf-8")) == card_of(model)
    with zipfile.ZipFile(model) as archive:
        for name in ("model.onnx", "golden/raw.png", "golden/tensor.png"):
            assert (tmp_path / name).read_bytes() == archive.read(name)


@pytest.mark.parametrize("name", ["mixed", "mixed-first", "mixed-continued"])
def test_a_training_goes_on_from_a_model(cli: Cli, tmp_path: Path, name: str) -> None:
    pytest.importorskip("torch")
    old, out = MODELS[name], tmp_path / "next.blemish"
    new = shutil.copytree("new_defects", tmp_path / "new")
    if name == "mixed-continued":  # which knows those already
        for picture in new.glob("*/0*.png"):
            picture.unlink()
        shutil.copy("plates/test/dent/00.png", new / "scratch/02.png")
        shutil.rmtree(new / "ground_truth")
    run = cli("train", "taught", "-o", out, "--from", old, "--defects", new, "--quiet")
    assert run.code == 0, run.err
    before, after = card_of(old), card_of(out)
    assert after["detector"]["name"] == "mixed"
    assert after["backbone"] == before["backbone"]
    assert after["recipe"] == before["recipe"]
    assert kept_defects(old).items() <= kept_defects(out).items()
    assert set_by(after) == set_by(before)
    assert set(before["data"]["trained_parts"]) & set(after["data"]["trained_parts"])
    assert after["comparison"]["parts"] == 6
    if name == "mixed":
        expected = card_of(MODELS["mixed-continued"])
        assert after.keys() == expected.keys()
        pixels = after["data"].pop("trained_pixels")  # which that version did not write
        assert len(pixels) == len(set(pixels)) == after["data"]["trained_on"]["images"]
        assert after["data"] == expected["data"]
        assert after["continued_from"] == expected["continued_from"]
        assert after["comparison"].keys() == expected["comparison"].keys()


# Split files and results of the bench.


@pytest.mark.parametrize(("command", "expected"), said("", "splits"))
def test_a_split_file_divides_as_it_did(cli: Cli, command: list[str], expected: Any) -> None:
    check_same(printed(cli, command), expected)


@pytest.mark.parametrize(("command", "expected"), said("", "results"))
def test_kept_results_say_what_they_said(cli: Cli, command: list[str], expected: Any) -> None:
    check_same(printed(cli, command), expected)
