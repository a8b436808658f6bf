"""The pictures of defects that a model keeps, and how a line's own are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from cards import sound_card
from hypothesis import given
from hypothesis import strategies as st
from plates import dent_mask, dented, plate, save, save_dented, save_good

from blemish.dataset import Dataset
from blemish.dataset.defect_images import open_defects
from blemish.errors import DatasetError, ImageError
from blemish.features.cache import picture_name
from blemish.images import Recipe, Window, read_image, read_mask
from blemish.model.artifact import open_artifact, write_artifact
from blemish.training import replay_buffer
from blemish.training.replay_buffer import (
    KeptDefect,
    extract,
    keep,
    kept_in,
    members,
    named,
    windows,
)

TILES = Recipe(32, 32, "squash", tile=32)
WHOLE = Recipe(32, 32, "squash")


def defects(root: Path, number: int = 3) -> Dataset:
    for seed in range(number):
        save(root / f"dent/{seed}.png", dented(seed))
        save(root / f"ground_truth/dent/{seed}_mask.png", dent_mask(seed))
    return open_defects(root)


def pixels(data: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


# What is kept.


def test_tiles_around_the_defect_are_kept(tmp_path: Path) -> None:
    data = defects(tmp_path)
    kept, left_out = keep([], data, TILES)
    assert (len(kept), left_out) == (3, 0)
    for one, row in zip(kept, data.rows(), strict=True):
        assert (one.kind, one.name, one.part) == ("dent", *2 * [picture_name(row.image)])
        assert pixels(one.picture).shape == (64, 64, 3)
        assert one.mask is not None
        mask = pixels(one.mask)
        assert mask.sum() == dent_mask(int(row.image.stem)).sum()
        # The mask still lies where the dent is.
        there = mask > 0
        assert np.array_equal(
            pixels(one.picture)[there],
            cv2.imread(str(row.image))[dent_mask(int(row.image.stem)) > 0],
        )


def test_a_picture_is_kept_whole_where_nothing_says_where_to_look(tmp_path: Path) -> None:
    save(tmp_path / "a.png", dented(1))
    (one,) = keep([], open_defects(tmp_path), TILES)[0]
    assert (one.kind, one.mask) == (None, None)
    assert pixels(one.picture).shape == (80, 100, 3)
    # And where the model sees the picture as a whole.
    (first, *_) = keep([], defects(tmp_path / "marked"), WHOLE)[0]
    assert pixels(first.picture).shape == (80, 100, 3)


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(1, 30),
    st.lists(st.integers(0, 1599), min_size=1, max_size=5),
)
def test_windows_lie_in_the_picture_and_show_every_defect(
    shape: tuple[int, int], side: int, places: list[int]
) -> None:
    mask = np.zeros(shape, bool)
    for row, column in (divmod(place, 40) for place in places):
        mask[row % shape[0], column % shape[1]] = True
    found = windows(mask, side)
    shown = np.zeros(shape, bool)
    for inside in found:
        assert mask[inside].shape == (min(side, shape[0]), min(side, shape[1]))
        assert mask[inside].any()
        shown[inside] = True
    assert shown[mask].all()
    rows, columns = np.nonzero(mask)
    if np.ptp(rows) < side and np.ptp(columns) < side:
        assert len(found) == 1


def test_every_defect_of_a_large_picture_is_kept(tmp_path: Path) -> None:
    image, mask = np.full((300, 400), 90, np.uint8), np.zeros((300, 400), np.uint8)
    for number, (row, column) in enumerate([(20, 30), (250, 350), (150, 200)]):
        image[row : row + 5, column : column + 5] = 200 + number
        mask[row : row + 5, column : column + 5] = 255
    save(tmp_path / "crack/a.png", image)
    save(tmp_path / "crack/a_mask.png", mask)
    kept, left_out = keep([], open_defects(tmp_path), TILES)
    assert left_out == 0
    assert {one.name for one in kept} == {picture_name(tmp_path / "crack/a.png")}
    assert sorted(int(pixels(one.picture).max()) for one in kept) == [200, 201, 202]
    assert all((pixels(one.mask or b"") > 0).sum() == 25 for one in kept)


def test_too_many_pictures_of_a_part_are_left_out(tmp_path: Path) -> None:
    data = defects(tmp_path, 8)
    of_two = data.with_table(
        data.table.with_columns(part=pl.Series(["a"] * 7 + ["b"], dtype=pl.String))
    )
    kept, left_out = keep([], of_two, TILES)
    assert [one.part for one in kept] == ["a"] * replay_buffer.MOST_OF_A_PART + ["b"]
    assert left_out == 2
    assert keep(kept, of_two.take([0]), TILES) == (kept, 1)  # the earlier ones stay


def test_of_too_many_bytes_every_part_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = defects(tmp_path, 4)
    of_two = data.with_table(
        data.table.with_columns(part=pl.Series(["a", "a", "a", "b"], dtype=pl.String))
    )
    kept = keep([], of_two, TILES)[0]
    monkeypatch.setattr(replay_buffer, "MOST_BYTES", kept[0].size + kept[3].size)
    assert keep([], of_two, TILES) == ([kept[0], kept[3]], 2)
    monkeypatch.setattr(replay_buffer, "MOST_PARTS", 1)
    assert keep([], of_two, TILES)[1] == 2  # the part b, and what has no room


@pytest.mark.parametrize(
    ("kind", "colour"),
    [("uint8", True), ("uint8", False), ("uint16", True), ("uint16", False), ("float32", False)],
)
def test_what_is_kept_comes_back_as_it_was(tmp_path: Path, kind: str, colour: bool) -> None:
    image = plate(1)[..., slice(None) if colour else 0].astype(kind)
    image = image * 200 if kind == "uint16" else image
    suffix = ".tif" if kind == "float32" else ".png"
    save(tmp_path / f"new/crack/a{suffix}", image)
    save(tmp_path / "new/ground_truth/crack/a.png", dent_mask(1))
    depth = Recipe(32, 32, "squash", tile=200, window=None if kind == "uint8" else Window(0, 9e4))
    kept, _ = keep([], open_defects(tmp_path / "new"), depth)
    files, entries = members(kept)
    write_artifact(tmp_path / "m", b"model", replace(sound_card(), defects=tuple(entries)), files)
    assert kept_in(open_artifact(tmp_path / "m")) == kept
    (row,) = extract(kept, tmp_path / "out", "screw").iter_rows(named=True)
    assert np.array_equal(read_image(row["image"]), image)
    assert read_image(row["image"]).dtype == image.dtype
    assert np.array_equal(read_mask(Path(row["mask"]), image.shape[:2]), dent_mask(1) > 0)
    assert (row["part"], row["defect"]) == (kept[0].part, "crack")
    assert (row["label"], row["split"], row["category"]) == ("defective", "train", "screw")


def test_a_picture_of_another_depth_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", plate(1).astype(np.uint16) * 200)
    with pytest.raises(ImageError, match=r"a\.png holds uint16"):
        keep([], open_defects(tmp_path), TILES)


def test_files_of_one_name_are_two_parts_and_one_picture_is_one(tmp_path: Path) -> None:
    for folder, seed in (("may", 1), ("june", 2), ("july", 1)):
        save(tmp_path / folder / "001.png", dented(seed))
    may, june, july = (named(open_defects(tmp_path / f)).parts for f in ("may", "june", "july"))
    assert may != june
    assert may == july


# How a line's own pictures are read.


def test_a_folder_for_each_kind_or_none(tmp_path: Path) -> None:
    for name in ("1.png", "crack/2.png", "train/crack/deep/3.png", "Fray/4.png"):
        save(tmp_path / name, dented(1))
    save(tmp_path / "crack/2_mask.png", dent_mask(1))
    save(tmp_path / "ground_truth/1.png", dent_mask(1))
    data = open_defects(tmp_path)
    found = data.table.select("image", "defect", "mask", "label", "split").rows()
    assert sorted(found) == [
        ("1.png", None, "ground_truth/1.png", "defective", "train"),
        ("Fray/4.png", "Fray", None, "defective", "train"),
        ("crack/2.png", "crack", "crack/2_mask.png", "defective", "train"),
        ("train/crack/deep/3.png", "crack", None, "defective", "train"),
    ]


def test_any_layout_is_read(tmp_path: Path) -> None:
    data = open_defects(save_dented(tmp_path / "set", [1, 2]))
    assert data.layout == "mvtec"
    assert data.table["defect"].to_list() == ["dent", "dent"]
    assert None not in data.masks
    save(tmp_path / "table/a.png", dented(1))
    (tmp_path / "table/new.csv").write_text("image,part,defect\na.png,P7,crack\n")
    assert open_defects(tmp_path / "table/new.csv").parts == ["P7"]


def test_defects_are_of_one_category(tmp_path: Path) -> None:
    for name in ("bolt", "nut"):
        save_dented(tmp_path / name, [1])
    with pytest.raises(DatasetError, match=r"several categories \(bolt, nut\)"):
        open_defects(tmp_path)
    assert open_defects(tmp_path, category="nut").categories == ["nut"]


def test_pictures_of_one_scratch_are_one_part(tmp_path: Path) -> None:
    for view in ("top", "side"):
        save(tmp_path / f"P7_{view}.png", dented(1))
    pattern = r"(?P<part>\w+)_(?P<view>\w+)\.png"
    assert open_defects(tmp_path, part_pattern=pattern).parts == ["P7"]
    (tmp_path / "parts.csv").write_text("file,part\nP7_top.png,a\nP7_side.png,b\n")
    assert set(open_defects(tmp_path, part_pattern=pattern).parts) == {"a", "b"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("good/a.png", "calls pictures good"),
        ("synthetic/a.png", "holds defects of the kind 'synthetic'"),
        ("ground_truth/crack/a.png", "no picture of a defect"),
    ],
)
def test_what_is_no_real_defect_is_refused(tmp_path: Path, name: str, said: str) -> None:
    save(tmp_path / "new" / name, dented(1))
    with pytest.raises(DatasetError, match=said) as refused:
        open_defects(tmp_path / "new")
    assert str(tmp_path / "new") in str(refused.value)


def test_a_mask_without_a_picture_or_of_another_size_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "crack/a.png", dented(1))
    save(tmp_path / "ground_truth/crack/b.png", dent_mask(1))
    with pytest.raises(DatasetError, match=r"named like no picture: ground_truth/crack/b\.png"):
        open_defects(tmp_path)
    save(tmp_path / "crack/b.png", dented(1, (90, 90)))
    with pytest.raises(DatasetError, match="draw the mask at the image's size"):
        open_defects(tmp_path)


def test_good_pictures_of_a_layout_are_named(tmp_path: Path) -> None:
    save_good(tmp_path / "train/good", range(2))
    save_dented(tmp_path, [5])
    with pytest.raises(DatasetError, match=r"\(2\): train/good/000\.png"):
        open_defects(tmp_path)


def test_a_kept_picture_knows_its_file(tmp_path: Path) -> None:
    one = KeptDefect("p", None, "0", b"\x89PNG...", None)
    assert [*members([one])[0]] == ["defects/0000.png"]
    floats = KeptDefect("p", None, "0", b"II*\0...", b"\x89PNG")
    assert [*members([one, floats])[0]][1:] == ["defects/0001.tif", "defects/0001_mask.png"]
