"""Which images show the same part."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import tree

from blemish.dataset import open_dataset
from blemish.errors import DatasetError

IMAGES = ("train/good/ä 1.png", "train/good/ä 2.png", "test/good/b.png", "test/dent/c.png")
PARTS = {
    "train/good/ä 1.png": "train/good/ä 1.png,P1,top,good",
    "train/good/ä 2.png": "train/good/ä 2.png,P1,side,OK",
    "test/good/b.png": "test/good/b.png,P2,top,0",
    "test/dent/c.png": "test\\dent\\c.png,P3,,dent",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in IMAGES:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    return tmp_path / "set"


def write(
    path: Path, changed: dict[str, str] | None = None, header: str = "file,part,view,label"
) -> Path:
    lines = (PARTS | (changed or {})).values()
    path.write_text("\n".join([header, *filter(None, lines)]) + "\n", encoding="utf-8")
    return path


def parts_and_views(root: Path, **options: object) -> dict[str, tuple[str, str | None]]:
    rows = open_dataset(root, **options).rows()  # type: ignore[arg-type]
    return {r.image.relative_to(root).as_posix(): (r.part, r.view) for r in rows}


def test_parts_csv_beside_the_images_is_found(root: Path) -> None:
    write(root / "parts.csv")
    dataset = open_dataset(root)
    assert parts_and_views(root) == {
        "train/good/ä 1.png": ("P1", "top"),
        "train/good/ä 2.png": ("P1", "side"),
        "test/good/b.png": ("P2", "top"),
        "test/dent/c.png": ("P3", None),
    }
    assert dataset.has_parts
    assert dataset.parts == ["P3", "P2", "P1"]
    assert dataset.views == ["side", "top"]
    assert dataset.counts()["splits"]["train"] == {"good": {"images": 2, "parts": 1}}


def test_a_csv_elsewhere_names_files_from_the_root_of_the_images(root: Path) -> None:
    csv = write(root.parent / "teile.csv")
    assert parts_and_views(root, parts=csv)["test/good/b.png"] == ("P2", "top")


def test_a_csv_above_the_images_names_files_from_its_own_folder(root: Path) -> None:
    csv = write(root / "parts.csv")
    assert parts_and_views(root / "train" / "good", parts=csv) == {
        "ä 1.png": ("P1", "top"),
        "ä 2.png": ("P1", "side"),
    }


def test_part_and_file_are_enough(root: Path) -> None:
    lines = ["file;part", *(f"{image};{number}" for number, image in enumerate(IMAGES))]
    (root / "parts.csv").write_text("\n".join(lines), encoding="utf-8")
    assert parts_and_views(root)["train/good/ä 2.png"] == ("1", None)


def test_a_category_may_have_a_name_that_no_folder_can_have(tmp_path: Path) -> None:
    tree(tmp_path, "a.png", "b.png")
    rows = f"image,category\na.png,{300 * 'x'}\nb.png,..\n"
    (tmp_path / "set.csv").write_text(rows, encoding="utf-8")
    assert open_dataset(tmp_path / "set.csv").categories == ["..", 300 * "x"]


def test_each_category_has_its_own_parts(tmp_path: Path) -> None:
    for category in ("nut", "bolt"):
        folder = tmp_path / category / "train" / "good"
        folder.mkdir(parents=True)
        (folder / "1.png").touch()
        text = "file,part\ntrain/good/1.png,S1\n"
        (tmp_path / category / "parts.csv").write_text(text, encoding="utf-8")
    assert open_dataset(tmp_path).parts == ["bolt/S1", "nut/S1"]
    assert open_dataset(tmp_path / "nut").parts == ["S1"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": "gone.png,P9,top,good"}, r"names files that do not exist \(1\): gone\.png"),
        ({IMAGES[2]: ""}, r"lacks images \(1\): test/good/b\.png"),
        ({IMAGES[3]: "test/dent/c.png,P3,,good"}, r"test/dent/c\.png is 'good' .* but 'dent'"),
        ({IMAGES[3]: "test/dent/c.png,P3,,hole"}, r"test/dent/c\.png is 'hole' .* but 'dent'"),
        ({IMAGES[2]: "test/good/b.png,P2,,dent"}, r"test/good/b\.png is 'dent' .* but 'good'"),
        ({"x": "test/good/b.png,P7,top,good"}, r"names files twice: test/good/b\.png"),
        (
            {IMAGES[2]: "test/good/b.png,,top,good"},
            r"has rows without a file or a part \(1\), .* test/good/b\.png",
        ),
    ],
)
def test_a_csv_that_does_not_fit_the_images(
    root: Path, changed: dict[str, str], message: str
) -> None:
    write(root / "parts.csv", changed)
    with pytest.raises(DatasetError, match=rf"parts\.csv .*{message}"):
        open_dataset(root)


def test_many_missing_images_are_counted_not_listed(root: Path) -> None:
    for number in range(50):
        (root / "test/good" / f"extra {number:02}.png").touch()
    write(root / "parts.csv")
    with pytest.raises(DatasetError, match=r"lacks images \(50\): .*extra 02\.png and 47 more"):
        open_dataset(root)


def test_a_csv_without_the_column_part(root: Path) -> None:
    write(root / "parts.csv", header="file,piece,view,label")
    with pytest.raises(DatasetError, match="no column 'part'; it needs file and part"):
        open_dataset(root)


def test_a_csv_that_is_not_there(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"lost\.csv cannot be read"):
        open_dataset(root, parts=root / "lost.csv")


def test_a_label_in_the_csv_contradicts_a_plain_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "parts.csv").write_text("file,part,label\na.png,1,ng\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"a\.png is 'ng' there but 'good'"):
        open_dataset(tmp_path)


def test_a_label_in_the_csv_fills_an_unknown_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "rows.csv").write_text("image,split\na.png,test\n", encoding="utf-8")
    (tmp_path / "parts.csv").write_text("file,part,label\na.png,1,dent\n", encoding="utf-8")
    row = open_dataset(tmp_path / "rows.csv").rows()[0]
    assert (row.part, row.label, row.defect) == ("1", "defective", "dent")


def test_a_pattern_over_relative_paths(tmp_path: Path) -> None:
    for name in ("Größe 1/S01_C1.png", "Größe 1/S01_C2.png", "Größe 2/S01_C1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pattern = r"(?P<part>Größe \d/S\d+)_(?P<view>C\d)"
    assert parts_and_views(tmp_path, part_pattern=pattern) == {
        "Größe 1/S01_C1.png": ("Größe 1/S01", "C1"),
        "Größe 1/S01_C2.png": ("Größe 1/S01", "C2"),
        "Größe 2/S01_C1.png": ("Größe 2/S01", "C1"),
    }


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(?P<part>[", "is not valid"),
        (r"(?P<piece>\w)", r"lacks a group \(\?P<part>"),
        (r"good/(?P<part>.+)", r"matches no part in images \(1\): test/dent/c\.png"),
    ],
)
def test_a_pattern_that_does_not_fit(root: Path, pattern: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(root, part_pattern=pattern)


def test_a_file_and_a_pattern_are_one_too_many(root: Path) -> None:
    csv = write(root / "parts.csv")
    with pytest.raises(DatasetError, match="not both"):
        open_dataset(root, parts=csv, part_pattern="(?P<part>.)")
    assert parts_and_views(root, part_pattern="(?P<part>.+)/")[IMAGES[0]] == ("train/good", None)
