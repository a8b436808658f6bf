"""A published data set that is not all there is told, with the names where they are plain."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from blemish.dataset import Dataset
from blemish.dataset.published_counts import gaps, published_counts
from blemish.dataset.table import conform
from blemish.published import published


def images(layout: str, *groups: tuple[str, str, str, int]) -> Dataset:
    """A data set of so many images of each category, split and label, numbered from 0."""
    rows = [
        {
            "image": f"{category}/{split}/{label}/{number:04d}.png",
            "category": category,
            "split": split,
            "label": label,
        }
        for category, split, label, count in groups
        for number in range(count)
    ]
    return Dataset(Path("set"), "set", layout, conform(pl.DataFrame(rows)))


def told(data: Dataset) -> list[tuple[str, str]]:
    return [(finding.severity, finding.message) for finding in published_counts(data)]


LSM_2 = [("LSM-2", "train", "good", 401), ("LSM-2", "test", "good", 382)]
LSM_2 += [("LSM-2", "test", "defective", 96)]


def test_isp_ad_without_one_good_image() -> None:
    whole = images("isp_ad", *LSM_2)
    assert told(whole) == []
    less = whole.where(pl.col("image") != "LSM-2/test/good/0073.png")
    assert told(less) == [
        (
            "warning",
            "LSM-2: 381 of the 382 good test images of ISP-AD; missing: LSM-2/test/good/0073.png.",
        )
    ]


def test_isp_ad_without_a_test_is_compared_in_what_it_must_have() -> None:
    assert told(images("isp_ad", ("LSM-2", "train", "good", 10_000))) == []
    stream = images("isp_ad", ("LSM-2", "train", "good", 9), ("LSM-2", "train", "defective", 9))
    assert [message.split(" of the ")[0] for _, message in told(stream)] == [
        "LSM-2: 9",
        "LSM-2: 9",
    ]


def test_isp_ad_with_defects_in_training_is_the_supervised_setting() -> None:
    data = images("isp_ad", *LSM_2, ("LSM-2", "train", "defective", 9))
    assert told(data) == [
        ("warning", "LSM-2: 401 of the 50036 good train images of ISP-AD."),
        ("warning", "LSM-2: 9 of the 50092 defective train images of ISP-AD."),
    ]


def test_missing_at_the_end_there_are_counts_but_no_names() -> None:
    data = images(
        "visa", ("capsules", "train", "good", 600), ("capsules", "test", "defective", 101)
    )
    assert told(data) == [
        ("warning", "capsules: 600 of the 602 good images of VisA."),
        ("note", "capsules: 101 of the 100 defective images of VisA."),
    ]


def test_only_names_of_mvtec_ad_are_held_against_it() -> None:
    own = [("valve", "train", "good", 5), ("bottle", "train", "good", 5)]
    assert told(images("mvtec", *own)) == []
    assert {severity for severity, _ in told(images("mvtec", own[1]))} == {"note"}
    both = told(images("mvtec", own[1], ("cable", "train", "good", 224)))
    assert both[0] == ("warning", "bottle: 5 of the 209 good train images of MVTec AD.")
    assert all("cable" not in message or "test" in message for _, message in both)


def test_totals_are_compared_when_all_categories_are_there() -> None:
    groups = [(f"Class{n}", "train", "good", 1400) for n in range(1, 11)]
    assert told(images("dagm", *groups[:9])) == []
    assert told(images("dagm", *groups, ("Class1", "test", "defective", 290))) == [
        ("warning", "set: 290 of the 2100 defective images of DAGM.")
    ]


def test_a_layout_of_which_nothing_is_published() -> None:
    assert told(images("table", ("bottle", "train", "good", 5))) == []


def test_gaps_are_looked_for_in_each_numbering() -> None:
    names = ["a/cell0001.png", "a/cell0004.png", "a/0009.png", "b/7_x.png", "b/9_x.png", "b/no.png"]
    assert gaps(pl.Series(names)) == ["a/cell0002.png", "a/cell0003.png", "b/8_x.png"]


@pytest.mark.parametrize(
    ("layout", "label", "total"),
    [
        ("mvtec", "good", 4096),
        ("mvtec", "defective", 1258),
        ("visa", "good", 9621),
        ("visa", "defective", 1200),
        ("kolektor_sdd2", "good", 2979),
        ("kolektor_sdd2", "defective", 356),
        ("vad", "good", 3000),
        ("vad", "defective", 2000),
    ],
)
def test_the_counts_add_up_to_the_published_totals(layout: str, label: str, total: int) -> None:
    rows = [r for r in published("category_counts") if (r["layout"], r["label"]) == (layout, label)]
    assert sum(int(row["images"]) for row in rows) == total
    key = {"mvtec": "MVTec", "visa": "VisA", "kolektor_sdd2": "KolektorSDD2", "vad": "VAD"}[layout]
    [row] = [row for row in published("datasets") if row["dataset"] == key]
    assert int(row["good" if label == "good" else "defects"]) == total
