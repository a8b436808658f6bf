"""VAD becomes one table."""

from __future__ import annotations

from pathlib import Path

import pytest
from layout_trees import tree, vad

from blemish.dataset import open_dataset
from blemish.errors import DatasetError


def test_training_defects_are_kept_and_unseen_kinds_only_tested(tmp_path: Path) -> None:
    dataset = open_dataset(vad(tmp_path / "VAD"))
    rows = [
        ("test/bad/4.png", "test", "defective", "bad"),
        ("test/bad_unseen_defects/5.png", "test", "defective", "bad_unseen_defects"),
        ("test/good/3.png", "test", "good", None),
        ("train/bad/2.png", "train", "defective", "bad"),
        ("train/good/1.png", "train", "good", None),
    ]
    assert dataset.table.rows() == [
        (image, None, "vad", *rest, image, None) for image, *rest in rows
    ]
    assert (dataset.layout, dataset.terms) == (
        "vad",
        "CC BY-NC-SA 4.0, for non-commercial use only",
    )


def test_the_folders_of_the_low_shot_script_are_not_read(tmp_path: Path) -> None:
    root = tree(vad(tmp_path), "low_shot_train/10/bad/2.png")
    assert len(open_dataset(root)) == 5


def test_an_image_beside_the_kinds(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"train/6\.png must lie in a folder"):
        open_dataset(tree(vad(tmp_path), "train/6.png"))
