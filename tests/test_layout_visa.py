"""VisA, as it is unpacked."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import link, tree

from blemish.dataset import open_dataset
from blemish.dataset.layouts import find_layout, layouts
from blemish.errors import DatasetError

IMAGES = (
    "candle/Data/Images/Normal/0000.JPG",
    "candle/Data/Images/Normal/0001.JPG",
    "candle/Data/Images/Anomaly/000.JPG",
    "candle/Data/Masks/Anomaly/000.png",
    "pcb1/Data/Images/Normal/0000.JPG",
    "pcb1/Data/Images/Anomaly/000.JPG",
    "pcb1/Data/Masks/Anomaly/000.png",
)
SPLIT = """\
object,split,label,image,mask
candle,train,normal,candle/Data/Images/Normal/0000.JPG,
candle,test,normal,candle/Data/Images/Normal/0001.JPG,
candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png
pcb1,train,normal,pcb1/Data/Images/Normal/0000.JPG,
pcb1,test,anomaly,pcb1/Data/Images/Anomaly/000.JPG,pcb1/Data/Masks/Anomaly/000.png
"""
KINDS = f"""\
image,label,mask
candle/Data/Images/Normal/0000.JPG,normal,
candle/Data/Images/Normal/0001.JPG,normal,
{IMAGES[2]},"melded wax,chunk of wax missing",{IMAGES[3]}
"""


def visa(root: Path, *, split: str | None = SPLIT, kinds: str | None = KINDS) -> Path:
    tree(root, *IMAGES)
    if split is not None:
        tree(root, "split_csv/1cls.csv")
        (root / "split_csv" / "1cls.csv").write_text(split, encoding="utf-8")
    if kinds is not None:
        (root / "candle" / "image_anno.csv").write_text(kinds, encoding="utf-8")
    return root


def test_the_published_split_becomes_the_whole_table(tmp_path: Path) -> None:
    dataset = open_dataset(visa(tmp_path / "VisA_20220922"))

    def row(category: str, folder: str, name: str, *rest: str | None) -> tuple[str | None, ...]:
        image = f"{category}/Data/Images/{folder}/{name}.JPG"
        mask = f"{category}/Data/Masks/Anomaly/{name}.png" if folder == "Anomaly" else None
        return (image, mask, category, *rest, image, None)

    kinds = "melded wax,chunk of wax missing"
    assert dataset.table.rows() == [
        row("candle", "Normal", "0000", "train", "good", None),
        row("candle", "Normal", "0001", "test", "good", None),
        row("candle", "Anomaly", "000", "test", "defective", kinds),
        row("pcb1", "Normal", "0000", "train", "good", None),
        row("pcb1", "Anomaly", "000", "test", "defective", "anomaly"),
    ]
    assert (dataset.name, dataset.layout, dataset.terms) == ("VisA_20220922", "visa", "CC BY 4.0")


def test_one_category_is_read_in_the_published_split_too(tmp_path: Path) -> None:
    root = visa(tmp_path)
    candle = open_dataset(root / "candle")
    assert candle.root == root
    assert candle.table.equals(open_dataset(root, category="candle").table)


def test_without_the_split_normal_images_train_and_anomalies_test(tmp_path: Path) -> None:
    dataset = open_dataset(visa(tmp_path, split=None))
    assert dataset.table.select("image", "mask", "split", "label", "defect").rows() == [
        (IMAGES[2], IMAGES[3], "test", "defective", "melded wax,chunk of wax missing"),
        (IMAGES[0], None, "train", "good", None),
        (IMAGES[1], None, "train", "good", None),
        (IMAGES[5], IMAGES[6], "test", "defective", "anomaly"),
        (IMAGES[4], None, "train", "good", None),
    ]
    assert dataset.categories == ["candle", "pcb1"]


def test_one_category_alone_whose_annotations_name_its_folder(tmp_path: Path) -> None:
    root = visa(tmp_path, split=None)
    dataset = open_dataset(root / "candle")
    assert dataset.root == root / "candle"
    assert dataset.table.select("image", "category", "defect").rows()[0] == (
        "Data/Images/Anomaly/000.JPG",
        "candle",
        "melded wax,chunk of wax missing",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_split_saved_with_semicolons_and_a_mark(tmp_path: Path, end: str) -> None:
    text = "\ufeff" + SPLIT.replace(",", ";").replace("\n", end)
    assert len(open_dataset(visa(tmp_path, split=text))) == 5


def test_converted_to_the_layout_of_mvtec_it_is_that(tmp_path: Path) -> None:
    root = tree(tmp_path, "candle/train/good/0.JPG", "candle/test/bad/1.JPG")
    tree(root, "candle/test/good/2.JPG", "candle/ground_truth/bad/1.png")
    assert find_layout(root) is layouts()["mvtec"]
    rows = open_dataset(root).defective().table.select("image", "mask", "defect").rows()
    assert rows == [("candle/test/bad/1.JPG", "candle/ground_truth/bad/1.png", "bad")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("object,", "category,", r"1cls\.csv has no column 'object'; its columns are category, sp"),
        ("pcb1,train,normal", "pcb1,train,odd", r"1cls\.csv has a label that is not known: odd"),
        ("pcb1,train,", "pcb1,dev,", r"1cls\.csv has a split that is not known: dev"),
        ("pcb1,train,", ",train,", r"1cls\.csv has 1 rows with empty cells"),
        (
            "Normal/0001",
            "Normal/0002",
            r"1cls\.csv names files that do not exist \(1\): candle/Dat",
        ),
        ("pcb1/Data/Masks", "../Masks", r"1cls\.csv names files outside .*: \.\./Masks/Anomaly"),
        (",candle/Data/Masks", ",/etc/Masks", r"1cls\.csv names files outside .*: /etc/Masks"),
    ],
)
def test_a_split_that_is_wrong_says_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SPLIT
    with pytest.raises(DatasetError, match=message):
        open_dataset(visa(tmp_path, split=SPLIT.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("label,mask", "word,mask", r"image_anno\.csv has no column 'label'"),
        ("Normal/0000", "Normal/0009", r"image_anno\.csv names files that do not exist \(1\)"),
        ("Normal/0000", "Normal/0001", r"image_anno\.csv names images twice: .*0001\.JPG; keep"),
        ("0001.JPG,normal", "0001.JPG,dent", r"contradicts labels \(1\): .*0001\.JPG is 'dent'"),
        ("candle/Data/Images/Normal/0000", "../../x", r"image_anno\.csv names files outside"),
    ],
)
def test_annotations_that_are_wrong_say_where(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in KINDS
    with pytest.raises(DatasetError, match=message):
        open_dataset(visa(tmp_path, kinds=KINDS.replace(old, new)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("candle/Data/Images/0009.JPG", r"candle: Data/Images/0009\.JPG must not lie there"),
        ("candle/Data/Masks/Anomaly/009.png", r"candle has no image for candle/Data/Masks/Anoma"),
        ("candle/Data/Masks/Anomaly/000.bmp", r"candle has two masks, .*000\.bmp, .*000\.png"),
    ],
)
def test_files_out_of_place(tmp_path: Path, name: str, message: str) -> None:
    root = tree(visa(tmp_path, split=None), name)
    with pytest.raises(DatasetError, match=message):
        open_dataset(root)


def test_a_link_out_of_the_set_is_refused(tmp_path: Path) -> None:
    root = visa(tmp_path / "VisA")
    outside = tree(tmp_path, "secret.JPG") / "secret.JPG"
    place = root / IMAGES[2]
    place.unlink()
    link(place, outside)
    with pytest.raises(DatasetError, match=r"000\.JPG is a link that leads out of"):
        open_dataset(root)


def test_asked_for_by_name_it_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has not the layout visa, which is split_csv/1cls"):
        open_dataset(tree(tmp_path, "train/good/1.png"), layout="visa")
