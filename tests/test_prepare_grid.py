"""The unsupervised set: good patches to train on, and a test whose masks are the known defects."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from plates import save
from running import Cli
from scans import SIZE, plate_at, recipe_at, save_scans, scan, with_spot

from blemish.dataset import open_dataset
from blemish.images.reading import read_image, read_mask
from blemish.prepare import grid
from blemish.prepare.grid import kind_of, prepare_grid
from blemish.prepare.known_defects import DefectMask, KnownDefect
from blemish.prepare.patch_recipe import GridSettings, open_recipe

TABLE = """plate,split,kind,group,x,y,left,top,width,height,area
test_3,test,pinhole,points,100,80,97,77,7,7,37
test_3,test,stroke,area,230,150,205,125,51,51,1961
train_1,train,dot,points,60,60,57,57,7,7,37
"""


def lay_out(root: Path) -> Path:
    """Two plates to train on and one to test, with a small and a large defect."""
    save_scans(root, "train", [2])
    pixels, mask = with_spot(scan(1), 60, 60, 3)
    save(root / "train/train_1.png", pixels)
    save(root / "masks/train/train_1.png", mask)
    pixels, small = with_spot(scan(3), 80, 100, 3)
    pixels, large = with_spot(pixels, 150, 230, 25)
    save(root / "test/test_3.png", pixels)
    save(root / "masks/test/test_3.png", small | large)
    (root / "defects.csv").write_text(TABLE, encoding="utf-8")
    return recipe_at(root, MARKED, base=BASE)


BASE = '[plates]\ntrain = ["train"]\ntest = ["test"]\n[patches]\nsize = 64\nstride = 40\n'
MARKED = '[region]\nmargin = 4\n[defects]\ntable = "defects.csv"\nmasks = "masks"\nmargin = 2\n'


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="module")
def made(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> grid.Gridded:
    return prepare_grid(open_recipe(recipe), tmp_path_factory.mktemp("out") / "foil")


def test_the_set_opens_with_plates_as_parts(made):
    data = open_dataset(made.path)
    assert data.layout == "mvtec"
    assert set(data.table["part"]) == {"train_1", "train_2", "test_3"}
    trained = data.table.filter(data.table["split"] == "train")
    assert set(trained["part"]) == {"train_1", "train_2"}
    assert set(trained["label"]) == {"good"}
    assert data.counts()["defects"].keys() == {"points", "area"}
    assert {"train/good", "test/good", "test/points", "test/area"} == made.patches.keys()
    assert sum(made.patches.values()) == len(data)


def windows(made, folder: str):
    """Plate, top and left of every patch in a folder of the set."""
    for path in sorted((made.path / folder).iterdir()):
        plate, top, left = path.stem.removesuffix("_mask").rsplit("_", 2)
        yield path, plate, int(top), int(left)


def test_patches_are_cut_where_their_names_say(made, recipe):
    for folder in made.patches:
        for path, plate, top, left in windows(made, folder):
            pixels = read_image(recipe.parent / folder.split("/")[0] / f"{plate}.png")
            assert np.array_equal(read_image(path), pixels[top : top + SIZE, left : left + SIZE])
            assert plate_at()[top : top + SIZE, left : left + SIZE].all()


def test_masks_are_the_known_defects_in_the_patch(made, recipe):
    truth = read_mask(recipe.parent / "masks/test/test_3.png", scan(0).shape)
    count = 0
    for kind in ("points", "area"):
        for path, _, top, left in windows(made, f"ground_truth/{kind}"):
            patch = truth[top : top + SIZE, left : left + SIZE]
            assert np.array_equal(read_mask(path, (SIZE, SIZE)), patch)
            assert patch.any()
            count += 1
    assert count == made.patches["test/points"] + made.patches["test/area"]


def test_good_patches_touch_no_known_defect(made, recipe):
    for split, plate in (("test", "test_3"), ("train", "train_1")):
        truth = read_mask(recipe.parent / f"masks/{split}/{plate}.png", scan(0).shape)
        for _, name, top, left in windows(made, f"{split}/good"):
            if name == plate:
                assert not truth[top : top + SIZE, left : left + SIZE].any()
    assert made.train_left_out > 0
    assert made.test_left_out > 0


def test_neighbours_are_a_stride_apart_and_the_last_reaches_the_edge(made):
    tops = sorted({top for _, plate, top, _ in windows(made, "train/good") if plate == "train_2"})
    assert set(np.diff(tops)[:-1]) == {40}
    assert 0 < np.diff(tops)[-1] <= 40
    assert plate_at()[tops[-1] + SIZE + 3].any()
    assert tops[-1] + SIZE + 6 > np.flatnonzero(plate_at().any(axis=1)).max()


@pytest.mark.parametrize(
    ("left", "expected"),
    [(0, 1280), (60, 800), (96, "sliver"), (110, 0)],
)
def test_a_sliver_of_a_defect_is_neither_good_nor_defective(left, expected):
    """A defect of 20 x 100 pixels, of which a window of 64 holds more or less."""
    defect = DefectMask(
        KnownDefect("k", "g", 50, 10, (0, 0, 20, 100)), 0, 0, np.ones((20, 100), bool)
    )
    settings = GridSettings(least_share=0.5, least_pixels=200)
    found = kind_of([defect], (0, left, 64, left + 64), settings)
    if expected == "sliver":
        assert found is None
    else:
        assert (found[0], found[1].sum()) == (defect if expected else None, expected)


def test_of_two_defects_the_one_with_more_pixels_names_the_patch():
    small = DefectMask(KnownDefect("a", "a", 3, 3, (0, 0, 5, 5)), 0, 0, np.ones((5, 5), bool))
    large = DefectMask(
        KnownDefect("b", "b", 20, 20, (10, 10, 30, 30)), 10, 10, np.ones((20, 20), bool)
    )
    defect, mask = kind_of([small, large], (0, 0, 64, 64), GridSettings())
    assert defect is large
    assert mask.sum() == 25 + 400


def test_folders_by_kind(cli: Cli, tmp_path):
    recipe = lay_out(tmp_path)
    recipe.write_text(recipe.read_text() + '[grid]\nby = "kind"\n')
    run = cli("prepare", "grid", recipe, "-o", tmp_path / "set", "--json", "-")
    assert set(json.loads(run.out)["patches"]) == {
        *("train/good", "test/good", "test/pinhole", "test/stroke")
    }


def test_masks_without_a_table_and_a_table_without_masks(tmp_path):
    file = lay_out(tmp_path)
    text = file.read_text()
    file.write_text(text.replace('table = "defects.csv"\n', ""))
    by_masks = prepare_grid(open_recipe(file), tmp_path / "by_masks")
    assert {"test/defect", "test/good", "train/good"} == by_masks.patches.keys()
    file.write_text(text.replace('masks = "masks"\n', ""))
    by_table = prepare_grid(open_recipe(file), tmp_path / "by_table")
    assert by_table.patches["test/points"] > 0
    mask = next((tmp_path / "by_table/ground_truth/points").iterdir())
    assert read_mask(mask, (SIZE, SIZE)).sum() >= 25  # a box, as far as it is in the patch


def test_points_alone_make_no_test(cli: Cli, tmp_path):
    file = lay_out(tmp_path)
    (tmp_path / "defects.csv").write_text("plate,x,y\ntest_3,30,100\n")
    file.write_text(file.read_text().replace('masks = "masks"\n', ""))
    run = cli("prepare", "grid", file, "-o", tmp_path / "set")
    run.refusal("(30, 100)", "test_3", "add a box")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("plate,x,y\ntest_9,3,4\n", "names plates that do not exist (1): test_9"),
        ("plate,x,y\ntest_3,3,\n", "row 2: the defect has no place (3, empty"),
        ("plate,x,y\ntest_3,3,4\ntest_3,a,4\n", "row 3"),
        ("plate,left,top,width,height\ntest_3,3,4,0,4\n", "row 2"),
        ("plate,x,y\ntest_3,3,4000\n", "lies outside the plate test_3, which is 320 x 240"),
        ("plate,x\ntest_3,3\n", "does not say where the defects are"),
        ("x,y\n3,4\n", "has no column 'plate'"),
        ("", "is empty"),
    ],
)
def test_a_table_of_defects_that_is_wrong(cli: Cli, tmp_path, table, said):
    file = lay_out(tmp_path)
    (tmp_path / "defects.csv").write_text(table)
    cli("prepare", "grid", file, "-o", tmp_path / "set").refusal(said)
    assert not (tmp_path / "set").exists()


def test_a_table_from_a_spreadsheet(tmp_path):
    file = lay_out(tmp_path)
    text = TABLE.replace(",", ";").replace("test_3;", "TEST;").replace("TEST", "test_3.png")
    (tmp_path / "defects.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert prepare_grid(open_recipe(file), tmp_path / "set").patches["test/points"] > 0


def test_a_mask_of_another_size(cli: Cli, tmp_path):
    file = lay_out(tmp_path)
    save(tmp_path / "masks/test/test_3.png", np.zeros((30, 30), np.uint8))
    run = cli("prepare", "grid", file, "-o", tmp_path / "set")
    run.refusal("test_3.png", "30 x 30 pixels but its image is 320 x 240")


def test_a_stopped_grid_goes_on_and_is_the_same(cli: Cli, recipe, made, tmp_path, monkeypatch):
    write, out = grid._write, tmp_path / "foil"

    def stopped(plate: str, *rest: object) -> str:
        if plate == "train_2":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(plate, *rest)

    monkeypatch.setattr(grid, "_write", stopped)
    cli("prepare", "grid", recipe, "-o", out).refusal(
        "the disk is full", "the same command goes on"
    )
    assert not out.exists()
    monkeypatch.undo()
    cut: list[str] = []
    monkeypatch.setattr(
        grid, "_write", lambda plate, *rest: cut.append(plate) or write(plate, *rest)
    )
    assert cli("prepare", "grid", recipe, "-o", out).code == 0
    assert "train_1" not in cut  # it was done before
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(made.path) for p in made.path.rglob("*") if p.is_file())
    assert all((out / file).read_bytes() == (made.path / file).read_bytes() for file in files)
    assert [path.name for path in tmp_path.iterdir()] == ["foil"]


def test_nothing_is_written_over(cli: Cli, recipe, tmp_path):
    (tmp_path / "set").mkdir()
    cli("prepare", "grid", recipe, "-o", tmp_path / "set").refusal("set exists")
