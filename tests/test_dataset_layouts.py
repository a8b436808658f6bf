"""Folders on disk become one table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from trees import tree

from blemish.dataset import COLUMNS, Row, open_dataset
from blemish.dataset.layouts import find_layout, layouts
from blemish.errors import DatasetError

Cells = tuple[str | None, ...]


def test_mvtec_layout_becomes_the_whole_table(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "Prüfling 7",
        "train/good/Stück 1.png",
        "validation/good/0.PNG",
        "test/good/Stück 1.png",
        "test/große Kratzer/a b.jpg",
        "test/hole/c.bmp",
        "test/hole/d.bmp",
        "ground_truth/große Kratzer/a b_mask.png",
        "ground_truth/hole/c.tif",
        "train/good/.hidden.png",
        "train/good/notes.txt",
        "license.txt",
    )
    (root / "license.txt").write_text("\nFree for tests.\nMore.", encoding="utf-8")

    dataset = open_dataset(root)

    def row(image: str, *rest: str | None, mask: str | None = None) -> Cells:
        return (image, mask, "Prüfling 7", *rest, image, None)

    assert tuple(dataset.table.columns) == COLUMNS
    assert dataset.table.rows() == [
        row("test/good/Stück 1.png", "test", "good", None),
        row(
            *("test/große Kratzer/a b.jpg", "test", "defective", "große Kratzer"),
            mask="ground_truth/große Kratzer/a b_mask.png",
        ),
        row("test/hole/c.bmp", "test", "defective", "hole", mask="ground_truth/hole/c.tif"),
        row("test/hole/d.bmp", "test", "defective", "hole"),
        row("train/good/Stück 1.png", "train", "good", None),
        row("validation/good/0.PNG", "validation", "good", None),
    ]
    assert (dataset.layout, dataset.name, dataset.terms) == (
        "mvtec",
        "Prüfling 7",
        "Free for tests.",
    )
    assert not dataset.has_parts


def test_ok_stands_for_good_in_any_case(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "Train/OK/1.png", "TEST/Ok/2.png", "Test2/x/3.png")
    labels = open_dataset(root).table.select("image", "split", "label").rows()
    assert sorted(labels) == [
        ("TEST/Ok/2.png", "test", "good"),
        ("Train/OK/1.png", "train", "good"),
    ]


def test_a_folder_of_categories_and_one_of_them(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "products",
        "nut/train/good/1.png",
        "bolt/train/good/1.png",
        "bolt/test/bent/1.png",
        "bolt/ground_truth/bent/1_mask.png",
        "readme/picture.png",
    )
    dataset = open_dataset(root)
    assert dataset.categories == ["bolt", "nut"]
    assert dataset.table["image"].to_list() == [
        "bolt/test/bent/1.png",
        "bolt/train/good/1.png",
        "nut/train/good/1.png",
    ]
    assert dataset.masks[0] == root / "bolt/ground_truth/bent/1_mask.png"
    assert open_dataset(root, category="nut").images == [root / "nut/train/good/1.png"]
    with pytest.raises(DatasetError, match=r"no category 'screw'; it has bolt, nut"):
        open_dataset(root, category="screw")


def test_a_training_image_never_takes_the_mask_of_a_test_image(tmp_path: Path) -> None:
    root = tree(tmp_path, "train/good/0.png", "test/good/0.png", "ground_truth/good/0_mask.png")
    masks = dict(open_dataset(root).table.select("image", "mask").rows())
    assert masks == {"train/good/0.png": None, "test/good/0.png": "ground_truth/good/0_mask.png"}


def test_the_suffixed_mask_wins_over_one_of_the_same_name(tmp_path: Path) -> None:
    root = tree(tmp_path, "test/hole/a.png", "ground_truth/hole/a.png")
    tree(root, "ground_truth/hole/a_mask.png")
    assert open_dataset(root).table["mask"].to_list() == ["ground_truth/hole/a_mask.png"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/good/1.png", "train/2.png"], r"train/2\.png must lie in a folder"),
        (
            ["test/hole/a.png", "ground_truth/hole/a_mask.png", "ground_truth/hole/a_mask.tif"],
            r"several masks for one image: .*a_mask\.png, .*a_mask\.tif",
        ),
        (
            ["test/hole/a.png", "ground_truth/hole/b_mask.png"],
            r"ground_truth/hole/b_mask\.png is named like an image.*test/hole/a\.png",
        ),
    ],
)
def test_images_and_masks_out_of_place(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(tree(tmp_path, *names))


def test_a_plain_folder_is_all_good_and_trains(tmp_path: Path) -> None:
    root = tree(tmp_path / "gute Teile", "b.png", "Tag 1/ä.jpg", "Tag 2/a.tiff", "notes.txt")
    dataset = open_dataset(root)
    assert dataset.layout == "folder"
    assert dataset.rows() == [
        Row(root / name, None, "gute Teile", "train", "good", None, name, None)
        for name in ("Tag 1/ä.jpg", "Tag 2/a.tiff", "b.png")
    ]


@pytest.mark.parametrize("other", ["deep/NG/1.png", "scratch/1.png", "1.png"])
def test_a_folder_that_is_not_all_good_is_never_read_as_good(tmp_path: Path, other: str) -> None:
    root = tree(tmp_path, "ok/1.png", other)
    with pytest.raises(
        DatasetError, match=r"not certain that all pictures are good.*--layout folder"
    ):
        open_dataset(root)
    assert len(open_dataset(root, layout="folder")) == 2


def test_what_is_no_data_set_says_why(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty is empty; put images"):
        open_dataset(tmp_path / "empty")
    with pytest.raises(DatasetError, match=r"texts holds no images, only 2 \.txt files"):
        open_dataset(tree(tmp_path / "texts", "a.txt", "b.txt"))
    with pytest.raises(DatasetError, match=r"1 \.h5 files; name one of these files"):
        open_dataset(tree(tmp_path / "streams", "a.h5"))
    with pytest.raises(DatasetError, match=r"a\.txt is not a data set; name a folder, or a \.csv"):
        open_dataset(tmp_path / "texts" / "a.txt")
    with pytest.raises(DatasetError, match=r"no layout 'zip'; the layouts are .*elpv, .*mvtec"):
        open_dataset(tmp_path, layout="zip")


@pytest.mark.parametrize("layout", ["folder", "mvtec", "table"])
def test_a_layout_asked_for_by_name_must_fit(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DatasetError, match=str(tmp_path.name)):
        open_dataset(tree(tmp_path, "a.txt"), layout=layout)


def test_layouts_are_found_by_their_file_names() -> None:
    folder = Path(sys.modules["blemish.dataset.layouts"].__path__[0])
    assert set(layouts()) == {f.stem for f in folder.glob("*.py")} - {"__init__"}
    for layout in layouts().values():
        assert layout.EXPECTS


def test_the_stricter_of_two_layouts_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def layout(**more: object) -> SimpleNamespace:
        return SimpleNamespace(EXPECTS="x", recognises=lambda path: True, **more)

    wide, strict, plain = layout(), layout(SPECIALISES=("wide",)), layout()
    known = {"folder": plain, "strict": strict, "wide": wide}
    monkeypatch.setattr("blemish.dataset.layouts.layouts", lambda: known)
    assert find_layout(tmp_path) is strict
    assert find_layout(tmp_path, "wide") is wide
    known["other"] = layout(SPECIALISES=("wide",))
    with pytest.raises(DatasetError, match="as strict and as other; say which with --layout"):
        find_layout(tmp_path)


def test_what_a_layout_specialises_is_a_layout() -> None:
    known = layouts()
    for layout in known.values():
        assert set(getattr(layout, "SPECIALISES", ())) <= set(known)


def test_the_nearest_category_is_suggested(tmp_path: Path) -> None:
    root = tree(tmp_path, "metal_nut/train/good/1.png", "screw/train/good/1.png")
    with pytest.raises(DatasetError, match=r"has metal_nut, screw\. Did you mean 'metal_nut'\?$"):
        open_dataset(root, category="Metal-Nut")
    with pytest.raises(DatasetError, match=r"has metal_nut, screw\.$"):
        open_dataset(root, category="zipper")


def test_rows_can_be_chosen(tmp_path: Path) -> None:
    root = tree(tmp_path, "train/good/1.png", "test/good/2.png", "test/dent/3.png")
    dataset = open_dataset(root)
    assert dataset.split("test").good().images == [root / "test/good/2.png"]
    assert dataset.defective().images == [root / "test/dent/3.png"]
    assert dataset.take([2, 0]).images == [dataset.images[2], dataset.images[0]]
    assert len(dataset.take([])) == 0
    assert len(dataset.where(pl.col("defect") == "dent")) == 1
    with pytest.raises(DatasetError, match="no split 'tset'"):
        dataset.split("tset")


def test_counts_are_what_the_card_records(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "train/good/1.png", "test/dent/2.png", "ground_truth/dent/2.png")
    assert open_dataset(root).counts() == {
        "images": 2,
        "parts": 2,
        "masks": 1,
        "categories": ["set"],
        "views": [],
        "splits": {
            "test": {"defective": {"images": 1, "parts": 1}},
            "train": {"good": {"images": 1, "parts": 1}},
        },
        "defects": {"dent": 1},
    }


def test_fingerprint_sees_rows_and_sizes_but_not_order_or_place(tmp_path: Path) -> None:
    names = ("train/good/1.png", "train/good/2.png")
    here = open_dataset(tree(tmp_path / "a" / "set", *names))
    there = open_dataset(tree(tmp_path / "b" / "set", *names))
    assert here.fingerprint() == there.fingerprint() == here.take([1, 0]).fingerprint()
    assert here.fingerprint() != here.take([0]).fingerprint()
    relabelled = there.table.with_columns(label=pl.lit("defective"))
    assert here.fingerprint() != there.with_table(relabelled).fingerprint()
    before = there.fingerprint()
    (there.root / names[0]).write_bytes(b"x")
    assert there.fingerprint() != before


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    dataset = open_dataset(tree(tmp_path, "1.png"))
    with pytest.raises(TypeError, match="the columns must be image, mask"):
        dataset.with_table(dataset.table.drop("view"))


def test_importing_the_data_table_pulls_no_heavy_package() -> None:
    code = "import sys, blemish.dataset; print({'torch', 'matplotlib', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
