"""`blemish synth`: a contact sheet to look at, and a data set with drawn defects."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from plates import VIEW_PATTERN, plate, save, save_good, save_set, save_views
from running import Cli

from blemish.dataset import open_dataset
from blemish.synthesis import generator_names

WALK = ("--generator", "random_walk")


def tree(root: Path) -> dict[str, bytes]:
    """Every file below `root` with its bytes."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(files)}


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    return save_set(tmp_path / "plates", train=8, good=6, dents=2)


# A contact sheet


@pytest.mark.parametrize("name", generator_names())
def test_a_contact_sheet_has_a_row_for_each_example(cli, plates, tmp_path, name):
    run = cli("synth", "preview", plates, "-o", tmp_path / "out", "--generator", name, "--count", 2)
    assert run.code == 0, run.err
    assert "2 images" in run.out
    sheet = cv2.imread(str(tmp_path / "out" / f"{name}.png"))
    assert sheet.shape == (20 + 2 * 266, 6 + 5 * 246, 3)
    three = cli(
        "synth", "preview", plates, "-o", tmp_path / "out", "--generator", name, "--count", 3
    )
    assert three.code == 0
    again = cv2.imread(str(tmp_path / "out" / f"{name}.png"))
    assert len(again) == 20 + 3 * 266
    assert np.array_equal(again[: len(sheet)], sheet)


def test_a_contact_sheet_of_one_image_of_any_depth(cli, tmp_path):
    rng = np.random.default_rng(0)
    deep = (1000 + rng.normal(0, 20, (90, 70))).astype(np.uint16)
    image = save(tmp_path / "deep.png", deep)
    out = tmp_path / "out"
    run = cli("synth", "preview", image, "-o", out, *WALK, "--count", 2, "--preset", "dark_field")
    assert run.code == 0, run.err
    assert "2 with a visible defect" in run.out
    sheet = cv2.imread(str(out / "random_walk.png"))
    assert 60 < sheet[60:200, 90:160].mean() < 200  # shown through a window, not black


def test_a_preview_needs_images_a_count_and_a_generator(cli: Cli, plates: Path, tmp_path: Path):
    preview = ("synth", "preview")
    out = ("-o", tmp_path / "out")
    empty = tmp_path / "empty"
    empty.mkdir()
    cli(*preview, empty, *out, *WALK).refusal(empty)
    cli(*preview, plates, *out, *WALK, "--count", 0).refusal("--count 0", "1 or more")
    cli(*preview, plates, *out, "--generator", "random_wakl").refusal("mean 'random_walk'")
    cli(*preview, plates, *out, *WALK, "--set", "strenght=3,4").refusal("mean 'strength'")
    cli(*preview, plates, *out, *WALK, "--set", "strength=4,3").refusal("strength=4,3", "LOW,HIGH")
    cli(*preview, plates, *out, *WALK, "--sources", plates).refusal("nsa, perlin do")
    nsa = ("--generator", "nsa", "--sources", empty)
    cli(*preview, plates, *out, *nsa).refusal(empty, "holds no image")
    cli(*preview, tmp_path / "none", *out, *WALK).refusal(tmp_path / "none")
    assert not (tmp_path / "out").exists()


def test_a_text_file_called_png_is_named(cli: Cli, tmp_path: Path):
    folder = save_good(tmp_path / "good", range(2))
    text = folder / "text.png"
    text.write_text("no image", encoding="utf-8")
    out = ("-o", tmp_path / "out")
    cli("synth", "preview", text, *out, *WALK).refusal(text, "is no PNG")
    cli("synth", "preview", folder, *out, *WALK, "--count", 3).refusal(text, "is no PNG")
    cli("synth", "apply", folder, *out, *WALK, "--share", "1").refusal("text.png")
    assert not (tmp_path / "out").exists()


def test_float_images_are_named(cli: Cli, tmp_path: Path):
    folder = tmp_path / "good"
    for number in range(3):
        save(folder / f"{number}.tif", plate(number)[..., 0].astype(np.float32))
    out = ("-o", tmp_path / "out")
    cli("synth", "preview", folder, *out, *WALK).refusal(".tif", "float32", "8 or 16 bits")
    cli("synth", "apply", folder, *out, *WALK).refusal(".tif", "float32", "8 or 16 bits")


# A data set


def test_a_set_with_drawn_defects_is_one_of_mvtec(cli: Cli, plates: Path, tmp_path: Path):
    out = tmp_path / "out"
    run = cli("synth", "apply", plates, "-o", out, *WALK, "--json", "-")
    assert run.code == 0, run.err
    told = json.loads(run.out)
    assert (told["train"], told["good"], told["defective"], told["left_out"]) == (8, 3, 3, 2)
    data = open_dataset(out)
    assert data.layout == "mvtec"
    assert len(data.split("train").good()) == 8
    assert len(data.split("test").good()) == len(data.split("test").defective()) == 3
    assert (out / "train/good/000.png").samefile(plates / "train/good/000.png")  # a hard link

    manifest = json.loads((out / "synthesis.json").read_text(encoding="utf-8"))
    assert manifest["generator"] == "random_walk"
    assert manifest["settings"]["elongated"] == 0.4
    assert manifest["plan"]["seed"] == 0
    used = [entry["from"] for entry in manifest["images"]]
    assert sorted(used) == [f"test/good/{n}.png" for n in range(100, 106)]
    for entry in manifest["images"]:
        before = cv2.imread(str(plates / entry["from"])).astype(int)
        step = np.abs(cv2.imread(str(out / entry["image"])) - before).max(axis=2)
        if "mask" not in entry:
            assert not step.any()
            continue
        mask = cv2.imread(str(out / entry["mask"]), -1)
        assert set(np.unique(mask)) == {0, 255}
        assert (mask > 0).sum() == entry["pixels"]
        assert step[mask > 0].mean() > 6 > step[mask == 0].mean()


def test_the_seed_decides_and_not_the_number_of_threads(cli, plates, tmp_path, monkeypatch):
    trees = []
    for number, (threads, seed) in enumerate([("1", 0), ("3", 0), ("1", 1)]):
        monkeypatch.setenv("BLEMISH_THREADS", threads)
        out = tmp_path / str(number)
        assert cli("synth", "apply", plates, "-o", out, *WALK, "--seed", seed).code == 0
        trees.append(tree(out))
    assert trees[0] == trees[1]
    assert trees[0] != trees[2]


def test_without_a_good_test_image_whole_training_parts_are_held_out(cli: Cli, tmp_path: Path):
    views = save_views(tmp_path / "views", range(10))
    out = tmp_path / "out"
    options = ("--part-pattern", VIEW_PATTERN, "--held-out", "0.4", "--per-image", 2)
    assert cli("synth", "apply", views, "-o", out, *WALK, *options).code == 0
    data = open_dataset(out)
    train, test = data.split("train"), data.split("test")
    assert (len(train), len(test.good()), len(test.defective())) == (12, 4, 8)
    assert not set(train.parts) & {part.split()[0] for part in test.parts}
    assert sorted(test.defective().table["view"].unique()) == ["side", "top"]
    assert len(test.defective().parts) == 4  # two parts, twice


def test_a_view_without_a_visible_defect_stays_a_good_view_of_its_part(cli: Cli, tmp_path: Path):
    views = save_views(tmp_path / "views", range(8))
    for side in views.glob("*_side.png"):
        save(side, np.zeros((80, 100), np.uint8))
    out = tmp_path / "out"
    options = ("--part-pattern", VIEW_PATTERN, "--held-out", "0.5", "--share", 1)
    only_top = ("--set", "background=0,5")
    assert cli("synth", "apply", views, "-o", out, *WALK, *options, *only_top).code == 0
    test = open_dataset(out).split("test")
    assert test.defective().table["view"].to_list() == ["top"] * 4
    assert test.good().table["view"].to_list() == ["side"] * 4
    assert set(test.good().parts) == set(test.defective().parts)


def test_other_sources_are_taken_from_a_folder(cli: Cli, plates: Path, tmp_path: Path):
    other = save_good(tmp_path / "other", range(500, 503), (60, 70))
    for name in ("nsa", "perlin"):
        out = tmp_path / name
        options = ("--generator", name, "--sources", other, "--share", "1")
        assert cli("synth", "apply", plates, "-o", out, *options).code == 0
        manifest = json.loads((out / "synthesis.json").read_text(encoding="utf-8"))
        assert manifest["sources"] == str(other)


def test_a_set_is_written_whole_or_not_at_all(cli, plates, tmp_path, monkeypatch):
    out, apply = tmp_path / "out", ("synth", "apply", plates)
    (out / "mine").mkdir(parents=True)
    cli(*apply, "-o", out, *WALK).refusal(out, "not empty")
    cli(*apply, "-o", plates / "inside", *WALK).refusal("lies in the data set")
    cli(*apply, "-o", tmp_path / "new", *WALK, "--share", 0).refusal("--share 0")
    cli(*apply, "-o", tmp_path / "new", *WALK, "--per-image", 0).refusal("--per-image 0")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("blemish.synthesis.defective_set.write_png", full)
    refused = cli(*apply, "-o", tmp_path / "new", *WALK)
    refused.refusal(tmp_path / "new", "the disk is full; free some space")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "plates"]


def test_a_set_without_good_parts_or_with_several_categories(cli: Cli, tmp_path: Path):
    for name in ("nut", "bolt"):
        save_set(tmp_path / "two" / name, train=3, good=2, dents=1)
    out = ("-o", tmp_path / "out")
    cli("synth", "apply", tmp_path / "two", *out, *WALK).refusal("--category", "bolt, nut")
    assert cli("synth", "apply", tmp_path / "two", *out, *WALK, "--category", "nut").code == 0


def test_a_defect_that_nobody_sees_is_not_written(cli: Cli, plates: Path, tmp_path: Path):
    faint = ("--set", "strength=0.01,0.02")
    refused = cli("synth", "apply", plates, "-o", tmp_path / "out", *WALK, *faint)
    refused.refusal("no defect that can be seen", "synth preview")
    assert not (tmp_path / "out").exists()
