"""Parts are held out whole, and by name rather than by place."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blemish.dataset import Dataset, folds, hold_out
from blemish.dataset.table import conform
from blemish.errors import DatasetError


def good(parts: list[str], category: str = "nut") -> Dataset:
    """One row per entry; equal entries are images of one part."""
    frame = pl.DataFrame({"part": parts}, schema={"part": pl.String}).with_columns(
        image=pl.concat_str(
            pl.lit(category), pl.int_range(pl.len()).cast(pl.String), pl.col("part"), separator="/"
        ),
        category=pl.lit(category),
        split=pl.lit("train"),
        label=pl.lit("good"),
    )
    return Dataset(Path("root"), category, "table", conform(frame))


def both(first: Dataset, second: Dataset) -> Dataset:
    return first.with_table(pl.concat([first.table, second.table]))


names = st.text("abcdefgh0123ä ", min_size=1, max_size=4)
some_parts = st.lists(names, min_size=2, max_size=30).filter(lambda parts: len(set(parts)) > 1)
seeds = st.integers(0, 2**32)


@settings(max_examples=50)
@given(some_parts, st.floats(0.01, 0.99), seeds)
def test_no_part_straddles_and_nothing_is_lost(parts: list[str], share: float, seed: int) -> None:
    dataset = good(parts)
    train, held = hold_out(dataset, share, seed)
    assert not set(train.parts) & set(held.parts)
    assert min(len(train), len(held)) > 0
    assert sorted([*train.table["image"], *held.table["image"]]) == sorted(dataset.table["image"])
    assert set(held.table["split"]) == {"validation"}
    assert set(train.table["split"]) == {"train"}


@settings(max_examples=50)
@given(some_parts, seeds, st.randoms(use_true_random=False))
def test_neither_repetition_nor_row_order_matters(
    parts: list[str], seed: int, random: object
) -> None:
    dataset = good(parts)
    order = list(range(len(dataset)))
    random.shuffle(order)  # type: ignore[attr-defined]
    train, held = hold_out(dataset, 0.3, seed)
    assert hold_out(dataset, 0.3, seed)[1].table.equals(held.table)
    shuffled = hold_out(dataset.take(order), 0.3, seed)
    assert set(shuffled[0].parts) == set(train.parts)
    assert set(shuffled[1].parts) == set(held.parts)


@settings(max_examples=50)
@given(st.sets(names, min_size=2, max_size=30), names, seeds)
def test_one_more_part_moves_at_most_one_other(parts: set[str], extra: str, seed: int) -> None:
    before = set(hold_out(good(sorted(parts)), 0.4, seed)[1].parts)
    after = set(hold_out(good(sorted({*parts, extra})), 0.4, seed)[1].parts)
    assert len((before ^ after) - {extra}) <= 1


def test_parts_with_a_name_in_common_are_held_out_by_category() -> None:
    dataset = both(good(["1", "2", "3", "4", "5", "6"], "nut"), good(["1", "2"], "bolt"))
    for seed in range(10):
        held = hold_out(dataset, 1e-9, seed)[1]
        assert sorted(held.table["category"]) == ["bolt", "nut"]


def test_the_share_is_met() -> None:
    dataset = good([f"part {number}" for number in range(110)])
    assert len(hold_out(dataset, 0.2, seed=7)[1]) == 22


def test_another_seed_holds_out_other_parts() -> None:
    dataset = good([f"part {number}" for number in range(100)])
    assert hold_out(dataset, 0.5, 1)[1].parts != hold_out(dataset, 0.5, 2)[1].parts


def test_the_choice_is_the_same_on_every_machine_and_in_every_version() -> None:
    held = hold_out(good([f"part {number}" for number in range(8)]), 0.5, seed=0)[1]
    assert held.parts == ["part 0", "part 2", "part 3", "part 7"]


@settings(max_examples=50)
@given(some_parts, seeds)
def test_folds_hold_every_part_out_once(parts: list[str], seed: int) -> None:
    dataset = good(parts)
    k = min(3, len(dataset.parts))
    pairs = folds(dataset, k, seed)
    held = [part for _, fold in pairs for part in fold.parts]
    assert sorted(held) == sorted(dataset.parts)
    assert all(set(train.parts) == set(dataset.parts) - set(fold.parts) for train, fold in pairs)
    sizes = [len(fold.parts) for _, fold in pairs]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(DatasetError, match="must lie between 0 and 1"):
        hold_out(good(["1", "2"]), share, 0)


def test_one_part_cannot_be_split() -> None:
    with pytest.raises(DatasetError, match="'nut' has fewer than two parts"):
        hold_out(good(["1", "1", "1"]), 0.5, 0)
    with pytest.raises(DatasetError, match="fewer than two parts"):
        hold_out(good(["1"]).take([]), 0.5, 0)
    for k in (1, 4):
        with pytest.raises(DatasetError, match=f"{k} folds cannot be made of 3 parts"):
            folds(good(["1", "2", "3"]), k, 0)
