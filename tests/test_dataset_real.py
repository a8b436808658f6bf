"""The development images, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from blemish.dataset import findings, hold_out, open_dataset

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the development images are absent")


def test_magnetic_tile_has_parts_with_six_views() -> None:
    dataset = open_dataset(DATA / "magnetic_tile")
    counts = dataset.counts()
    assert counts["splits"] == {
        "train": {"good": {"images": 661, "parts": 110}},
        "test": {
            "good": {"images": 194, "parts": 33},
            "defective": {"images": 347, "parts": 59},
        },
    }
    assert counts["defects"] == {"blowhole": 95, "break": 76, "crack": 51, "fray": 32, "uneven": 93}
    assert counts["masks"] == 347
    assert counts["parts"] == 202
    assert dataset.has_parts
    assert {f.severity for f in findings(dataset)} == {"warning", "note"}
    train, held = hold_out(dataset.split("train"), 0.3, seed=0)
    assert not set(train.parts) & set(held.parts)


def test_tire_has_a_validation_split() -> None:
    dataset = open_dataset(DATA / "tire")
    sizes = {split: len(dataset.split(split)) for split in ("train", "validation", "test")}
    assert sizes == {"train": 210, "validation": 29, "test": 112}
    assert dataset.counts()["masks"] == 87
    assert findings(dataset) == []
    assert not dataset.has_parts


def test_fabric_has_no_masks() -> None:
    dataset = open_dataset(DATA / "fabric_04")
    assert (len(dataset.split("train")), len(dataset.split("test"))) == (14, 16)
    assert dataset.masks == [None] * 30
    assert [f.severity for f in findings(dataset)] == ["note"]


def test_all_of_them_are_one_data_set_of_three_categories() -> None:
    dataset = open_dataset(DATA)
    assert dataset.categories == ["fabric_04", "magnetic_tile", "tire"]
    assert len(dataset.category("magnetic_tile").parts) == 202
