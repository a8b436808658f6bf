"""A planted shortcut is found and its direction told; a cue that means nothing is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pictured import dataset

from blemish.dataset import Dataset
from blemish.dataset.shortcuts import CUES, by_category, shortcuts, warnings
from blemish.dataset.survey import SURVEY
from blemish.metrics.image import auroc, auroc_interval, bootstrap_auroc

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def a_test_set(good: int, defective: int) -> tuple[Dataset, pl.DataFrame]:
    """A test set whose images all look the same, and its survey; file numbers are shuffled."""
    n = good + defective
    numbers = np.random.default_rng(5).permutation(n)
    rows = [
        {"image": f"{number:04d}.png", "label": "good" if i < good else "defective"}
        for i, number in enumerate(numbers)
    ]
    looks = {"bytes": 1000, "width": 64, "height": 48, "brightness": 100.0, "contrast": 9.0}
    columns = {c: [looks.get(c, 5.0 if c == "sharpness" else None)] * n for c in SURVEY}
    return dataset(Path("set"), rows), pl.DataFrame(columns, SURVEY)


def noisy(surveyed: pl.DataFrame, column: str, shift: float, good: int) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    values = rng.normal(100, 10, len(surveyed))
    values[good:] += shift
    return surveyed.with_columns(pl.Series(column, values).cast(SURVEY[column]))


def test_images_that_differ_in_nothing_give_no_shortcut() -> None:
    data, surveyed = a_test_set(60, 40)
    table = shortcuts(data, surveyed)
    assert table["cue"].to_list() == list(CUES)
    assert (table.filter(pl.col("cue") != "number")["auroc"] == 0.5).all()
    assert list(warnings(table)) == []


def test_a_cue_without_meaning_is_not_warned_of() -> None:
    data, surveyed = a_test_set(60, 40)
    for column in ("brightness", "contrast", "bytes"):
        surveyed = noisy(surveyed, column, 0, 60)
    assert list(warnings(shortcuts(data, surveyed))) == []


@pytest.mark.parametrize(
    ("column", "cue", "shift", "direction"),
    [
        ("brightness", "brightness", -20, "darker"),
        ("bytes", "file_size", 25, "larger"),
        ("sharpness", "sharpness", -25, "more blurred"),
    ],
)
def test_a_planted_shortcut(column: str, cue: str, shift: float, direction: str) -> None:
    data, surveyed = a_test_set(60, 40)
    surveyed = noisy(surveyed, column, shift, 60)
    [finding] = warnings(shortcuts(data, surveyed))
    told = by_category(shortcuts(data, surveyed))["plate"][cue]
    values = surveyed[column].to_numpy() * np.sign(shift)
    assert told["auroc"] == auroc(values, [0] * 60 + [1] * 40)
    assert told["defective_are"] == direction
    assert (told["good"], told["defective"]) == (60, 40)
    assert 0.5 < told["low"] < told["auroc"] < told["high"] <= 1
    assert finding.severity == "warning"
    assert finding.message.startswith(f"plate: {CUES[cue][0]} alone tells good from defective")
    assert f"defective images are {direction}." in finding.message


def test_what_the_marked_defects_alone_do_is_no_shortcut() -> None:
    data, surveyed = a_test_set(60, 40)
    surveyed = noisy(surveyed, "brightness", -20, 60)
    outside = noisy(surveyed, "brightness", 0, 60)["brightness"]
    masked = pl.int_range(pl.len()) >= 60
    surveyed = surveyed.with_columns(brightness_outside=pl.when(masked).then(pl.Series(outside)))
    table = shortcuts(data, surveyed).filter(pl.col("cue") == "brightness")
    assert table["auroc"][0] > 0.85
    assert 0.4 < table["auroc_outside"][0] < 0.6
    assert list(warnings(table)) == []
    everywhere = surveyed.with_columns(brightness_outside=pl.when(masked).then("brightness"))
    assert len(list(warnings(shortcuts(data, everywhere)))) == 1


def test_the_order_in_time_by_the_number_in_the_name() -> None:
    data, surveyed = a_test_set(60, 40)
    ordered = data.table.with_columns(
        image=pl.format("day 2/part_{}_a.png", pl.int_range(pl.len()))
    )
    [finding] = warnings(shortcuts(data.with_table(ordered), surveyed))
    assert "the number in the file name" in finding.message
    assert "are later" in finding.message


@pytest.mark.parametrize("first", [0, 200], ids=["anew in each folder", "a range for each folder"])
def test_numbers_that_are_no_common_count_tell_nothing(first: int) -> None:
    data, surveyed = a_test_set(60, 40)
    number = pl.int_range(pl.len()).over("label")
    number += pl.when(pl.col("label") == "defective").then(first).otherwise(0)
    sorted_out = data.table.with_columns(image=pl.format("test/{}/{}.png", "label", number))
    cues = shortcuts(data.with_table(sorted_out), surveyed)["cue"].to_list()
    assert cues == [cue for cue in CUES if cue != "number"]


def test_a_few_images_told_apart_by_chance_prove_nothing() -> None:
    data, surveyed = a_test_set(2, 3)
    surveyed = surveyed.with_columns(brightness=pl.Series([1.0, 2, 3, 4, 5]))
    table = shortcuts(data, surveyed)
    assert table.filter(pl.col("cue") == "brightness")["auroc"].to_list() == [1.0]
    assert list(warnings(table)) == []


def test_images_of_one_part_are_one_witness() -> None:
    data, surveyed = a_test_set(30, 30)
    surveyed = noisy(surveyed, "contrast", 30, 30)
    assert len(list(warnings(shortcuts(data, surveyed)))) == 1
    of_two = data.table.with_columns(part=pl.col("label"))
    assert list(warnings(shortcuts(data.with_table(of_two), surveyed))) == []


def test_training_images_and_categories_without_defects_have_no_row() -> None:
    data, surveyed = a_test_set(60, 40)
    assert shortcuts(
        data.with_table(data.table.with_columns(split=pl.lit("train"))), surveyed
    ).is_empty()
    good = data.table.with_columns(label=pl.lit("good"))
    assert shortcuts(data.with_table(good), surveyed).is_empty()


def test_the_interval_agrees_with_the_bootstrap() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1], [150, 90])
    parts = np.concatenate([np.arange(150) // 3, 100 + np.arange(90) // 3])
    scores = rng.normal(size=240) + labels + rng.normal(size=240)[parts]
    drawn, computed = (of(scores, labels, parts) for of in (bootstrap_auroc, auroc_interval))
    assert drawn is not None
    assert computed is not None
    assert computed[0] <= drawn[0] < drawn[1] <= computed[1]
    assert computed[1] - computed[0] < 1.4 * (drawn[1] - drawn[0])
    alone = auroc_interval(scores, labels, np.arange(240))
    assert alone is not None
    assert alone[1] - alone[0] < computed[1] - computed[0]
    assert auroc_interval([1, 2], [1, 1], [0, 1]) is None
