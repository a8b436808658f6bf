"""The magnetic tiles, as their authors publish them, become one table."""

from __future__ import annotations

from pathlib import Path

import pytest
from layout_trees import magnetic_tile, mask, text, tree

from blemish.dataset import open_dataset
from blemish.dataset.layouts.magnetic_tile import last_trained
from blemish.errors import DatasetError, ImageError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "magnetic_tile"


def test_folders_tell_the_label_and_exposures_are_views(tmp_path: Path) -> None:
    dataset = open_dataset(magnetic_tile(tmp_path))
    free, crack = "MT_Free/Imgs", "MT_Crack/Imgs"
    hole = "MT_Blowhole/Imgs/exp1_num_3667"
    rows = [
        (f"{free}/exp1_num_1000.jpg", None, "train", "good", None, "exp1"),
        (f"{free}/exp1_num_2000.jpg", None, "train", "good", None, "exp1"),
        (f"{free}/exp1_num_3000.jpg", None, "test", "good", None, "exp1"),
        (f"{free}/exp2_num_1020.jpg", None, "train", "good", None, "exp2"),
        (f"{free}/exp2_num_2020.jpg", None, "train", "good", None, "exp2"),
        (f"{free}/exp2_num_3020.jpg", None, "test", "good", None, "exp2"),
        (f"{hole}.jpg", f"{hole}.png", "test", "defective", "blowhole", "exp1"),
        (f"{crack}/exp6_num_85665.jpg", None, "test", "defective", "crack", "exp6"),
    ]
    assert dataset.table.rows() == [
        (image, mask, "magnetic_tile", split, label, defect, image, view)
        for image, mask, split, label, defect, view in rows
    ]


def test_a_parts_file_says_which_images_show_one_tile(tmp_path: Path) -> None:
    root = magnetic_tile(tmp_path)
    images = open_dataset(root).table["image"].to_list()
    lines = [f"{image},tile{image[-8:-6]},{view}" for view, image in enumerate(images)]
    text(root / "parts.csv", "\n".join(["file,part,view", *lines]))
    assert open_dataset(root).parts == ["tile10", "tile20", "tile30", "tile36", "tile56"]


@pytest.mark.parametrize(
    ("frames", "last"),
    [
        ([], -1),
        ([5], 5),
        ([0, 10, 20, 30, 1000, 1010], 30),
        ([0, 10, 20, 30, 40, 50, 60, 70, 300, 310], 70),
        ([0, 10, 20, 30, 40, 50, 60, 70, 80, 90], 60),
    ],
)
def test_training_ends_at_a_pause_after_seventy_percent(frames: list[int], last: int) -> None:
    assert last_trained(frames) == last


@pytest.mark.skipif(not DATA.is_dir(), reason="the development images are absent")
def test_no_tile_is_on_both_sides(tmp_path: Path) -> None:
    parts = (DATA / "parts.csv").read_text(encoding="utf-8").split()[1:]
    tile_of = {}
    for line in parts:
        file, tile, _, label = line.split(",")
        if label == "good":
            tile_of[f"MT_Free/Imgs/{Path(file).name}"] = tile
    dataset = open_dataset(tree(tmp_path, *tile_of))
    train, test = (
        {tile_of[image] for image in dataset.split(split).table["image"]}
        for split in ("train", "test")
    )
    assert (len(train), len(test)) == (101, 42)
    assert not train & test


def test_a_defect_without_its_mask_keeps_its_label(tmp_path: Path) -> None:
    root = tree(magnetic_tile(tmp_path), "MT_Fray/Imgs/exp3_num_20.jpg")
    last = open_dataset(root).rows()[-1]
    assert (last.mask, last.label, last.defect) == (None, "defective", "fray")


def test_a_mask_that_is_cut_off(tmp_path: Path) -> None:
    root = magnetic_tile(tmp_path)
    file = root / "MT_Crack/Imgs/exp6_num_85665.png"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ImageError, match=r"exp6_num_85665\.png is damaged"):
        open_dataset(root)


def test_images_out_of_place(tmp_path: Path) -> None:
    root = tree(magnetic_tile(tmp_path), "MT_Crack/Imgs/overview.jpg")
    with pytest.raises(DatasetError, match=r"MT_Crack/Imgs/overview\.jpg must be named as in"):
        open_dataset(root)


def test_a_mask_without_its_image(tmp_path: Path) -> None:
    root = magnetic_tile(tmp_path)
    mask(root / "MT_Break/Imgs/exp1_num_9.png")
    with pytest.raises(DatasetError, match=r"masks without their images: .*exp1_num_9\.png"):
        open_dataset(root)
