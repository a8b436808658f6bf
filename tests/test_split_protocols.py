"""Every split protocol keeps the contract; and each one's own rules and published figures."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import floor

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from split_tables import data, parts_by_side, parts_in, table

from blemish.dataset import Dataset
from blemish.dataset.splits import Split, defect_free_settings, divide, protocol_names
from blemish.dataset.splits.fractions import fraction_of
from blemish.dataset.splits.fuiad import fuiad_size
from blemish.errors import BlemishError, DatasetError
from blemish.published import published

# What a protocol must be told, for a small data set.
NEEDED = {"fuiad": {"test_parts": "6"}, "leave_one_defect_out": {"defect": "dent"}}


def split(rows: Dataset, name: str, seed: int = 0, **settings: object) -> Split:
    texts = {key: str(value) for key, value in settings.items()}
    return divide(rows, name, seed, {**NEEDED.get(name, {}), **texts})


# The contract, for every protocol. Nothing is decided on disk, so that every choice is the seed's.

UNDIVIDED = data(
    table("nut", views=2, train_good=30, test_dent=9, test_crack=9, test_unknown=2),
    table("bolt", views=2, train_good=20, test_dent=9, test_crack=8),
)


@pytest.mark.parametrize("name", protocol_names())
def test_the_order_of_the_rows_does_not_matter(name: str) -> None:
    found = split(UNDIVIDED, name, seed=3).data.table
    again = split(UNDIVIDED, name, seed=3).data.table
    reversed_rows = split(UNDIVIDED.with_table(UNDIVIDED.table.reverse()), name, seed=3).data.table
    assert found.equals(again)
    assert found.equals(reversed_rows.reverse())


@pytest.mark.parametrize("name", protocol_names())
def test_another_seed_chooses_other_parts(name: str) -> None:
    first, second = (split(UNDIVIDED, name, seed).data for seed in (1, 2))
    assert parts_in(first, "train") != parts_in(second, "train")
    assert len(parts_in(first, "train")) == len(parts_in(second, "train"))


@pytest.mark.parametrize("name", protocol_names())
def test_no_part_is_on_two_sides_and_every_row_has_one(name: str) -> None:
    found = split(UNDIVIDED, name).data
    sides = found.table.group_by("part").agg(pl.col("split").n_unique(), pl.len())
    assert set(sides["split"]) == {1}
    assert set(sides["len"]) == {2}, "a part lost one of its views"
    assert set(found.table["split"]) == {"train", "test"}
    assert set(found.table["image"]) <= set(UNDIVIDED.table["image"])
    assert found.table["image"].is_unique().all()
    assert found.categories == ["bolt", "nut"]


@pytest.mark.parametrize("name", protocol_names())
def test_labels_are_as_they_were_or_hidden(name: str) -> None:
    found = split(UNDIVIDED, name)
    hidden = found.data.where(pl.col("image").is_in(found.hidden)).table
    assert hidden.height == len(found.hidden)
    seen = hidden.select("split", "label", "defect", "mask").unique().rows()
    assert seen in ([], [("train", "good", None, None)])
    shown = found.data.where(~pl.col("image").is_in(found.hidden)).table.drop("split")
    assert shown.equals(UNDIVIDED.table.drop("split").join(shown, on="image", how="semi"))


@pytest.mark.parametrize("name", protocol_names())
def test_a_part_in_two_splits_is_refused(name: str) -> None:
    torn = table(train_good=30, test_dent=20).with_columns(
        part=pl.col("part").replace("nut test_dent 0", "nut train_good 0")
    )
    with pytest.raises(DatasetError, match=r"several splits \(1 parts\): nut train_good 0; move"):
        split(data(torn), name)


@pytest.mark.parametrize("name", protocol_names())
def test_a_category_that_cannot_be_split_is_named_and_left_out(name: str) -> None:
    rows = data(UNDIVIDED.table, table("washer", test_dent=1))
    found = split(rows, name)
    assert list(found.not_valid) == ["washer"]
    assert found.data.categories == ["bolt", "nut"]
    with pytest.raises(DatasetError, match=f"cannot be split by {name}: washer has"):
        split(rows.category("washer"), name)
    with pytest.raises(DatasetError, match="it holds no image"):
        split(rows.take([]), name)


# The seed of a split and the seed of a training do not conspire.


def test_noise_is_held_out_of_training_no_more_often_than_other_parts() -> None:
    from blemish.dataset import hold_out

    rows = data(table(train_good=500, test_dent=500))
    train = split(rows, "fuiad", test_parts=50, alpha=0.1).data.split("train")
    noise = parts_in(train, "train", "dent")
    held = parts_in(hold_out(train, 0.2, seed=0)[1], "validation", "dent")
    assert len(noise) == 50
    assert 2 <= len(held) <= 20


# uiad


def test_uiad_keeps_the_official_test_and_drops_defects_of_training() -> None:
    rows = data(
        table(
            **{"train_good": 4, "train_dent": 2, "validation_good": 2, "validation_dent": 1},
            **{"test_good": 3, "test_dent": 2, "test_unknown": 1},
        )
    )
    assert parts_by_side(split(rows, "uiad").data) == {
        "train": ["train_good"] * 4,
        "validation": ["validation_good"] * 2,
        "test": ["test_dent"] * 2 + ["test_good"] * 3 + ["test_unknown"],
    }


def test_uiad_trains_on_the_good_views_of_parts_that_all_have_a_defect() -> None:
    rows = data(table("kos", views=3, train_dent=4, test_dent=2))
    found = split(rows, "uiad")
    train = found.data.split("train")
    assert (len(train), len(train.parts), len(train.good())) == (8, 4, 8)
    assert found.data.split("test").table.equals(rows.split("test").table)
    assert found.counts() == {"kos": {"test": {"defective": 2}, "train": {"good": 4}}}


def test_uiad_gives_a_share_of_the_good_parts_to_a_test_without_any() -> None:
    found = split(data(table(train_good=10, test_dent=1)), "uiad", test_share=0.4).data
    assert parts_by_side(found) == {
        "train": ["train_good"] * 6,
        "test": ["test_dent"] + ["train_good"] * 4,
    }


# few_shot


@hypothesis(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 19))
def test_fewer_shots_are_among_more(seed: int, k: int) -> None:
    rows = data(table(train_good=20, train_dent=3, test_good=2, test_dent=2, validation_good=1))
    fewer, more = (split(rows, "few_shot", seed, k=n).data for n in (k, k + 1))
    assert len(fewer.split("train").parts) == k
    assert parts_in(fewer, "train") < parts_in(more, "train")
    assert parts_in(fewer, "test") == parts_in(more, "test") == parts_in(rows, "test")
    assert not len(fewer.split("validation"))


def test_few_shot_refuses_more_parts_than_there_are() -> None:
    rows = data(table(train_good=3, test_good=1))
    with pytest.raises(DatasetError, match="nut has 3 good parts to train on, not k=4"):
        split(rows, "few_shot")


# pooled


def test_the_good_parts_of_validation_train_too_and_fewer_are_among_more() -> None:
    rows = data(
        table(train_good=6, train_dent=2, validation_good=4, validation_dent=1, test_good=2)
    )
    every = split(rows, "pooled").data
    assert parts_by_side(every) == {
        "train": [*["train_good"] * 6, *["validation_good"] * 4],
        "test": ["test_good"] * 2,
    }
    fewer, more = (split(rows, "pooled", seed=1, train_parts=n).data for n in (5, 8))
    assert (len(fewer.split("train").parts), len(more.split("train").parts)) == (5, 8)
    assert parts_in(fewer, "train") < parts_in(more, "train") < parts_in(every, "train")
    assert all(parts_in(more, "train", kind) for kind in ("train_good", "validation_good"))
    assert split(rows, "pooled", train_parts=99).data.table.equals(every.table)


def test_a_pool_keeps_the_good_views_of_training_parts_with_a_defect() -> None:
    rows = data(table(views=2, train_good=3, train_dent=2, test_good=1))
    train = split(rows, "pooled").data.split("train")
    assert len(train) == 3 * 2 + 2
    assert len(split(rows, "pooled", train_parts=99).data.split("train")) == 3 * 2


# k_fold


@pytest.mark.parametrize("defects", [False, True])
def test_over_all_folds_every_part_is_tested_once(defects: bool) -> None:
    rows = data(table(train_good=9, test_good=4, test_dent=5, train_synthetic=3, test_unknown=1))
    found = [split(rows, "k_fold", k=4, fold=fold, defects=defects).data for fold in (1, 2, 3, 4)]
    tested = [part for fold in found for part in fold.split("test").parts]
    used = {part for part in rows.parts if "synthetic" not in part and "unknown" not in part}
    assert sorted(tested) == sorted(used)
    for fold in found:
        good = parts_in(fold, "test", "good") | parts_in(fold, "train", "good")
        assert good == {part for part in rows.parts if "good" in part}
        dents = 5 - len(parts_in(fold, "test", "dent")) if defects else 0
        assert len(parts_in(fold, "train", "dent")) == dents


@hypothesis(max_examples=20)
@given(st.integers(0, 2**32), st.integers(2, 5), st.integers(0, 11), st.integers(1, 12))
def test_fewer_taught_defects_are_among_more_and_none_is_ever_tested(
    seed: int, k: int, fewer: int, more: int
) -> None:
    rows = data(table(views=2, train_good=8, test_good=3, test_dent=9, test_crack=8))
    assume(fewer < more <= 17 - -(-17 // k))
    tested: list[str] = []
    for fold in range(1, k + 1):
        settings = {"k": k, "fold": fold, "defects": True}
        few, many, every = (
            split(rows, "k_fold", seed, **settings, taught=n).data for n in (fewer, more, "none")
        )
        bad = [
            {part for part in parts_in(one, "train") if "good" not in part}
            for one in (few, many, every)
        ]
        assert [len(bad[0]), len(bad[1])] == [fewer, more]
        assert bad[0] < bad[1] <= bad[2]
        assert parts_in(few, "train", "good") == parts_in(every, "train", "good")
        for one in (few, many, every):
            assert not parts_in(one, "train") & parts_in(one, "test")
            assert parts_in(one, "test") == parts_in(every, "test")
        assert len(few) == 2 * len(few.parts)  # whole parts, whatever is left out
        tested += few.split("test").parts
    assert sorted(tested) == sorted(rows.parts)


def test_more_defects_than_the_other_folds_hold() -> None:
    rows = data(table(train_good=9, test_dent=5))
    assert len(parts_in(split(rows, "k_fold", defects=True, taught=4).data, "train", "dent")) == 4
    assert not parts_in(split(rows, "k_fold", defects=True, taught=0).data, "train", "dent")
    with pytest.raises(
        DatasetError, match=r"has 4 defective parts outside of fold 1, fewer than taught=5"
    ):
        split(rows, "k_fold", defects=True, taught=5)


@pytest.mark.parametrize("name", protocol_names())
def test_without_its_known_defects_a_split_has_the_same_test_and_good_parts(name: str) -> None:
    settings = {key: str(value) for key, value in NEEDED.get(name, {}).items()}
    without = defect_free_settings(name, settings)
    assert (without is None) == (name not in ("fractions", "k_fold"))
    if without is None:
        return
    taught = {"fractions": {"fraction": "1/2"}, "k_fold": {"defects": "yes", "taught": "3"}}[name]
    whole = divide(UNDIVIDED, name, 1, settings | taught).data
    alone = divide(UNDIVIDED, name, 1, defect_free_settings(name, settings | taught)).data
    assert alone.split("test").table.equals(whole.split("test").table)
    assert parts_in(alone, "train", "good") == parts_in(whole, "train", "good")
    assert not len(alone.split("train").defective())
    assert len(whole.split("train").defective())


def test_a_protocol_that_is_not_there_cannot_part_them() -> None:
    assert defect_free_settings("no_such_protocol", {"k": "3"}) is None
    assert defect_free_settings(None, {}) is None


# fuiad


@hypothesis(max_examples=30)
@given(
    st.integers(0, 2**32),
    st.integers(10, 60),
    st.integers(8, 60),
    st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.4, 0.5]), min_size=2, max_size=2, unique=True),
)
def test_fuiad_keeps_its_test_and_nests_its_noise(
    seed: int, good: int, defective: int, alphas: list[float]
) -> None:
    rows = data(table(train_good=good - 4, test_good=4, test_dent=defective))
    low, high = sorted(alphas)
    # A training of at least one noise part at the lower share, or none to be had at all.
    assume(round(fuiad_size(good, defective, 5, low) * Fraction(str(low))) or not low)
    lower, higher = (split(rows, "fuiad", seed, alpha=a, test_parts=5) for a in (low, high))
    assert parts_in(lower.data, "test") == parts_in(higher.data, "test")
    assert len(parts_in(lower.data, "test", "good")) == 5
    assert len(parts_in(lower.data, "test", "dent")) == 5
    assert set(lower.hidden) <= set(higher.hidden)
    train = len(higher.data.split("train").parts)
    assert abs(len(parts_in(higher.data, "train", "dent")) - high * train) <= 1
    assert abs(train - fuiad_size(good, defective, 5, high)) <= 1


def test_fuiad_shares_one_size_over_a_range_of_alphas() -> None:
    rows = data(table(train_good=100, test_dent=50))
    sizes = {}
    for alpha in (0.0, 0.1, 0.2, 0.4):
        found = split(rows, "fuiad", alpha=alpha, test_parts=10, alphas="0,0.1,0.2,0.4").counts()
        sizes[alpha] = found["nut"]["train"]
    assert sizes == {
        0.0: {"good": 90},
        0.1: {"good": 81, "noise": 9},
        0.2: {"good": 72, "noise": 18},
        0.4: {"good": 54, "noise": 36},
    }
    own_size = split(rows, "fuiad", alpha=0.4, test_parts=10)
    assert own_size.counts()["nut"]["train"] == {"good": 60, "noise": 40}


def test_a_noise_part_hides_all_its_views_and_a_tested_one_none() -> None:
    rows = data(table(views=3, train_good=14, test_dent=6))
    found = split(rows, "fuiad", test_parts=5, alpha=0.1)
    assert found.counts() == {
        "nut": {"test": {"defective": 5, "good": 5}, "train": {"good": 9, "noise": 1}}
    }
    assert len(found.hidden) == 3
    train = found.data.split("train").table
    assert train.select("label", "defect", "mask").unique().rows() == [("good", None, None)]
    dents = found.data.split("test").where(pl.col("part").str.contains("dent"))
    assert sorted(dents.table["label"]) == ["defective"] * 5 + ["good"] * 10
    assert dents.table["mask"].drop_nulls().len() == 5


def test_fuiad_says_which_category_has_too_few_parts() -> None:
    rows = data(table("nut", train_good=20, test_dent=20), table("bolt", train_good=20))
    found = split(rows, "fuiad", test_parts=5)
    assert found.not_valid == {
        "bolt": "has 20 good and 0 defective parts: too few for a test of test_parts=5 each and a "
        "training with alpha=0.1"
    }


VISA = [(good, 100) for good in (1000, 602, 500, 503, 500, 1000, 1000, 1004, 1001, 1006, 1005, 500)]
MVTEC_TRAIN = (209, 224, 219, 280, 264, 391, 245, 220, 267, 320, 230, 60, 213, 247, 240)
MVTEC_GOOD = (20, 58, 23, 28, 21, 40, 32, 22, 26, 41, 33, 12, 60, 19, 32)
MVTEC_DEFECTIVE = (63, 92, 109, 89, 57, 70, 92, 93, 141, 119, 84, 30, 40, 60, 119)
MVTEC = [
    (train + good, defective)
    for train, good, defective in zip(MVTEC_TRAIN, MVTEC_GOOD, MVTEC_DEFECTIVE, strict=True)
]


@pytest.mark.parametrize(
    "row",
    published("real_iad_fuiad_sizes"),
    ids=lambda row: f"alpha {row['alpha']}, {row['defective_test']} tested",
)
def test_fuiad_reproduces_the_published_training_sizes(row: dict[str, str]) -> None:
    def sizes(counts: list[tuple[int, int]]) -> list[float]:
        n, alpha = int(row["defective_test"]), float(row["alpha"])
        found = [fuiad_size(good, defective, n, alpha) for good, defective in counts]
        return [size for size in found if size]

    visa, mvtec = sizes(VISA), sizes(MVTEC)
    assert len(visa) == int(row["valid_visa"])
    assert floor(sum(visa) / max(len(visa), 1)) == int(row["train_visa"])
    assert len(mvtec) == int(row["valid_mvtec"])
    mean = sum(mvtec) / max(len(mvtec), 1)
    assert float(mean) == pytest.approx(int(row["train_mvtec"]), rel=0.1)


# fractions


def isp_ad(area: int, points: int) -> Dataset:
    return data(
        table(
            **{"train_good": 20, "train_synthetic": 5, "train_area": area, "train_points": points},
            **{"test_good": 6, "test_area": 2, "test_points": 2},
        )
    )


@pytest.mark.parametrize(("modality", "area", "points"), [("LSM-1", 120, 52), ("ASM", 37, 109)])
def test_fractions_are_those_of_isp_ad(modality: str, area: int, points: int) -> None:
    rows = isp_ad(area, points)
    wanted = [
        int(row["n_real"])
        for row in published("isp_ad_mixed")
        if row["modality"] == modality and row["defect_group"] in ("none", "mixed")
    ]
    found = [split(rows, "fractions", fraction=f) for f in ("0", "1/16", "1/8", "1/4", "1/2", "1")]
    trained = [parts_in(s.data, "train") for s in found]
    numbers = [len({p for p in parts if "area" in p or "points" in p}) for parts in trained]
    assert numbers == wanted
    assert all(fewer < more for fewer, more in pairwise(trained))
    assert all(parts_in(s.data, "test") == parts_in(rows, "test") for s in found)
    assert all(len(parts_in(s.data, "train", "good")) == 20 for s in found)
    assert all(len(parts_in(s.data, "train", "synthetic")) == 5 for s in found)
    kept = found[1].data.split("train").defective().table
    assert set(kept["defect"]) <= {"area", "points", "synthetic"}
    assert kept["mask"].null_count() == 0


@pytest.mark.parametrize("group", ["area", "points"])
def test_a_group_has_as_many_defects_as_the_mixture(group: str) -> None:
    rows = isp_ad(120, 52)
    published_number = {
        int(row["n_real"])
        for row in published("isp_ad_mixed")
        if row["modality"] == "LSM-1" and row["defect_group"] == group
    }
    train = split(rows, "fractions", fraction="1/16", group=group).data.split("train")
    real = train.defective().where(pl.col("defect") != "synthetic").table["defect"].to_list()
    assert {len(real)} == published_number
    assert set(real) == {group}


def test_a_group_that_is_too_small() -> None:
    with pytest.raises(DatasetError, match=r"172 real .*, 52 of the group points: too few"):
        split(isp_ad(120, 52), "fractions", fraction=0.5, group="points")


def test_without_real_defects_in_training_half_of_the_tests_are_used() -> None:
    rows = data(table(train_good=5, test_good=3, test_dent=9))
    found = [split(rows, "fractions", fraction=f).data for f in (0.5, 1)]
    assert [len(parts_in(rows, "train", "dent")) for rows in found] == [2, 4]
    assert parts_in(found[0], "test") == parts_in(found[1], "test")
    assert len(parts_in(found[0], "test", "dent")) == 5


@given(st.integers(0, 10**6), st.integers(1, 1000))
def test_a_fraction_is_rounded_down_whatever_floats_say(number: int, of: int) -> None:
    assert fraction_of(number * of, 1 / of) == number


# supervised


def test_supervised_moves_a_share_of_the_tests_defects() -> None:
    rows = data(
        table(
            **{"train_good": 5, "train_dent": 2, "train_synthetic": 1, "validation_dent": 1},
            **{"test_good": 3, "test_dent": 8},
        )
    )
    assert parts_by_side(split(rows, "supervised", share=0.25).data) == {
        "train": ["test_dent"] * 2 + ["train_dent"] * 2 + ["train_good"] * 5 + ["train_synthetic"],
        "validation": ["validation_dent"],
        "test": ["test_dent"] * 6 + ["test_good"] * 3,
    }
    official = split(rows, "supervised", share=0).data.table
    assert official.equals(rows.table)


def test_supervised_needs_a_defect_to_learn_from() -> None:
    rows = data(table(train_good=5, test_good=3, test_dent=8))
    with pytest.raises(DatasetError, match="no defective part to learn from in training, and sh"):
        split(rows, "supervised", share=0)


# leave_one_defect_out


def test_the_kind_that_is_left_out_is_in_the_test_only() -> None:
    rows = data(
        table(
            **{"train_good": 5, "train_dent": 2, "train_crack": 3, "train_synthetic": 1},
            **{"test_good": 3, "test_dent": 2, "test_crack": 2},
        )
    )
    assert parts_by_side(split(rows, "leave_one_defect_out", defect="dent").data) == {
        "train": ["train_crack"] * 3 + ["train_good"] * 5 + ["train_synthetic"],
        "test": ["test_crack"] * 2 + ["test_dent"] * 2 + ["test_good"] * 3 + ["train_dent"] * 2,
    }


def test_a_part_with_several_defects_is_left_out_for_each() -> None:
    rows = table(views=2, train_good=5, test_good=3, test_dent=4)
    both = pl.col("image") == "nut/test/dent/0_1.png"
    rows = rows.with_columns(
        label=pl.when(both).then(pl.lit("defective")).otherwise("label"),
        defect=pl.when(both).then(pl.lit("crack")).otherwise("defect"),
    )
    found = split(data(rows), "leave_one_defect_out", defect="crack").data
    assert "nut test_dent 0" in parts_in(found, "test")
    assert len(parts_in(found, "train", "dent")) == 1


def test_a_kind_that_there_is_not() -> None:
    with pytest.raises(DatasetError, match="'rust'; set defect to one of: crack, dent"):
        split(UNDIVIDED, "leave_one_defect_out", defect="rust")
    with pytest.raises(DatasetError, match="nut has to leave one out; set defect to one of"):
        split(UNDIVIDED.category("nut"), "leave_one_defect_out", defect="")


# Settings


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("uiads", {}, "there is no split protocol 'uiads'; there are: few_shot, fractions, fuiad"),
        ("uiad", {"alpha": 1}, "protocol uiad has no setting 'alpha'; it has: test_share"),
        ("uiad", {"test_share": 1}, r"test_share=1.0 must lie between 0 and 1"),
        ("fuiad", {"alpha": "much"}, "alpha of protocol fuiad cannot be 'much'; its default is"),
        ("fuiad", {"alpha": 1}, "alpha=1.0 must be at least 0 and below 1"),
        ("fuiad", {"alphas": "0.1,nan"}, "alphas of protocol fuiad cannot be '0.1,nan'"),
        ("fuiad", {"test_parts": 0}, "test_parts=0 must be at least 1"),
        ("pooled", {"train_parts": 0}, "train_parts=0 must be at least 1"),
        ("few_shot", {"k": 0}, "k=0 must be at least 1"),
        ("k_fold", {"k": 1}, "k=1 must be at least 2"),
        ("k_fold", {"fold": 6}, "fold=6 must lie between 1 and k=5"),
        ("k_fold", {"taught": -1, "defects": True}, "taught=-1 must be at least 0"),
        ("k_fold", {"taught": 2}, "taught=2 needs defects=yes"),
        ("fractions", {"fraction": "1/0"}, "fraction of protocol fractions cannot be '1/0'"),
        ("fractions", {"fraction": "17/16"}, "fraction=1.0625 must lie between 0 and 1"),
        ("supervised", {"share": -0.1}, "share=-0.1 must lie between 0 and 1"),
    ],
)
def test_settings_that_cannot_be(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(BlemishError, match=message):
        split(UNDIVIDED, name, **settings)
