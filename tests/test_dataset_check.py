"""What is wrong with a data set is told by file, before any work."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from blemish.dataset import Dataset, Finding, ensure_sound, findings, open_dataset
from blemish.dataset.duplicates import same_content
from blemish.dataset.image_header import image_size
from blemish.errors import DatasetError, ImageError

SOUND = {
    "train/good/1.png": (4, 3),
    "train/good/2.png": (4, 3),
    "test/good/3.png": (4, 3),
    "test/dent/4.jpg": (4, 3),
    "ground_truth/dent/4_mask.png": (4, 3),
}


def pictures(root: Path, sizes: dict[str, tuple[int, int]]) -> Path:
    """Images of these widths and heights, each of its own grey."""
    for grey, (name, size) in enumerate(sizes.items()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, 10 * grey).save(root / name)
    return root


def severe(dataset: Dataset, **options: bool) -> list[Finding]:
    return [f for f in findings(dataset, **options) if f.severity != "note"]


def test_a_sound_data_set_has_no_findings(tmp_path: Path) -> None:
    dataset = open_dataset(pictures(tmp_path / "gute Stücke", SOUND))
    assert findings(dataset) == []
    ensure_sound(dataset)


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    root = pictures(tmp_path, SOUND | {"ground_truth/dent/4_mask.png": (3, 4)})
    [finding] = findings(open_dataset(root))
    assert finding == Finding(
        "error",
        "the mask ground_truth/dent/4_mask.png has 3 x 4 pixels but test/dent/4.jpg has 4 x 3; "
        "draw the mask at the image's size.",
        "ground_truth/dent/4_mask.png",
    )


def test_a_mask_that_is_no_image(tmp_path: Path) -> None:
    root = pictures(tmp_path, SOUND)
    (root / "ground_truth/dent/4_mask.png").write_text("no image", encoding="utf-8")
    [finding] = findings(open_dataset(root))
    assert finding.severity == "error"
    assert "4_mask.png is no PNG, JPEG, BMP or TIFF" in finding.message


def test_a_good_image_with_a_mask(tmp_path: Path) -> None:
    root = pictures(tmp_path, SOUND | {"ground_truth/good/3_mask.png": (4, 3)})
    [finding] = findings(open_dataset(root), training=False)
    assert (finding.severity, finding.file) == ("error", "test/good/3.png")
    assert "labelled good but has the mask ground_truth/good/3_mask.png" in finding.message


def test_a_mask_that_is_missing_beside_others(tmp_path: Path) -> None:
    root = pictures(tmp_path, SOUND | {"test/dent/5.png": (4, 3), "test/hole/6.png": (4, 3)})
    assert [(f.severity, f.file) for f in findings(open_dataset(root))] == [
        ("warning", "test/dent/5.png"),
        ("warning", "test/hole/6.png"),
    ]


def test_no_masks_at_all_are_one_note(tmp_path: Path) -> None:
    root = pictures(tmp_path, {n: s for n, s in SOUND.items() if "ground_truth" not in n})
    [finding] = findings(open_dataset(root))
    assert (finding.severity, finding.file) == ("note", None)


def test_a_part_in_train_and_test(tmp_path: Path) -> None:
    root = pictures(tmp_path, SOUND | {"train/good/3 again.png": (4, 3)})
    dataset = open_dataset(root, part_pattern=r"/(?P<part>\d)[^/]*$")
    assert findings(dataset) == [
        Finding(
            "error",
            "part 3 (test/good/3.png) is in test and in train; move all of its images to one side.",
            "test/good/3.png",
        )
    ]
    with pytest.raises(DatasetError, match="part 3"):
        ensure_sound(dataset, training=False)


def test_a_part_with_a_missing_view(tmp_path: Path) -> None:
    shots = [f"S{part}_C{view}.png" for part in range(4) for view in range(3)]
    root = pictures(tmp_path, dict.fromkeys([s for s in shots if s != "S2_C1.png"], (2, 2)))
    dataset = open_dataset(root, part_pattern=r"(?P<part>S\d)_(?P<view>C\d)")
    [finding] = findings(dataset)
    assert (finding.severity, finding.file) == ("warning", "S2_C0.png")
    assert finding.message.startswith("part S2 (S2_C0.png) lacks view C1;")


def test_a_view_that_few_parts_have_is_not_missed_on_the_others(tmp_path: Path) -> None:
    shots = [f"S{part}_C1.png" for part in range(5)]
    root = pictures(tmp_path, dict.fromkeys([*shots, "S0_C9.png"], (2, 2)))
    dataset = open_dataset(root, part_pattern=r"(?P<part>S\d)_(?P<view>C\d)")
    [finding] = findings(dataset)
    assert finding.severity == "note"
    assert "only 1 of 5 parts have view C9" in finding.message


def test_views_are_compared_within_a_category(tmp_path: Path) -> None:
    names = ["nut/train/good/a_top.png", "nut/train/good/b_top.png"]
    names += ["bolt/train/good/a_side.png", "bolt/train/good/b_side.png"]
    root = pictures(tmp_path, dict.fromkeys(names, (2, 2)))
    assert findings(open_dataset(root, part_pattern=r"(?P<part>\w)_(?P<view>\w+)\.")) == []


def test_defects_in_training_unless_allowed(tmp_path: Path) -> None:
    root = pictures(tmp_path, SOUND | {"train/scratch/7.png": (4, 3)})
    dataset = open_dataset(root)
    [finding] = severe(dataset)
    assert (finding.severity, finding.file) == ("error", "train/scratch/7.png")
    assert severe(dataset, allow_defects=True) == severe(dataset, training=False) == []


def test_an_unlabelled_image_in_training(tmp_path: Path) -> None:
    dataset = open_dataset(pictures(tmp_path, SOUND | {"train/good/3.png": (4, 3)}))
    unknown = pl.when(pl.col("image") != "train/good/3.png").then("label").alias("label")
    [finding] = findings(dataset.with_table(dataset.table.with_columns(unknown)))
    assert (finding.severity, finding.file) == ("warning", "train/good/3.png")


def test_names_that_differ_only_in_case(tmp_path: Path) -> None:
    root = pictures(tmp_path, SOUND | {"train/good/ä.png": (4, 3), "train/good/Ä.PNG": (4, 3)})
    dataset = open_dataset(root)
    if len(dataset) < 6:
        pytest.skip("on this disk the two names are one file")
    assert findings(dataset) == [
        Finding(
            "warning",
            "train/good/Ä.PNG, train/good/ä.png differ only in case and are one file on Windows "
            "and macOS; rename one.",
            "train/good/Ä.PNG",
        )
    ]


def test_one_of_several_masks_of_another_size(tmp_path: Path) -> None:
    folder = "ground_truth/dent/4"
    masks = {f"{folder}/000.png": (4, 3), f"{folder}/001.png": (3, 4)}
    sound = {n: s for n, s in SOUND.items() if "ground_truth" not in n}
    dataset = open_dataset(pictures(tmp_path, sound | masks))
    [finding] = findings(dataset)
    assert (finding.severity, finding.file) == ("error", folder)
    assert f"the mask {folder} has 3 x 4 pixels but test/dent/4.jpg" in finding.message
    before = dataset.fingerprint()
    (tmp_path / folder / "001.png").write_bytes(b"shorter")
    assert dataset.fingerprint() != before
    for name in masks:
        (tmp_path / name).unlink()
    [finding] = findings(dataset)
    assert "4 is a folder without an image" in finding.message


def test_a_file_listed_twice(tmp_path: Path) -> None:
    dataset = open_dataset(pictures(tmp_path, SOUND))
    twice = dataset.with_table(pl.concat([dataset.table, dataset.table[:1]]))
    [finding] = severe(twice)
    assert (finding.severity, finding.file) == ("error", dataset.table["image"][0])


def test_the_same_picture_under_two_names(tmp_path: Path) -> None:
    root = pictures(tmp_path, SOUND)
    copies = {"test/good/copy.png": "warning", "train/good/copy.png": "note"}
    for copy, severity in copies.items():
        (root / copy).write_bytes((root / "train/good/1.png").read_bytes())
        [finding] = findings(open_dataset(root))
        assert finding.severity == severity
        assert f"{copy}, train/good/1.png" in finding.message or severity == "note"
        (root / copy).unlink()


def test_files_that_differ_only_far_from_their_ends_are_not_the_same(tmp_path: Path) -> None:
    for name, first in {"a.bmp": b"BMa", "b.bmp": b"BMb", "c.bmp": b"BMa", "0.bmp": b""}.items():
        (tmp_path / name).write_bytes(first + bytes(10_000) if first else b"")
    names = ["a.bmp", "b.bmp", "c.bmp", "0.bmp", "gone.bmp", "a.bmp"]
    assert same_content(tmp_path, names) == [["a.bmp", "c.bmp"]]


def test_one_image_only(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"one good image \(einzig ä\.png\) is not enough; add"):
        ensure_sound(open_dataset(pictures(tmp_path, {"einzig ä.png": (2, 2)})))


def test_one_part_only(tmp_path: Path) -> None:
    root = pictures(tmp_path, {"a1.png": (2, 2), "a2.png": (2, 2)})
    dataset = open_dataset(root, part_pattern=r"(?P<part>a)(?P<view>\d)")
    with pytest.raises(DatasetError, match=r"all good images show one part \(a\)"):
        ensure_sound(dataset)


def test_nothing_to_train_on_matters_to_training_only(tmp_path: Path) -> None:
    root = pictures(tmp_path, {"test/good/1.png": (2, 2), "test/dent/2.png": (2, 2)})
    dataset = open_dataset(root)
    with pytest.raises(DatasetError, match="no good image is in the train split"):
        ensure_sound(dataset)
    ensure_sound(dataset, training=False)


def test_several_errors_are_counted(tmp_path: Path) -> None:
    root = pictures(tmp_path, SOUND | {f"train/bad/{n}.png": (2, 2) for n in range(3)})
    with pytest.raises(DatasetError, match=r"bad/0\.png is defective .*\(2 more errors"):
        ensure_sound(open_dataset(root))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_size_from_the_header_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"Bild ö.{suffix}"
    Image.new("RGB", (700, 500)).save(path)
    assert image_size(path) == (500, 700)
    path.write_bytes(path.read_bytes()[:3])
    with pytest.raises(ImageError, match="Bild ö"):
        image_size(path)


def test_the_size_of_a_line_scan_image_beyond_the_limit_of_pillow(tmp_path: Path) -> None:
    path = tmp_path / "scan.bmp"
    Image.new("1", (8, 8)).save(path)
    header = bytearray(path.read_bytes())
    header[18:26] = (40_000).to_bytes(4, "little") + (30_000).to_bytes(4, "little")
    path.write_bytes(header)
    assert image_size(path) == (30_000, 40_000)


def test_a_missing_file_has_no_size(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="gone"):
        image_size(tmp_path / "gone.png")
