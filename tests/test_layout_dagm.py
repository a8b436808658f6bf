"""DAGM 2007 becomes one table."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from layout_trees import dagm, tree

from blemish.dataset import open_dataset
from blemish.errors import DatasetError


def test_textures_are_categories_and_training_defects_are_kept(tmp_path: Path) -> None:
    dataset = open_dataset(dagm(tmp_path))
    rows = [
        (f"{name}/{image}", mask and f"{name}/{mask}", name, *rest)
        for name in ("Class1", "Class10")
        for image, mask, *rest in (
            ("Train/0575.PNG", None, "train", "good", None),
            ("Train/0576.PNG", "Train/Label/0576_label.PNG", "train", "defective", "defect"),
            ("Test/0001.PNG", None, "test", "good", None),
            ("Test/0002.PNG", "Test/Label/0002_label.PNG", "test", "defective", "defect"),
        )
    ]
    assert dataset.table.rows() == [(*row, row[0], None) for row in rows]


def test_one_texture(tmp_path: Path) -> None:
    dataset = open_dataset(dagm(tmp_path) / "Class10")
    assert dataset.layout == "dagm"
    assert dataset.categories == ["Class10"]
    assert dataset.table["image"][0] == "Train/0575.PNG"


def test_archives_unpacked_into_folders_of_their_names(tmp_path: Path) -> None:
    dagm(tmp_path / "Class1")
    dataset = open_dataset(tmp_path)
    assert dataset.categories == ["Class1"]
    assert dataset.masks[1] == tmp_path / "Class1/Class1/Train/Label/0576_label.PNG"


def test_a_lost_mask_does_not_turn_a_defect_into_a_good_image(tmp_path: Path) -> None:
    root = dagm(tmp_path)
    (root / "Class1/Test/Label/0002_label.PNG").unlink()
    message = r"Labels\.txt names masks that are not beside it \(1\): 0002_label\.PNG; copy .*Test"
    with pytest.raises(DatasetError, match=message):
        open_dataset(root)


def test_without_the_list_the_masks_alone_count(tmp_path: Path) -> None:
    root = dagm(tmp_path)
    before = open_dataset(root).table
    for file in root.rglob("Labels.txt"):
        file.unlink()
    assert open_dataset(root).table.equals(before)


def test_a_split_without_its_labels(tmp_path: Path) -> None:
    root = dagm(tmp_path)
    shutil.rmtree(root / "Class1/Test/Label")
    with pytest.raises(DatasetError, match=r"Test lacks the folder Label, without which"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Class1/Train/texture.PNG", r"Class1/Train/texture\.PNG must be named as in folders"),
        ("Class1/Train/Label/0700_label.PNG", r"masks without their images: .*0700_label\.PNG"),
    ],
)
def test_images_out_of_place(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(tree(dagm(tmp_path), name))
