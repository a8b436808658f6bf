"""Sets that say what is good and not what is the test: all that the model does not know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plates import dented, plate, save
from running import Cli

from blemish.dataset import open_dataset
from blemish.evaluation import evaluate
from blemish.inspector import Inspector


def parts(folder: Path, seeds: range, *, bad: bool = False) -> Path:
    for seed in seeds:
        save(folder / f"{seed}.png", dented(seed) if bad else plate(seed))
    return folder


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders IO and NIO, and a model of them."""
    from blemish.cli import main

    root = tmp_path_factory.mktemp("set") / "parts"
    parts(root / "IO", range(30))
    parts(root / "NIO" / "dent", range(500, 504), bad=True)
    model = tmp_path_factory.mktemp("model") / "m.blemish"
    assert main(["train", str(root), "-o", str(model), "--size", "64", "--quiet"]) == 0
    return root, model


def figures(cli: Cli, model: Path, data: Path, *more: object) -> dict[str, object]:
    run = cli("evaluate", model, data, "--json", "-", *more)
    assert run.code == 0, run.err
    return dict(json.loads(run.out))


def test_what_was_learnt_and_what_set_the_threshold_is_left_out(
    cli: Cli, learnt: tuple[Path, Path]
) -> None:
    root, model = learnt
    found = figures(cli, model, root)
    assert found["known"] == {"images": 30, "parts": 30}
    assert found["image"]["n_good"] == 0
    assert found["image"]["n_defective"] == 4
    run = cli("evaluate", model, root)
    assert "30 images of 30 parts are left out: the model learnt from them" in run.out


def test_new_good_parts_beside_the_known_ones_are_tested(
    cli: Cli, learnt: tuple[Path, Path], tmp_path: Path
) -> None:
    root, model = learnt
    for folder in ("IO", "NIO/dent"):
        for file in (root / folder).iterdir():
            save_copy = tmp_path / "parts" / folder / file.name
            save_copy.parent.mkdir(parents=True, exist_ok=True)
            save_copy.write_bytes(file.read_bytes())
    parts(tmp_path / "parts" / "IO", range(700, 706))
    found = figures(cli, model, tmp_path / "parts")
    assert found["known"] == {"images": 30, "parts": 30}
    assert (found["image"]["n_good"], found["image"]["n_defective"]) == (6, 4)
    assert found["decision"]["recall"] == 1.0


@pytest.mark.parametrize("only", ["NG", "OK"])
def test_a_set_of_one_label_is_evaluated_and_reported(
    cli: Cli, learnt: tuple[Path, Path], tmp_path: Path, only: str
) -> None:
    parts(tmp_path / "new" / only, range(800, 805), bad=only == "NG")
    found = figures(cli, learnt[1], tmp_path / "new", "--report", tmp_path / "report")
    assert found["image"]["auroc"] is None
    assert found["decision"]["fpr" if only == "NG" else "recall"] is None
    assert found["decision"]["recall" if only == "NG" else "fpr"] is not None
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert ("holds no good parts" in page) == (only == "NG")
    assert cli("evaluate", learnt[1], tmp_path / "new").code == 0


def test_a_kind_without_a_word_needs_the_answer(
    cli: Cli, learnt: tuple[Path, Path], tmp_path: Path
) -> None:
    parts(tmp_path / "new" / "dent", range(800, 803), bad=True)
    assert cli("evaluate", learnt[1], tmp_path / "new").code == 2
    found = figures(cli, learnt[1], tmp_path / "new", "--defect", "dent")
    assert found["defects"] == {"dent": {"parts": 3, "rejected": 3}}


def test_a_plain_folder_says_nothing_and_has_no_test(
    cli: Cli, learnt: tuple[Path, Path], tmp_path: Path
) -> None:
    parts(tmp_path / "new" / "batch", range(800, 802))
    cli("evaluate", learnt[1], tmp_path / "new").refusal("has no labelled test images")


def test_a_model_that_knows_everything_cannot_be_tested_on_it(
    cli: Cli, learnt: tuple[Path, Path], tmp_path: Path
) -> None:
    root, model = learnt
    for file in (root / "IO").iterdir():
        (tmp_path / "new/OK").mkdir(parents=True, exist_ok=True)
        (tmp_path / "new/OK" / file.name).write_bytes(file.read_bytes())
    data = open_dataset(tmp_path / "new")
    evaluation = evaluate(Inspector.open(model), data)
    # Of copies elsewhere the card knows those that were learnt, by their content.
    assert evaluation.figures["known"]["images"] == 24
    calibrated = tmp_path / "m2.blemish"
    fresh = parts(tmp_path / "fresh" / "OK", range(900, 906)).parent
    assert cli("calibrate", model, fresh, "-o", calibrated).code == 0
    cli("evaluate", calibrated, fresh).refusal("knows all parts of", fresh)


def test_only_the_good_ones_set_a_threshold(
    cli: Cli, learnt: tuple[Path, Path], tmp_path: Path
) -> None:
    parts(tmp_path / "new" / "OK", range(900, 906))
    parts(tmp_path / "new" / "NG", range(910, 913), bad=True)
    run = cli("calibrate", learnt[1], tmp_path / "new", "-o", tmp_path / "m.blemish")
    assert "6 good pictures set the threshold; 3 others do not count" in run.err
    assert "6 good parts held out" in run.out


def test_a_table_without_a_split_is_tested_on_what_is_new(
    cli: Cli, learnt: tuple[Path, Path], tmp_path: Path
) -> None:
    root = tmp_path / "new"
    parts(root, range(900, 903))
    lines = [f"{seed}.png,good" for seed in range(900, 903)]
    (root / "list.csv").write_text("\n".join(["image,label", *lines]), encoding="utf-8")
    assert figures(cli, learnt[1], root / "list.csv")["image"]["n_good"] == 3


def test_a_detector_that_learns_from_defects_is_told_how_to_get_them(
    cli: Cli, learnt: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "m.blemish"
    run = cli("train", learnt[0], "-o", out, "--detector", "mixed", "--size", "64", "--budget", "9")
    assert any("blemish data split" in line for line in run.err), run
