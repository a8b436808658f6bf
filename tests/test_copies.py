"""What shows the same pixels again proves nothing again: in the promise, and in a test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plates import dented, plate, save, save_good, save_set
from running import Cli

from blemish.calibration.part_calibration import HeldOut, PartCalibration, calibrate_parts
from blemish.calibration.promise import Promise, upper_bound
from blemish.dataset import Dataset, open_dataset
from blemish.dataset.copies import copied_parts, equal_pictures
from blemish.dataset.table import conform
from blemish.errors import BudgetExceeded, DatasetError, ImageError
from blemish.images.pixel_digest import pixel_digest
from blemish.model.artifact import open_artifact
from blemish.training import FRESH_START, Plan, train
from blemish.training import copies as module
from blemish.training.copies import LOOKS, Copies, NearCopies

QUICK = ("--detector", "padim", "--size", "64")
PLAN = Plan("padim", size=64, promise=Promise(0.2, 0.9))
SHAPE = (160, 240)


def table(parts: Mapping[str, Mapping[str | None, int]]) -> tuple[pl.DataFrame, list[int]]:
    """Rows of part and view, and what each picture shows, from {part: {view: content}}."""
    rows = [(part, view, shown) for part, of in parts.items() for view, shown in of.items()]
    frame = pl.DataFrame([row[:2] for row in rows], ["part", "view"], orient="row")
    return frame, [row[2] for row in rows]


def dataset(root: Path, images: Iterable[str], **columns: Any) -> Dataset:
    rows = pl.DataFrame({"image": list(images)}).with_columns(
        category=pl.lit("c"), split=pl.lit("train"), label=pl.lit("good")
    )
    return Dataset(root, "data", "table", conform(rows.with_columns(**columns)))


def calibration_of(model: Path) -> PartCalibration:
    return open_artifact(model).card.calibration


# Which parts are copies.


@pytest.mark.parametrize(
    ("parts", "copies"),
    [
        ({"a": {None: 1}, "b": {None: 1}, "c": {None: 2}}, {"b": "a"}),
        ({"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}}, {"b": "a"}),
        ({"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}, {}),  # one view of the two is copied
        ({"a": {"x": 1, "y": 2}, "b": {"x": 2, "y": 1}}, {}),  # the same pictures in other views
        ({"a": {"x": 1, "y": 1}, "b": {"x": 2, "y": 2}}, {}),  # views of one part may be equal
        ({"a": {"x": 1}, "b": {"x": 1, "y": 2}}, {"a": "b"}),  # nothing of its own
        (
            {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}, "d": {"x": 1, "y": 2, "z": 3}},
            {"a": "d", "b": "d", "c": "d"},
        ),
        ({f"{n}": {"x": 0, "y": n} for n in range(9)}, {}),  # a camera that hangs
    ],
)
def test_which_parts_are_copies(
    parts: Mapping[str, Mapping[str | None, int]], copies: Mapping[str, str]
) -> None:
    assert copied_parts(*table(parts)) == copies


VIEWS = st.dictionaries(st.sampled_from(["x", "y", "z"]), st.integers(0, 3), min_size=1)


@given(st.lists(VIEWS, max_size=12))
def test_what_is_left_differs_and_every_copy_is_within_its_original(
    shown: Sequence[Mapping[str | None, int]],
) -> None:
    parts = {f"part {n}": views for n, views in enumerate(shown)}
    copies = copied_parts(*table(parts)) if parts else {}
    left = {part: set(views.items()) for part, views in parts.items() if part not in copies}
    assert all(left[original] >= set(parts[copy].items()) for copy, original in copies.items())
    assert not any(a != b and left[a] <= left[b] for a in left for b in left)


@given(
    st.dictionaries(st.integers(0, 40), st.floats(-5, 5), min_size=1),
    st.data(),
)
def test_duplicates_never_change_the_promise(scores: dict[int, float], data: st.DataObject) -> None:
    """A calibration set, and the same with any of its parts any number of times more."""
    promise = Promise(0.1, 0.9)
    again = data.draw(st.lists(st.sampled_from(sorted(scores)), max_size=60))
    shown = [*scores, *again]
    copies = copied_parts(*table({f"{n:03}": {None: one} for n, one in enumerate(shown)}))
    images = [
        HeldOut(f"{n:03}", None, scores[one], 2 * scores[one])
        for n, one in enumerate(shown)
        if f"{n:03}" not in copies
    ]
    assert calibrate_parts(images, promise) == calibrate_parts(images[: len(scores)], promise)
    assert len(images) == len(scores)


@given(
    st.lists(st.integers(0, 15), min_size=1, max_size=40),
    st.integers(0, 3),
    st.sampled_from([0, 2]),
)
def test_no_part_that_sets_the_threshold_shows_what_is_learnt(
    shown: list[int], seed: int, cross_fit: int
) -> None:
    """And the different parts are divided as if there were no copies."""
    shown = [*range(16, 21), *shown]
    images = [f"{n:03}.png" for n in range(len(shown))]
    data = dataset(Path("nowhere"), images)
    original = copied_parts(data.table, shown)
    looks = LOOKS.to_frame()
    copies = Copies(original, looks, {})
    plan = Plan("padim", promise=Promise(0.3, 0.9), cross_fit=cross_fit, seed=seed)
    divided = FRESH_START.hold_out(copies.without(data), plan, data, copies)
    content = dict(zip(images, shown, strict=True))
    sides = [[content[image] for image in side.table["image"]] for side in divided]
    assert sorted(set(sides[0]) | set(sides[1])) == sorted(set(shown))
    assert len(sides[0]) + len(sides[1]) == len(set(shown))
    alone = dataset(data.root, dict.fromkeys(image for image in images if image not in original))
    none = Copies({}, looks, {})
    assert [side.parts for side in divided] == [
        side.parts for side in FRESH_START.hold_out(alone, plan, alone, none)
    ]


# Equal pixels, whatever the file.


def files_of_one_picture(folder: Path) -> Dataset:
    """A grey picture in files of which no two have the same bytes."""
    grey = plate(1)[..., 0]
    save(folder / "a.png", grey)
    save(folder / "of three equal channels.png", np.repeat(grey[..., None], 3, axis=2))
    save(folder / "a.bmp", grey)
    save(folder / "a.tif", grey)
    small = cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    assert small != (folder / "a.png").read_bytes()
    (folder / "small.png").write_bytes(small)
    with h5py.File(folder / "stack.h5", "w") as file:
        file["image"] = grey[None]
    names = sorted(path.name for path in folder.glob("*.*") if path.suffix != ".h5")
    return dataset(folder, [*names, "stack.h5/image/0"])


def test_files_of_the_same_pixels_are_one_part(tmp_path: Path) -> None:
    data = files_of_one_picture(tmp_path)
    assert len(data) == 6
    assert set(Copies.among(data).original.values()) == {"a.bmp"}
    other = plate(1)[..., 0].copy()
    other[3, 4] ^= 1
    save(tmp_path / "b.png", other)
    more = dataset(tmp_path, ["a.png", "b.png"])
    assert Copies.among(more).original == {}


def test_depth_and_shape_are_part_of_what_a_picture_shows() -> None:
    pixels = np.zeros((4, 6), np.uint8)
    seen = {
        pixel_digest(pixels),
        pixel_digest(pixels.reshape(6, 4)),
        pixel_digest(pixels.astype(np.uint16)),
        pixel_digest(np.dstack([pixels, pixels, pixels + 1])),
    }
    assert len(seen) == 4
    assert pixel_digest(np.dstack([pixels] * 3)) == pixel_digest(pixels)


def test_the_original_is_learnt_from_where_it_can_be_and_has_the_shortest_name(
    tmp_path: Path,
) -> None:
    for name in ("a - Copy.png", "a.png", "z.png"):
        save(tmp_path / name, plate(1))
    data = dataset(tmp_path, ["a - Copy.png", "a.png", "z.png"])
    assert set(Copies.among(data).original.values()) == {"a.png"}
    split = pl.Series(["validation", "validation", "train"])
    torn = dataset(tmp_path, ["a - Copy.png", "a.png", "z.png"], split=split)
    assert set(Copies.among(torn).original.values()) == {"z.png"}


def test_looks_are_kept_by_what_a_file_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = files_of_one_picture(tmp_path / "data").where(~pl.col("image").str.contains(".h5"))
    first = Copies.among(data, cache=tmp_path / "cache")
    (tmp_path / "data/a.png").rename(tmp_path / "data/b.png")
    renamed = data.with_table(data.table.with_columns(pl.col("image").replace("a.png", "b.png")))

    def no_decoding(path: object) -> None:
        raise ImageError(f"{path} was decoded")

    monkeypatch.setattr(module, "read_image", no_decoding)
    again = Copies.among(renamed, cache=tmp_path / "cache")
    assert again.looks.drop("image").equals(first.looks.drop("image"))
    with pytest.raises(ImageError, match="was decoded"):
        Copies.among(renamed)


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path: Path) -> None:
    data = files_of_one_picture(tmp_path / "data")
    (tmp_path / "file").touch()
    copies = Copies.among(data, cache=tmp_path / "file")
    assert len(copies.original) == 5


# Training.


def test_copies_change_nothing_of_a_model_but_what_it_says_of_them(
    cli: Cli, tmp_path: Path
) -> None:
    save_good(tmp_path / "alone", range(12))
    save_good(tmp_path / "more", range(12))
    for seed in range(5):
        save(tmp_path / f"more/{seed:03} again.bmp", plate(seed))
    shutil.copy(tmp_path / "more/007.png", tmp_path / "more/007 (1).png")
    cards = []
    for name in ("alone", "more"):
        model = tmp_path / f"{name}.blemish"
        run = cli("train", tmp_path / name, "-o", model, *QUICK)
        assert run.code == 0
        cards.append(open_artifact(model).card)
    alone, more = cards
    assert open_artifact(tmp_path / "alone.blemish").model == open_artifact(model).model
    assert [line for line in run.err if "copies" in line] == [
        f"WARNING: {tmp_path / 'more'}: 6 of 18 good parts are copies of others, pixel for pixel "
        "(000 again.bmp of 000.png, 001 again.bmp of 001.png, 002 again.bmp of 002.png and 3 more):"
        " each different part counts once, and copies are left out"
    ]
    assert alone.calibration.copies == 0
    assert "copies" not in alone.to_json()["calibration"]
    assert more.to_json()["calibration"] == {**alone.to_json()["calibration"], "copies": 6}
    assert more.data.trained_on == alone.data.trained_on
    assert more.data.trained_pixels == alone.data.trained_pixels
    learnt = set(more.data.trained_parts)
    assert ("001 again.bmp" in learnt) == ("001.png" in learnt)  # it is known as learnt from


def test_many_files_of_one_picture_are_one_part(cli: Cli, tmp_path: Path) -> None:
    first = save(tmp_path / "one/000.png", plate(0))
    for number in range(1, 40):
        shutil.copy(first, tmp_path / f"one/{number:03}.png")
    run = cli("train", tmp_path / "one", "-o", tmp_path / "m.blemish", *QUICK)
    assert run.code == 2
    assert "39 of 40 good parts are copies of others" in run.err[0]
    assert "has 1 good part(s) to learn from (copies count once); at least 3" in run.err[1]
    assert not list(tmp_path.glob("*.blemish*"))


def test_a_copy_of_a_learnt_part_in_the_validation_split_sets_no_threshold(
    tmp_path: Path,
) -> None:
    save_good(tmp_path / "d/train/good", range(6))
    save_good(tmp_path / "d/validation/good", range(20, 23))
    save(tmp_path / "d/validation/good/learnt.bmp", plate(2))
    train(open_dataset(tmp_path / "d"), tmp_path / "m.blemish", PLAN)
    found = calibration_of(tmp_path / "m.blemish")
    assert (found.good_parts, found.copies) == (3, 1)
    for path in (tmp_path / "d/validation/good").glob("02*.png"):
        path.unlink()
    with pytest.raises(DatasetError, match="each good part of the validation split is a copy of"):
        train(open_dataset(tmp_path / "d"), tmp_path / "m.blemish", PLAN)


def test_cross_fitted_scores_are_of_different_parts(tmp_path: Path) -> None:
    save_good(tmp_path / "d", range(6))
    for seed in range(4):
        save(tmp_path / f"d/{seed} again.bmp", plate(seed))
    plan = Plan("padim", size=64, cross_fit=2)
    train(open_dataset(tmp_path / "d"), tmp_path / "m.blemish", plan)
    found = calibration_of(tmp_path / "m.blemish")
    assert (found.good_parts, found.copies) == (6, 4)


def test_each_category_counts_its_own_copies(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for number, name in enumerate(("bolt", "nut")):
        save_good(tmp_path / f"d/{name}/train/good", range(100 * number, 100 * number + 6))
    save(tmp_path / "d/nut/train/good/again.bmp", plate(103))
    plan = Plan("uniad", size=64, settings={"steps": "2"}, promise=Promise(0.2, 0.9))
    train(open_dataset(tmp_path / "d"), tmp_path / "m.blemish", plan)
    found = calibration_of(tmp_path / "m.blemish")
    assert {name: own.copies for name, own in found.categories.items()} == {"bolt": 0, "nut": 1}
    assert found.copies == 1


def test_the_budget_holds_while_copies_are_looked_for(tmp_path: Path) -> None:
    data = open_dataset(save_good(tmp_path / "d", range(4)))
    times = iter(range(100))
    clock = module.Clock(2.5, now=lambda: float(next(times)))
    with pytest.raises(BudgetExceeded, match=r"looking for copies, \d of 4"):
        Copies.among(data, clock=clock)


# A new threshold.


def test_a_new_threshold_counts_each_different_part_once(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    save_good(tmp_path / "good", range(300, 306))
    save_good(tmp_path / "twice", range(300, 306))
    for seed in (300, 301, 302):
        for copy in range(3):
            save(tmp_path / f"twice/{seed} {copy}.bmp", plate(seed))
    cards = []
    for name in ("good", "twice"):
        out = tmp_path / f"{name}.blemish"
        run = cli("calibrate", model, tmp_path / name, "-o", out)
        assert run.code == 0
        cards.append(open_artifact(out).card)
    assert "9 of 15 good parts are copies of others, pixel for pixel" in run.err[0]
    alone, twice = (card.to_json() for card in cards)
    assert twice["calibration"] == {**alone["calibration"], "copies": 9}
    assert twice["data"]["held_out"] == alone["data"]["held_out"]


def test_a_learnt_picture_in_another_file_is_no_part_that_the_model_has_not_seen(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    learnt = open_artifact(model).card.data.trained_parts[0]
    save_good(tmp_path / "good", range(300, 303))
    save(tmp_path / "good/again.bmp", plate(int(Path(learnt).stem)))
    run = cli("calibrate", model, tmp_path / "good", "-o", tmp_path / "never.blemish")
    run.refusal("again.bmp of", "were used to train")


# Near copies.


def again(seed: int) -> np.ndarray:
    """The plate of that seed, one grey brighter."""
    return np.clip(plate(seed, SHAPE).astype(np.int16) + 1, 0, 255).astype(np.uint8)


def test_near_copies_are_named_with_the_bound_as_if_they_counted_once(
    cli: Cli, tmp_path: Path
) -> None:
    save_good(tmp_path / "d/train/good", range(6), SHAPE)
    save_good(tmp_path / "d/validation/good", range(20, 30), SHAPE)
    save(tmp_path / "d/validation/good/like 021.png", again(21))
    save(tmp_path / "d/validation/good/learnt.png", again(3))
    out = tmp_path / "m.blemish"
    run = cli("train", tmp_path / "d", "-o", out, *QUICK, "--max-fpr", "30%")
    found = calibration_of(out)
    assert (found.good_parts, found.near_copies, found.copies) == (12, 2, 0)
    assert found.counted_once == upper_bound(10, found.rank or 0, 0.95) > found.upper_bound
    told = (
        "look like near copies of others (validation/good/learnt.png of train/good/003.png, "
        "validation/good/like 021.png of validation/good/021.png): if they counted once, the bound "
        "would be 25.89 % instead of 22.1 %"
    )
    assert run.err == [f"WARNING: 2 of the 12 good parts that set the threshold {told}"]
    assert "2 of these 12 parts look like near copies: if they counted once, the" in run.out


def test_the_views_of_a_near_copy_are_all_like_those_of_one_part(tmp_path: Path) -> None:
    pictures = {"1_x": plate(1, SHAPE), "1_y": plate(2, SHAPE), "2_x": again(1), "2_y": again(2)}
    pictures |= {"3_x": plate(1, SHAPE) + np.uint8(2), "3_y": plate(9, SHAPE)}
    for name, pixels in pictures.items():
        save(tmp_path / f"{name}.png", pixels)
    names = [f"{name}.png" for name in pictures]
    parts = {"part": pl.col("image").str.head(1), "view": pl.col("image").str.slice(2, 1)}
    data = dataset(tmp_path, names, **parts)
    near = NearCopies.among(data.take([]), data, Copies.among(data))
    assert near.original == {"2": "1"}


def test_other_parts_of_the_product_are_no_near_copies(cli: Cli, tmp_path: Path) -> None:
    save_good(tmp_path / "d", range(12), SHAPE)
    run = cli("train", tmp_path / "d", "-o", tmp_path / "m.blemish", *QUICK)
    assert run.err == []
    assert "near_copies" not in open_artifact(tmp_path / "m.blemish").card.to_json()["calibration"]


# Tests and comparisons.


def test_a_test_set_with_copies_says_so_and_what_it_proves_without(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    save_set(tmp_path / "d", train=0, good=4, dents=4, masks=False)
    plain = json.loads(cli("evaluate", model, tmp_path / "d", "--json", "-").out)
    assert "copies" not in plain
    for copy in range(6):
        save(tmp_path / f"d/test/good/100 {copy}.bmp", plate(100))
    save(tmp_path / "d/test/dent/again.bmp", dented(200))
    run = cli("evaluate", model, tmp_path / "d", "--report", tmp_path / "report")
    figures = json.loads(cli("evaluate", model, tmp_path / "d", "--json", "-").out)
    found, decision = figures["copies"], figures["decision"]
    assert (found["good"], found["defective"]) == (6, 1)
    assert found["parts"]["test/dent/again.bmp"] == "test/dent/200.png"
    assert decision["tn"] + decision["fp"] == 10  # as it was asked for
    for name in ("recall_interval", "fpr_interval"):
        assert found[name] == plain["decision"][name]
    assert "6 good and 1 defective test parts are copies of others, pixel for pixel" in run.out
    assert "test parts are copies" in (tmp_path / "report/report.html").read_text(encoding="utf-8")


def test_a_picture_with_two_labels_is_no_copy(cli: Cli, model: Path, tmp_path: Path) -> None:
    save_set(tmp_path / "d", train=0, good=2, dents=2, masks=False)
    save(tmp_path / "d/test/dent/good too.bmp", plate(100))
    figures = json.loads(cli("evaluate", model, tmp_path / "d", "--json", "-").out)
    assert "copies" not in figures


def test_a_picture_that_cannot_be_read_is_like_no_other(tmp_path: Path) -> None:
    there = save(tmp_path / "0.png", plate(1))
    images = [there, tmp_path / "gone.png", tmp_path / "gone too.png", there]
    assert equal_pictures(images, [1, 1, 1, 1]).tolist() == [0, 1, 2, 0]
    assert equal_pictures([], []).tolist() == []


def test_equal_pictures_are_found_by_their_scores(tmp_path: Path) -> None:
    images = [save(tmp_path / f"{n}.png", plate(seed)) for n, seed in enumerate([1, 2, 1, 3, 1])]
    assert equal_pictures(images, [0.5, 0.5, 0.5 + 1e-7, 2, 0.5]).tolist() == [0, 1, 0, 3, 0]
    assert equal_pictures(images, [1, 2, 3, 4, 5]).tolist() == [0, 1, 2, 3, 4]
