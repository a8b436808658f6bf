"""KolektorSDD2 becomes one table."""

from __future__ import annotations

from pathlib import Path

import pytest
from layout_trees import kolektor_sdd2, tree

from blemish.dataset import open_dataset
from blemish.errors import DatasetError, ImageError


def test_masks_tell_the_label_and_training_defects_are_kept(tmp_path: Path) -> None:
    dataset = open_dataset(kolektor_sdd2(tmp_path))
    rows = [
        ("train/10300.png", None, "train", "good", None),
        ("train/10301.png", "train/10301_GT.png", "train", "defective", "defect"),
        ("test/20000.png", None, "test", "good", None),
        ("test/20001.png", "test/20001_GT.png", "test", "defective", "defect"),
    ]
    assert dataset.table.rows() == [
        (image, mask, "kolektor_sdd2", *rest, image, None) for image, mask, *rest in rows
    ]


def test_an_image_without_its_label_file(tmp_path: Path) -> None:
    root = tree(kolektor_sdd2(tmp_path), "test/20002.png")
    with pytest.raises(DatasetError, match=r"without their masks \(1\): test/20002\.png; an empty"):
        open_dataset(root)


def test_a_mask_that_is_cut_off(tmp_path: Path) -> None:
    root = kolektor_sdd2(tmp_path)
    file = root / "test/20001_GT.png"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ImageError, match=r"20001_GT\.png is damaged"):
        open_dataset(root)


@pytest.mark.parametrize("name", ["train/IMG_1.png", "test/more/20002.png"])
def test_images_out_of_place(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match=f"{name} must be named as in train and test with"):
        open_dataset(tree(kolektor_sdd2(tmp_path), name))
