"""DeepPCB becomes one table."""

from __future__ import annotations

from pathlib import Path

import pytest
from layout_trees import deep_pcb, text

from blemish.dataset import open_dataset
from blemish.errors import DatasetError

BOXES = "PCBData/group12000/12000_not/12000204.txt"


def test_templates_are_good_and_tested_images_defective(tmp_path: Path) -> None:
    dataset = open_dataset(deep_pcb(tmp_path))
    rows = [
        ("group12000/12000/12000204_temp.jpg", "test", "good", None),
        ("group12000/12000/12000204_test.jpg", "test", "defective", "pin-hole"),
        ("group20085/20085/20085000_temp.jpg", "train", "good", None),
        ("group20085/20085/20085000_test.jpg", "train", "defective", "open,short"),
    ]
    assert dataset.table.rows() == [
        (image, None, "deep_pcb", *rest, image, None) for image, *rest in rows
    ]
    assert dataset.root == tmp_path / "PCBData"


def test_the_folder_of_the_data_alone_is_the_same(tmp_path: Path) -> None:
    above = open_dataset(deep_pcb(tmp_path))
    inside = open_dataset(tmp_path / "PCBData")
    assert inside.layout == "deep_pcb"
    assert inside.fingerprint() == above.fingerprint()


def test_the_licence_of_the_code_is_not_taken_for_that_of_the_images(tmp_path: Path) -> None:
    text(tmp_path / "LICENSE", "MIT License\n")
    assert open_dataset(deep_pcb(tmp_path)).terms == "for research only, as its readme says"


@pytest.mark.parametrize(
    "name", ["group12000/12000/12000204_test.jpg", "group12000/12000_not/12000204.txt"]
)
def test_a_file_on_a_list_is_not_there(tmp_path: Path, name: str) -> None:
    root = deep_pcb(tmp_path)
    (root / "PCBData" / name).unlink()
    with pytest.raises(DatasetError, match=rf"lacks files that its lists name \(1\): {name}; copy"):
        open_dataset(root)


@pytest.mark.parametrize("line", ["../other/1.jpg a/b_not/1.txt", "group1/1/1.jpg", "/a/b/1.jpg"])
def test_a_list_with_other_lines(tmp_path: Path, line: str) -> None:
    root = deep_pcb(tmp_path)
    text(root / "PCBData/test.txt", line)
    with pytest.raises(DatasetError, match=r"test\.txt has lines that name no image and its boxes"):
        open_dataset(root)


@pytest.mark.parametrize("boxes", ["", "1 2 3 4\n", "1 2 3 4 7\n", "1 2 3 4 0\n", "a b c d e\n"])
def test_boxes_of_another_form(tmp_path: Path, boxes: str) -> None:
    root = deep_pcb(tmp_path)
    text(root / BOXES, boxes)
    with pytest.raises(DatasetError, match=r"12000204\.txt must hold a line 'x1 y1 x2 y2 kind'"):
        open_dataset(root)
