"""BTAD becomes one table."""

from __future__ import annotations

from pathlib import Path

import pytest
from layout_trees import btad, tree

from blemish.dataset import open_dataset
from blemish.errors import DatasetError


def test_three_products_with_bmp_and_png(tmp_path: Path) -> None:
    dataset = open_dataset(btad(tmp_path))
    assert dataset.layout == "btad"
    assert "CC BY-SA" in (dataset.terms or "")
    rows = [
        ("01/test/ko/0002.bmp", "01/ground_truth/ko/0002.png", "01", "test", "defective", "ko"),
        ("01/test/ok/0001.bmp", None, "01", "test", "good", None),
        ("01/train/ok/0000.bmp", None, "01", "train", "good", None),
        ("02/test/ko/0002.png", "02/ground_truth/ko/0002.png", "02", "test", "defective", "ko"),
        ("02/test/ok/0001.png", None, "02", "test", "good", None),
        ("02/train/ok/0000.png", None, "02", "train", "good", None),
        ("03/test/ko/0002.bmp", "03/ground_truth/ko/0002.bmp", "03", "test", "defective", "ko"),
        ("03/test/ok/0001.bmp", None, "03", "test", "good", None),
        ("03/train/ok/0000.bmp", None, "03", "train", "good", None),
    ]
    assert dataset.table.rows() == [(*row, row[0], None) for row in rows]


def test_one_product(tmp_path: Path) -> None:
    dataset = open_dataset(btad(tmp_path) / "03")
    assert dataset.layout == "btad"
    assert dataset.categories == ["03"]
    assert dataset.table["mask"].to_list() == ["ground_truth/ko/0002.bmp", None, None]


def test_other_products_sorted_into_ok_and_ko_are_not_btad(tmp_path: Path) -> None:
    root = tree(tmp_path / "pump", "train/ok/1.png", "test/ok/2.png", "test/ko/3.png")
    assert open_dataset(root).layout == "mvtec"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("02/test/0003.png", r"test/0003\.png must lie in a folder"),
        ("02/ground_truth/ko/0002.bmp", r"several masks for one image: .*0002\.bmp"),
    ],
)
def test_files_out_of_place(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(tree(btad(tmp_path), name))
