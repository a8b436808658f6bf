"""ISP-AD: folders of three modalities, and streams with synthetic defects.

The names inside its archives could not be checked; these tests hold the forms that are accepted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from streams import cut, masks, noise, write
from trees import link, tree

from blemish.dataset import findings, open_dataset
from blemish.errors import BlemishError, DatasetError, ImageError

Cells = tuple[str | None, ...]


def unsupervised(root: Path) -> Path:
    """One image of each kind."""
    return tree(
        root,
        *("train/good/000.png", "test/good/000.png", "test/area/000.png", "test/points/000.png"),
        *("ground_truth/area/000_mask.png", "ground_truth/points/000_mask.png"),
    )


def supervised(path: Path, **more: Any) -> Path:
    """Two good patches and two with a synthetic defect."""
    values = {"syn_stream": noise(4, 4, 4), "ground_truth": masks(0, 3, 0, 1)}
    return write(path, values | more, compression="gzip")


def stream_row(number: int, *, mask: bool, category: str | None) -> Cells:
    """A row of `supervised`, in train.h5."""
    image = f"train.h5/syn_stream/00000{number}"
    if number % 2 == 0:
        return (image, None, category, "train", "good", None, image, None)
    truth = f"train.h5/ground_truth/00000{number}" if mask else None
    return (image, truth, category, "train", "defective", "synthetic", image, None)


def test_unsupervised_folders_become_the_whole_table(tmp_path: Path) -> None:
    root = tmp_path / "ISP-AD"
    for name in ("LSM_1", "lsm-2", "Asm"):
        unsupervised(root / name)
    data = open_dataset(root)
    assert (data.layout, data.name) == ("isp_ad", "ISP-AD")

    def rows(folder: str, category: str) -> list[Cells]:
        def row(inside: str, *rest: str | None) -> Cells:
            image = f"{folder}/{inside}/000.png"
            kind = inside.partition("/")[2]
            mask = None if kind == "good" else f"{folder}/ground_truth/{kind}/000_mask.png"
            return (image, mask, category, *rest, image, None)

        return [
            row("test/area", "test", "defective", "area"),
            row("test/good", "test", "good", None),
            row("test/points", "test", "defective", "points"),
            row("train/good", "train", "good", None),
        ]

    expected = [*rows("Asm", "ASM"), *rows("LSM_1", "LSM-1"), *rows("lsm-2", "LSM-2")]
    assert data.table.rows() == expected


@pytest.mark.parametrize("name", ["LSM1", "lsm 1", "ISP-AD_LSM-1", "LSM_1_unsupervised"])
def test_one_modality_by_any_spelling(name: str, tmp_path: Path) -> None:
    data = open_dataset(unsupervised(tmp_path / name))
    assert (data.layout, data.categories) == ("isp_ad", ["LSM-1"])
    assert data.table["image"][0] == "test/area/000.png"


@pytest.mark.parametrize("name", ["LSM-12", "plasma", "nut", "alsm1"])
def test_other_names_are_other_data_sets(name: str, tmp_path: Path) -> None:
    data = open_dataset(unsupervised(tmp_path / name))
    assert (data.layout, data.categories) == ("mvtec", [name])


def test_the_modality_may_stand_above_or_below_the_setting(tmp_path: Path) -> None:
    unsupervised(tmp_path / "a" / "ASM" / "unsupervised")
    unsupervised(tmp_path / "b" / "unsupervised" / "ASM")
    paths = ("a", "a/ASM", "a/ASM/unsupervised", "b", "b/unsupervised", "b/unsupervised/ASM")
    for path in paths:
        data = open_dataset(tmp_path / path)
        assert (data.layout, data.categories, len(data)) == ("isp_ad", ["ASM"], 4), path
        assert all((data.root / image).exists() for image in data.table["image"])
        assert all((data.root / mask).exists() for mask in data.table["mask"].drop_nulls())


def test_real_defects_in_the_training_folder(tmp_path: Path) -> None:
    root = unsupervised(tmp_path / "LSM-2")
    tree(root, "train/area/000.png", "train/points/000.png")
    train = open_dataset(root).split("train").table
    assert train.select("label", "defect", "mask").rows() == [
        ("defective", "area", None),
        ("good", None, None),
        ("defective", "points", None),
    ]


# The stream.


@pytest.mark.parametrize("where", ["LSM-1/train.h5", "LSM-1/supervised/train.h5"])
def test_a_stream_with_masks_becomes_the_whole_table(where: str, tmp_path: Path) -> None:
    data = open_dataset(supervised(tmp_path / where))
    assert data.layout == "isp_ad"
    assert data.table.rows() == [stream_row(n, mask=True, category="LSM-1") for n in range(4)]
    errors = [f for f in findings(data, allow_defects=True) if f.severity == "error"]
    assert errors == []


TRUTHS: dict[str, dict[str, Any]] = {
    "labels": {"ground_truth": np.array([0, 1, 0, 1], np.uint8)},
    "a column of labels": {"ground_truth": np.array([[0], [1], [0], [1]])},
    "words": {"ground_truth": ["good", "defective", "good", "defective"]},
    "label": {"label": [0, 1, 0, 1]},
    "labels and masks": {"labels": [0.0, 1.0, 0.0, 1.0], "ground_truth": masks(0, 3, 0, 1)},
    "bool masks": {"ground_truth": masks(0, 3, 0, 1) > 0},
    "masks with a channel": {"ground_truth": masks(0, 3, 0, 1)[..., None]},
}


@pytest.mark.parametrize("name", TRUTHS)
def test_any_form_of_the_ground_truth(name: str, tmp_path: Path) -> None:
    values = {"syn_stream": noise(4, 4, 4), **TRUTHS[name]}
    data = open_dataset(write(tmp_path / "ASM" / "train.h5", values))
    assert data.table.rows() == [
        stream_row(n, mask="masks" in name, category="ASM") for n in range(4)
    ]


@pytest.mark.parametrize("kind", ["masks", "labels"])
def test_groups_with_a_dataset_for_each_patch(kind: str, tmp_path: Path) -> None:
    names = [f"patch {number}" for number in range(4)]
    truth = masks(0, 3, 0, 1) if kind == "masks" else np.array([0, 1, 0, 1])
    values = {
        "syn_stream": dict(zip(names, noise(4, 4, 4), strict=True)),
        "ground_truth": dict(zip(names, truth, strict=True)),
    }
    data = open_dataset(write(tmp_path / "LSM_2.h5", values))
    mask = "LSM_2.h5/ground_truth/patch 3" if kind == "masks" else None
    image = "LSM_2.h5/syn_stream/patch 3"
    assert data.table.row(3) == (
        *(image, mask, "LSM-2", "train", "defective", "synthetic", image, None),
    )
    assert data.table["label"].to_list() == ["good", "defective"] * 2


def test_a_file_for_each_split(tmp_path: Path) -> None:
    for name in ("train", "test"):
        supervised(tmp_path / "ASM" / f"{name}.h5")
    data = open_dataset(tmp_path / "ASM")
    assert data.table.group_by("split", "label", "defect").len().sort("split", "label").rows() == [
        ("test", "defective", None, 2),  # of what kind, the file does not say
        ("test", "good", None, 2),
        ("train", "defective", "synthetic", 2),
        ("train", "good", None, 2),
    ]


def test_real_defects_beside_the_stream(tmp_path: Path) -> None:
    file = supervised(tmp_path / "LSM-1.h5", area=noise(1, 8, 8), points=noise(2, 8, 8))
    rows = open_dataset(file).table.filter(defect="points").rows()
    image = "LSM-1.h5/points/00000"
    assert rows == [
        (image + n, None, "LSM-1", "train", "defective", "points", image + n, None) for n in "01"
    ]
    assert len(open_dataset(file)) == 7


def test_all_streams_of_all_modalities(tmp_path: Path) -> None:
    for name in ("LSM-1", "LSM-2", "ASM"):
        supervised(tmp_path / "supervised" / f"{name}.h5")
    data = open_dataset(tmp_path / "supervised", category="LSM-2")
    assert len(data) == 4
    assert data.table["image"][1] == "LSM-2.h5/syn_stream/000001"
    assert data.table["mask"][1] == "LSM-2.h5/ground_truth/000001"
    assert all(path.parents[1].is_file() for path in data.images)


# Good patches that were not augmented.


def test_good_patches_as_a_folder_or_a_file(tmp_path: Path) -> None:
    folder = tree(tmp_path / "a" / "LSM-1" / "unaugmented_good", "0.png", "1.png")
    file = write(tmp_path / "b" / "LSM-1_good_patches.h5", {"patches": noise(2, 4, 4)})
    for path, first in ((folder, "0.png"), (file, "LSM-1_good_patches.h5/patches/000000")):
        data = open_dataset(path)
        assert (data.layout, len(data)) == ("isp_ad", 2)
        assert data.table.row(0) == (first, None, "LSM-1", "train", "good", None, first, None)


def test_a_lone_stack_that_nobody_calls_good_is_not_read_as_good(tmp_path: Path) -> None:
    file = write(tmp_path / "LSM-1.h5", {"patches": noise(2, 4, 4)})
    with pytest.raises(DatasetError, match=r"LSM-1\.h5 holds no images .* only patches"):
        open_dataset(file)


# Settings are not mixed.


def test_several_settings_are_told_and_not_mixed(tmp_path: Path) -> None:
    root = tmp_path / "ISP-AD"
    for name in ("LSM-1", "ASM"):
        unsupervised(root / name / "unsupervised")
        supervised(root / name / "supervised" / "train.h5")
    tree(root / "ASM" / "good_patches", "0.png")
    with pytest.raises(DatasetError, match="holds 3 settings of ISP-AD") as refusal:
        open_dataset(root)
    for place in (
        "unsupervised in ASM/unsupervised, LSM-1/unsupervised",
        "supervised in ASM/supervised/train.h5, LSM-1/supervised/train.h5",
        "good patches in ASM/good_patches",
    ):
        assert place in str(refusal.value)
    assert len(open_dataset(root / "ASM/unsupervised")) == 4
    assert len(open_dataset(root / "ASM/supervised")) == 4
    assert len(open_dataset(root / "ASM/supervised/train.h5")) == 4
    assert len(open_dataset(root / "ASM/good_patches")) == 1


def test_a_stream_beside_the_folders(tmp_path: Path) -> None:
    root = unsupervised(tmp_path / "LSM_1")
    supervised(root / "stream.h5")
    with pytest.raises(DatasetError, match=r"--layout mvtec.*supervised in stream\.h5"):
        open_dataset(root)
    assert len(open_dataset(root, layout="mvtec")) == 4
    assert open_dataset(root / "stream.h5").categories == ["LSM-1"]


# What is refused.

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no ground truth": ({"syn_stream": noise(2, 4, 4)}, "neither ground_truth nor label"),
    "no stream": ({"ground_truth": masks(0, 1)}, "no images under the name image or syn_stream"),
    "fewer masks": (
        {"syn_stream": noise(3, 4, 4), "ground_truth": masks(0, 1)},
        "holds 3 images in syn_stream but 2 masks in ground_truth",
    ),
    "fewer labels": (
        {"syn_stream": noise(3, 4, 4), "ground_truth": [0, 1]},
        "each of the 3 images",
    ),
    "masks of other names": (
        {
            "syn_stream": {"a": noise(4, 4), "b": noise(4, 4)},
            "ground_truth": {"a": masks(0)[0], "c": masks(1)[0]},
        },
        "in syn_stream without a mask of that name in ground_truth: b",
    ),
    "labels of other names": (
        {"syn_stream": {"a": noise(4, 4), "b": noise(4, 4)}, "ground_truth": {"a": 0}},
        "holds no ground_truth of b",
    ),
    "a table as ground truth": (
        {"syn_stream": noise(3, 4, 4), "ground_truth": noise(3, 2)},
        r"ground_truth is uint8 of the shape \(3, 2\), not one",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_stream_that_does_not_fit_is_refused(name: str, tmp_path: Path) -> None:
    values, message = REFUSED[name]
    file = write(tmp_path / "ASM" / "train.h5", values)
    for path in (file, file.parent):
        with pytest.raises(BlemishError, match=message) as refusal:
            open_dataset(path)
        assert str(file) in str(refusal.value)


def test_a_stream_cut_off_is_never_left_out(tmp_path: Path) -> None:
    file = cut(supervised(tmp_path / "ASM" / "train.h5", label=noise(4)))
    for path in (file, file.parent):
        with pytest.raises(ImageError, match=r"train\.h5 is cut off"):
            open_dataset(path)
    unsupervised(file.parent)
    with pytest.raises(DatasetError, match="holds 2 settings"):
        open_dataset(file.parent)


def test_a_link_to_a_stream_elsewhere_is_refused(tmp_path: Path) -> None:
    supervised(tmp_path / "elsewhere/train.h5")
    link(tmp_path / "LSM-1/train.h5", tmp_path / "elsewhere/train.h5")
    with pytest.raises(DatasetError, match=r"train\.h5 is a link that leads out of"):
        open_dataset(tmp_path / "LSM-1")


def test_a_folder_without_any(tmp_path: Path) -> None:
    (tmp_path / "ASM").mkdir()
    with pytest.raises(DatasetError, match="has not the layout isp_ad, which is folders LSM-1"):
        open_dataset(tmp_path / "ASM", layout="isp_ad")


def test_a_mask_of_another_size_is_a_finding(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "ASM.h5", "w") as file:
        file["syn_stream"], file["ground_truth"] = noise(2, 6, 4), masks(0, 2)
    messages = [f.message for f in findings(open_dataset(tmp_path / "ASM.h5"))]
    assert any("ground_truth/000001 has 4 x 4 pixels" in message for message in messages)
