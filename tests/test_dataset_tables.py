"""A CSV or Parquet file with a row per image."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import polars as pl
import pytest

from blemish.dataset import open_dataset
from blemish.errors import DatasetError


def table(folder: Path, text: str, *images: str) -> Path:
    """A CSV file `list.csv` beside empty image files."""
    for image in images:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).touch()
    path = folder / "list.csv"
    path.write_bytes(text.encode("utf-8"))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_however_it_was_saved(tmp_path: Path, separator: str, mark: str, end: str) -> None:
    lines = [
        "Image,mask,category,split,label,defect,part,view,operator",
        "gut/1 ä.png,,nut,train,OK,,N1,top,Ann",
        '"gut/2.png", ,nut,test,0,good,N2,top,Ann',
        "ng\\3.png,m/3.png,nut,Test,NG,dent,N3,,Bob",
        "ng/./4.png,,nut,test,,,,,",
    ]
    text = mark + end.join(line.replace(",", separator) for line in lines) + end
    path = table(tmp_path, text, "gut/1 ä.png", "gut/2.png", "ng/3.png", "ng/4.png", "m/3.png")
    dataset = open_dataset(path)
    assert dataset.table.rows() == [
        ("gut/1 ä.png", None, "nut", "train", "good", None, "N1", "top"),
        ("gut/2.png", None, "nut", "test", "good", None, "N2", "top"),
        ("ng/3.png", "m/3.png", "nut", "test", "defective", "dent", "N3", None),
        ("ng/4.png", None, "nut", "test", None, None, "ng/4.png", None),
    ]
    assert (dataset.name, dataset.layout, dataset.root) == ("list", "table", tmp_path)


def test_a_table_of_images_alone_is_a_plain_folder_in_writing(tmp_path: Path) -> None:
    dataset = open_dataset(table(tmp_path, "image\na.png\nb.png\n", "a.png", "b.png"))
    assert dataset.table.select("category", "split", "label").unique().rows() == [
        ("list", "train", "good")
    ]


def test_without_a_split_the_good_train_and_the_rest_tests(tmp_path: Path) -> None:
    text = "image,label\na.png,good\nb.png,defective\nc.png,\n"
    dataset = open_dataset(table(tmp_path, text, "a.png", "b.png", "c.png"))
    assert dataset.table.select("split", "label").rows() == [
        ("train", "good"),
        ("test", "defective"),
        ("test", None),
    ]


def test_without_a_label_a_kind_of_defect_is_one_and_the_test_is_unknown(tmp_path: Path) -> None:
    text = "image,split,defect\na.png,train,\nb.png,test,dent\nc.png,test,\n"
    dataset = open_dataset(table(tmp_path, text, "a.png", "b.png", "c.png"))
    assert dataset.table["label"].to_list() == ["good", "defective", None]


@pytest.mark.parametrize("labels", [[0, 1], [0.0, 1.0], [False, True], ["good", "ng"]])
def test_parquet_with_labels_of_any_type(tmp_path: Path, labels: list[object]) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    path = tmp_path / "list.parquet"
    pl.DataFrame({"image": ["a.png", "b.png"], "label": labels}).write_parquet(path)
    assert open_dataset(path).table["label"].to_list() == ["good", "defective"]


def test_parts_that_restart_in_each_category_are_different_parts(tmp_path: Path) -> None:
    text = "image,category,part\na.png,nut,S1\nb.png,bolt,S1\nc.png,bolt,S2\nd.png,bolt,\n"
    dataset = open_dataset(table(tmp_path, text, "a.png", "b.png", "c.png", "d.png"))
    assert dataset.parts == ["nut/S1", "bolt/S1", "bolt/S2", "d.png"]


def test_a_data_set_written_as_a_table_is_read_back(tmp_path: Path) -> None:
    for name in ("train/good/ü 1.png", "test/dent/2.png", "ground_truth/dent/2_mask.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    dataset = open_dataset(tmp_path)
    dataset.table.write_csv(tmp_path / "rows.csv")
    dataset.table.write_parquet(tmp_path / "rows.parquet")
    assert open_dataset(tmp_path / "rows.csv").table.equals(dataset.table)
    assert open_dataset(tmp_path / "rows.parquet").table.equals(dataset.table)


def test_a_decomposed_umlaut_finds_the_file_as_spelt_on_disk(tmp_path: Path) -> None:
    on_disk, written = (unicodedata.normalize(form, "Stück.png") for form in ("NFD", "NFC"))
    assert on_disk != written
    dataset = open_dataset(table(tmp_path, f"image\n{written}\n", on_disk))
    assert dataset.images[0].is_file()


def test_an_absolute_path_inside_the_folder_becomes_relative(tmp_path: Path) -> None:
    path = table(tmp_path, f'image\n"{tmp_path / "sub" / "a.png"}"\n', "sub/a.png")
    assert open_dataset(path).table["image"].to_list() == ["sub/a.png"]


@pytest.mark.parametrize("escape", ["../secret.png", "sub/../../secret.png", "/secret.png"])
@pytest.mark.parametrize("column", ["image", "mask"])
def test_a_path_outside_the_folder_is_refused(tmp_path: Path, escape: str, column: str) -> None:
    (tmp_path / "secret.png").touch()
    (tmp_path / "set").mkdir()
    cells = {"image": "a.png", "mask": "a.png"} | {column: escape}
    path = table(tmp_path / "set", f"image,mask\n{cells['image']},{cells['mask']}\n", "a.png")
    with pytest.raises(DatasetError, match=r"list\.csv names files outside .*set: \S*secret"):
        open_dataset(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; its first line must name the columns"),
        ("file,part\na.png,1\n", "no column 'image'; its columns are file, part"),
        (
            "image\na.png\ngone 1.png\ngone 2.png\n",
            r"files that do not exist \(2\): gone 1\.png, gone 2",
        ),
        ("image,label\na.png,scratch\n", "labels that are not known: scratch; write good or"),
        ("image,split\na.png,holdout\n", "splits that are not known: holdout"),
        ("image,split\na.png,\n", r"splits that are not known: \(empty\)"),
        ("image,label,defect\na.png,good,dent\n", "calls images good .*: a.png"),
        ("image,label\na.png,good\n,good\n", "names no image in row 2"),
        ("image,Image\na.png,a.png\n", "the column 'image' twice"),
        ("image,label\na.png,good,3,4\n", "not a well-formed table"),
    ],
)
def test_a_table_that_is_wrong_says_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=rf"list\.csv.*{message}"):
        open_dataset(table(tmp_path, text, "a.png"))


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("image\nStück.png\n".encode("cp1252"))
    with pytest.raises(DatasetError, match=r"list\.csv is not UTF-8 text; save it as"):
        open_dataset(path)


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    path.write_bytes(b"PAR1 but nothing else")
    with pytest.raises(DatasetError, match=r"list\.parquet cannot be read as Parquet"):
        open_dataset(path)
