"""Patches of real defects: the defect is in each, and nothing is padded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from plates import save
from running import Cli
from scans import SIZE, recipe_at, save_scans, scan, stacks, with_spot

from blemish.dataset import open_dataset
from blemish.prepare.defect_patches import prepare_defects, square
from blemish.prepare.patch_recipe import open_recipe
from blemish.prepare.supervised_stream import prepare_stream

PLACES = [  # row, column, radius, group
    (120, 160, 3, "points"),
    (3, 4, 3, "points"),
    (238, 317, 1, "points"),
    (60, 250, 30, "area"),
]
DARK = "[augmentation]\nbrightness = [1, 1]\ncontrast = [1, 1]\n"
MARKED = '[defects]\ntable = "defects.csv"\nmasks = "masks"\ncrop = 128\neach = 10\n'


def lay_out(root: Path, text: str = DARK + MARKED) -> Path:
    """A plate with defects in the middle, in two corners, and a large one."""
    pixels, truth = scan(1) // 2 + 1, np.zeros(scan(1).shape, np.uint8)
    rows = ["plate,kind,group,x,y,left,top,width,height"]
    for y, x, radius, group in PLACES:
        pixels, mask = with_spot(pixels, y, x, radius)
        truth |= mask
        below, across = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        edges = across[0], below[0], len(across), len(below)
        rows.append(",".join(map(str, ("plate", "spot", group, x, y, *edges))))
    save(root / "train/plate.png", pixels)
    save(root / "masks/plate.png", truth)
    (root / "defects.csv").write_text("\n".join(rows), encoding="utf-8")
    return recipe_at(root, text)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="module")
def made(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "LSM-1_defects.h5"
    assert prepare_defects(open_recipe(recipe), out).defects == {"area": 1, "points": 3}
    return out


def test_every_patch_shows_its_defect_under_its_mask(made):
    held = stacks(made)
    assert held["syn_stream"].shape == (40, SIZE, SIZE)
    assert held["label"].all()
    for patch, mask in zip(held["syn_stream"], held["ground_truth"], strict=True):
        assert (mask > 0).any()
        assert patch[mask > 0].mean() > 200
        if (mask == 0).sum() > 500:
            assert patch[mask == 0].mean() < 100


def test_nothing_is_padded(made):
    """The plate has no pixel of 0."""
    assert stacks(made)["syn_stream"].min() > 0


def test_the_first_patch_of_each_is_not_augmented(made, recipe):
    from blemish.images.reading import read_image

    held, pixels = stacks(made), read_image(recipe.parent / "train/plate.png")
    for mark, (y, x, *_) in enumerate(PLACES):
        transform = held["origin/transform"][10 * mark]
        assert np.array_equal(transform[:, :2], np.eye(2))
        left, top = transform[:, 2].astype(int)
        assert np.array_equal(held["syn_stream"][10 * mark], pixels[top:, left:][:SIZE, :SIZE])
        assert abs(left + SIZE / 2 - min(max(x, 32), 288)) <= 1
        assert abs(top + SIZE / 2 - min(max(y, 32), 208)) <= 1
    assert held["origin/mark"].tolist() == [number // 10 for number in range(40)]


def test_others_are_turned(made):
    transforms = stacks(made)["origin/transform"]
    turned = (transforms[:, :, :2] != np.eye(2)).any(axis=(1, 2))
    assert 20 < turned.sum() <= 36


def test_beside_a_stream_both_are_one_set(made, tmp_path):
    save_scans(tmp_path, "train", [5])
    stream = open_recipe(recipe_at(tmp_path))
    folder = tmp_path / "supervised"
    folder.mkdir()
    prepare_stream(stream, folder / "LSM-1.h5", count=20)
    (folder / made.name).write_bytes(made.read_bytes())
    data = open_dataset(folder)
    assert data.categories == ["LSM-1"]
    counts = data.counts()
    assert (counts["defects"]["area"], counts["defects"]["points"]) == (10, 30)
    assert counts["images"] == 60


def test_the_workers_do_not_matter_nor_does_a_second_call(cli: Cli, recipe, made, tmp_path):
    out = tmp_path / "d.h5"
    run = cli("prepare", "defects", recipe, "-o", out, "--workers", 2, "--json", "-")
    assert json.loads(run.out)["patches"] == 40
    assert out.read_bytes() == made.read_bytes()
    cli("prepare", "defects", recipe, "-o", out).refusal("exists")


def test_points_alone_are_enough(cli: Cli, tmp_path):
    file = lay_out(tmp_path, '[defects]\ntable = "defects.csv"\ncrop = 128\n')
    (tmp_path / "defects.csv").write_text("plate,x,y,kind\nplate.png,160,120,dot\n")
    assert cli("prepare", "defects", file, "-o", tmp_path / "d.h5", "--each", 5).code == 0
    held = stacks(tmp_path / "d.h5")
    assert held["label"].tolist() == [1] * 5
    assert not held["ground_truth"].any()
    assert set(held["defect"]) == {b"dot"}
    assert (held["syn_stream"].max(axis=(1, 2)) > 150).all()


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", [], "knows no defect on its training plates"),
        ('[defects]\ntable = "none.csv"\n', [], "none.csv cannot be read"),
        (MARKED, ["--each", 0], "0 patches of each defect are none"),
    ],
)
def test_without_defects_there_is_nothing_to_cut(cli: Cli, tmp_path, text, options, said):
    file = lay_out(tmp_path, text)
    cli("prepare", "defects", file, "-o", tmp_path / "d.h5", *options).refusal(said)


def test_a_patch_larger_than_the_crop(cli: Cli, tmp_path):
    text = DARK + MARKED.replace("crop = 128", "crop = 32")
    file = lay_out(tmp_path, text)
    cli("prepare", "defects", file, "-o", tmp_path / "d.h5").refusal("crop", "32", "64")


@pytest.mark.parametrize(
    ("middle", "expected"),
    [((50, 50), (18, 18, 82, 82)), ((0, 99), (36, 0, 100, 64)), ((99, 0), (0, 56, 64, 120))],
)
def test_a_square_is_shifted_into_the_plate(middle, expected):
    assert square(middle, 64, (100, 120)) == expected


def test_a_square_larger_than_the_plate_is_the_plate():
    assert square((50, 50), 512, (100, 120)) == (0, 0, 100, 120)
