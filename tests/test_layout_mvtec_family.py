"""The sets that share the layout of MVTec AD, each with its published names."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import tree

from blemish.dataset import open_dataset
from blemish.dataset.layouts import find_layout, layouts
from blemish.errors import DatasetError

LOCO = (
    "breakfast_box/train/good/000.png",
    "breakfast_box/validation/good/000.png",
    "breakfast_box/test/good/000.png",
    "breakfast_box/test/logical_anomalies/000.png",
    "breakfast_box/test/structural_anomalies/000.png",
    "breakfast_box/ground_truth/logical_anomalies/000/000.png",
    "breakfast_box/ground_truth/logical_anomalies/000/001.png",
    "breakfast_box/ground_truth/structural_anomalies/000/000.png",
    "breakfast_box/defects_config.json",
)
MPDD = (
    "bracket_black/train/good/000.png",
    "bracket_black/test/good/000.png",
    "bracket_black/test/scratches/000.png",
    "bracket_black/ground_truth/scratches/000_mask.png",
)
RAD = (
    "bolt/train/good/0.png",
    "bolt/test/good/1.png",
    "bolt/test/defect/2.png",
    "bolt/ground_truth/defect/2.png",
)
TEXTILE = ("type1/train/good/0.png", "type1/test/good/1.png", "type1/test/anomaly/2.png")
MIAD = (
    "metal_welding/train/good/000000.jpg",
    "metal_welding/test/good/000000.jpg",
    "metal_welding/test/crack/000000.jpg",
    "metal_welding/ground_truth/crack/000000.png",
    "metal_welding/mask/000000.png",
)


def rows(root: Path) -> list[tuple[str | None, ...]]:
    columns = ("image", "mask", "category", "split", "label", "defect")
    return open_dataset(root).table.select(columns).rows()


def test_mvtec_loco_has_a_folder_of_masks_for_each_image(tmp_path: Path) -> None:
    box = "breakfast_box"
    assert rows(tree(tmp_path, *LOCO)) == [
        (LOCO[2], None, box, "test", "good", None),
        (
            *(LOCO[3], f"{box}/ground_truth/logical_anomalies/000"),
            *(box, "test", "defective", "logical_anomalies"),
        ),
        (
            *(LOCO[4], f"{box}/ground_truth/structural_anomalies/000"),
            *(box, "test", "defective", "structural_anomalies"),
        ),
        (LOCO[0], None, box, "train", "good", None),
        (LOCO[1], None, box, "validation", "good", None),
    ]
    assert len(rows(tmp_path / box)) == 5


@pytest.mark.parametrize("names", [MPDD, RAD, MIAD], ids=["mpdd", "rad", "miad"])
def test_sets_with_one_mask_for_each_image(tmp_path: Path, names: tuple[str, ...]) -> None:
    category, _, kind, _ = names[2].split("/")
    found = rows(tree(tmp_path, *names))
    assert len(found) == 3
    assert set(found) == {
        (names[0], None, category, "train", "good", None),
        (names[1], None, category, "test", "good", None),
        (names[2], names[3], category, "test", "defective", kind),
    }


def test_the_textile_set_has_no_masks(tmp_path: Path) -> None:
    assert rows(tree(tmp_path, *TEXTILE)) == [
        (TEXTILE[2], None, "type1", "test", "defective", "anomaly"),
        (TEXTILE[1], None, "type1", "test", "good", None),
        (TEXTILE[0], None, "type1", "train", "good", None),
    ]


@pytest.mark.parametrize("names", [LOCO, MPDD, RAD, TEXTILE, MIAD])
def test_no_other_layout_recognises_them(tmp_path: Path, names: tuple[str, ...]) -> None:
    root = tree(tmp_path, *names)
    assert find_layout(root) is layouts()["mvtec"]
    assert find_layout(root / names[0].partition("/")[0]) is layouts()["mvtec"]


def test_a_mask_beside_a_folder_of_masks_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, *LOCO, "breakfast_box/ground_truth/logical_anomalies/000.png")
    message = r"several masks for one image: \S*anomalies/000\.png, \S*anomalies/000; keep"
    with pytest.raises(DatasetError, match=message):
        open_dataset(root)


def test_folders_of_masks_named_otherwise_than_the_images(tmp_path: Path) -> None:
    root = tree(tmp_path, *LOCO[:3], "breakfast_box/test/logical_anomalies/7.png", *LOCO[5:6])
    with pytest.raises(DatasetError, match=r"no mask such as \S*000/000\.png is named like an im"):
        open_dataset(root)


def test_images_in_deeper_folders_have_masks_in_such_folders(tmp_path: Path) -> None:
    root = tree(tmp_path, "test/dent/line 1/a.png", "ground_truth/dent/line 1/a_mask.png")
    assert open_dataset(root).table["mask"].to_list() == ["ground_truth/dent/line 1/a_mask.png"]


def test_a_table_may_name_a_folder_of_masks(tmp_path: Path) -> None:
    dataset = open_dataset(tree(tmp_path, *LOCO))
    dataset.table.write_csv(tmp_path / "rows.csv")
    assert open_dataset(tmp_path / "rows.csv").table.equals(dataset.table)
