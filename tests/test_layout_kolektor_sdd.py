"""KolektorSDD becomes one table."""

from __future__ import annotations

from pathlib import Path

import pytest
from layout_trees import kolektor_sdd, mask, tree

from blemish.dataset import open_dataset
from blemish.errors import DatasetError, ImageError


def test_commutators_are_parts_and_empty_masks_mean_good(tmp_path: Path) -> None:
    dataset = open_dataset(kolektor_sdd(tmp_path))
    label = "kos02/Part1_label.bmp"
    rows = [
        ("kos01/Part0.jpg", None, "test", "good", None, "kos01", "Part0"),
        ("kos01/Part1.jpg", None, "test", "good", None, "kos01", "Part1"),
        ("kos02/Part0.jpg", None, "train", "good", None, "kos02", "Part0"),
        ("kos02/Part1.jpg", label, "train", "defective", "defect", "kos02", "Part1"),
        ("kos03/Part0.jpg", None, "train", "good", None, "kos03", "Part0"),
        ("kos03/Part1.jpg", None, "train", "good", None, "kos03", "Part1"),
    ]
    assert dataset.table.rows() == [
        (image, mask, "kolektor_sdd", *rest) for image, mask, *rest in rows
    ]


def test_the_published_number_of_commutators_is_tested(tmp_path: Path) -> None:
    for number in range(1, 51):
        tree(tmp_path, f"kos{number:02}/Part0.jpg", f"kos{number:02}/Part1.jpg")
        mask(tmp_path / f"kos{number:02}/Part0_label.bmp", 0)
        mask(tmp_path / f"kos{number:02}/Part1_label.bmp")
    dataset = open_dataset(tmp_path)
    train, test = (set(dataset.split(split).parts) for split in ("train", "test"))
    assert (len(train), len(test), len(train & test)) == (33, 17, 0)
    assert dataset.table.equals(open_dataset(tmp_path).table)


def test_an_image_without_its_label_file(tmp_path: Path) -> None:
    root = kolektor_sdd(tmp_path)
    (root / "kos03/Part1_label.bmp").unlink()
    with pytest.raises(
        DatasetError, match=r"without their masks \(1\): kos03/Part1\.jpg; an empty"
    ):
        open_dataset(root)


def test_a_label_file_without_its_image(tmp_path: Path) -> None:
    root = kolektor_sdd(tmp_path)
    (root / "kos03/Part1.jpg").unlink()
    with pytest.raises(DatasetError, match=r"masks without their images: kos03/Part1_label\.bmp"):
        open_dataset(root)


@pytest.mark.parametrize("content", [b"", b"BM\x46", b"not an image"])
def test_a_label_file_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    root = kolektor_sdd(tmp_path)
    (root / "kos01/Part0_label.bmp").write_bytes(content)
    with pytest.raises(ImageError, match=r"kos01.Part0_label\.bmp"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kos01/overview.jpg", r"kos01/overview\.jpg must be named as in folders kos01, kos02"),
        ("kos01/Part0.png", r"one image or mask twice: kos01/Part0\.jpg, kos01/Part0\.png"),
    ],
)
def test_images_out_of_place(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(tree(kolektor_sdd(tmp_path), name))


def test_one_commutator_cannot_be_split(tmp_path: Path) -> None:
    tree(tmp_path, "kos01/Part0.jpg")
    mask(tmp_path / "kos01/Part0_label.bmp", 0)
    with pytest.raises(DatasetError, match="fewer than two parts"):
        open_dataset(tmp_path)
