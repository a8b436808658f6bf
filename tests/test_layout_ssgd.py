"""SSGD becomes one table."""

from __future__ import annotations

from pathlib import Path

import pytest
from layout_trees import coco, ssgd, text, tree

from blemish.dataset import open_dataset
from blemish.errors import DatasetError

VAL = "annotations/lb201/val1.json"


def test_the_first_fold_becomes_the_whole_table(tmp_path: Path) -> None:
    dataset = open_dataset(ssgd(tmp_path))
    rows = [
        ("images_lb201/1.jpg", "train", "defective", "crack,scratch"),
        ("images_lb201/2.jpg", "train", "good", None),
        ("images_lb201/3.jpg", "test", "defective", "scratch"),
    ]
    assert dataset.table.rows() == [
        (image, None, "lb201", *rest, image, None) for image, *rest in rows
    ]


def test_two_sets_of_images_are_two_categories(tmp_path: Path) -> None:
    root = tree(ssgd(tmp_path), "images_lb101/1.jpg")
    for name in ("train1", "val1"):
        coco(root / f"annotations/lb101/{name}.json", ["1.jpg"] * (name == "val1"), [])
    assert open_dataset(root).categories == ["lb101", "lb201"]


@pytest.mark.parametrize("name", ["9.jpg", "../images_lb101/1.jpg", "../../1.jpg"])
def test_images_that_are_not_there_or_outside(tmp_path: Path, name: str) -> None:
    root = ssgd(tmp_path / "set")
    coco(root / VAL, [name], [])
    with pytest.raises(DatasetError, match=r"val1\.json names images that are not in images_lb201"):
        open_dataset(root)


def test_annotations_that_are_not_there(tmp_path: Path) -> None:
    root = ssgd(tmp_path)
    (root / VAL).unlink()
    with pytest.raises(DatasetError, match=r"val1\.json cannot be read"):
        open_dataset(root)


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"images": [',
        "[]",
        '{"images": [], "annotations": []}',
        '{"images": [], "annotations": [{"image_id": 1, "category_id": 3}], "categories": []}',
    ],
)
def test_annotations_of_another_form(tmp_path: Path, content: str) -> None:
    root = ssgd(tmp_path)
    text(root / VAL, content)
    with pytest.raises(DatasetError, match=r"val1\.json is no JSON of COCO"):
        open_dataset(root)
