"""Paired tests against brute force, against scipy, and on scores with planted differences."""

from __future__ import annotations

import math
import operator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from blemish.errors import DatasetError, ImageError
from blemish.metrics.decision import confusion
from blemish.metrics.image import auroc, average_precision
from blemish.metrics.paired_test import (
    PairedTest,
    delong,
    holm,
    mcnemar,
    mean_comparison,
    paired_bootstrap,
    paired_bootstrap_of_decisions,
)

Floats = npt.NDArray[np.float64]
LABELS = np.repeat([0, 1], [30, 20])


def drawn(seed: int, strength: float = 1.0, n: int = 50) -> Floats:
    """Scores of 30 good and 20 defective images, with ties."""
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(size=n) + strength * LABELS, 1)


def placements(scores: Floats, labels: npt.NDArray[np.int_]) -> tuple[Floats, Floats]:
    """For each defective image the share of good ones below it, and for each good one above."""
    bad, good = scores[labels == 1], scores[labels == 0]
    wins = np.zeros((len(bad), len(good)))
    for i, above in enumerate(bad):
        for j, below in enumerate(good):
            wins[i, j] = 1.0 if above > below else 0.5 if above == below else 0.0
    return wins.mean(axis=1), wins.mean(axis=0)


def delong_by_pairs(first: Floats, second: Floats, labels: npt.NDArray[np.int_]) -> PairedTest:
    """DeLong, DeLong and Clarke-Pearson's formulas, by a double loop over images."""
    (bad1, good1), (bad2, good2) = placements(first, labels), placements(second, labels)
    by_bad, by_good = np.cov(bad1, bad2), np.cov(good1, good2)
    both = by_bad / len(bad1) + by_good / len(good1)
    error = math.sqrt(both[0, 0] + both[1, 1] - 2 * both[0, 1])
    difference = bad1.mean() - bad2.mean()
    return PairedTest(difference, error, 2 * norm.sf(abs(difference) / error))


def obuchowski_by_pairs(
    first: Floats, second: Floats, labels: npt.NDArray[np.int_], parts: npt.NDArray[np.int_]
) -> float:
    """Obuchowski's standard error of the difference, by loops over parts."""

    def cluster_sums(scores: Floats) -> tuple[Floats, Floats]:
        bad, good = placements(scores, labels)
        area = bad.mean()
        names = np.unique(parts)
        bad_parts, good_parts = parts[labels == 1], parts[labels == 0]
        return (
            np.array([np.sum(bad[bad_parts == name] - area) for name in names]),
            np.array([np.sum(good[good_parts == name] - area) for name in names]),
        )

    def covariance(one: tuple[Floats, Floats], two: tuple[Floats, Floats]) -> float:
        m, n = (labels == 1).sum(), (labels == 0).sum()
        i = len(np.unique(parts))
        i10, i01 = len(np.unique(parts[labels == 1])), len(np.unique(parts[labels == 0]))
        s10 = i10 / ((i10 - 1) * m) * np.sum(one[0] * two[0])
        s01 = i01 / ((i01 - 1) * n) * np.sum(one[1] * two[1])
        s11 = i / (i - 1) * (np.sum(one[0] * two[1]) + np.sum(one[1] * two[0]))
        return float(s10 / m + s01 / n + s11 / (m * n))

    a, b = cluster_sums(first), cluster_sums(second)
    return math.sqrt(covariance(a, a) + covariance(b, b) - 2 * covariance(a, b))


@pytest.mark.parametrize("seed", range(5))
def test_images_on_their_own_are_compared_by_delong(seed: int) -> None:
    first, second = drawn(seed), drawn(seed + 100, 0.6)
    found = delong(first, second, LABELS)
    expected = delong_by_pairs(first, second, LABELS)
    assert found is not None
    assert found.difference == pytest.approx(expected.difference, abs=1e-12)
    assert found.error == pytest.approx(expected.error, abs=1e-12)
    assert found.p == pytest.approx(expected.p, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_views_of_parts_are_compared_by_obuchowski(seed: int) -> None:
    # Parts of both labels, of one label, and of one image.
    parts = np.random.default_rng(seed).integers(0, 18, size=50)
    first, second = drawn(seed), drawn(seed + 100, 0.6)
    found = delong(first, second, LABELS, parts)
    assert found is not None
    assert found.error == pytest.approx(obuchowski_by_pairs(first, second, LABELS, parts))


def test_five_copies_of_every_image_prove_nothing_more() -> None:
    first, second = drawn(1), drawn(2, 0.4)
    single = delong(first, second, LABELS)
    copied = [np.repeat(values, 5) for values in (first, second, LABELS, np.arange(50))]
    many = delong(copied[0], copied[1], copied[2], copied[3])
    assert single is not None
    assert many is not None
    assert (many.difference, many.error) == pytest.approx((single.difference, single.error))
    unclustered = delong(copied[0], copied[1], copied[2])
    assert unclustered is not None
    assert unclustered.error < 0.5 * single.error


def test_under_the_null_five_percent_are_rejected() -> None:
    rejected = 0
    labels = np.repeat([0, 1], 60)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        common = np.repeat(rng.normal(size=40), 3) + labels  # 3 views of each of 40 parts
        first, second = (common + rng.normal(size=120) for _ in range(2))
        test = delong(first, second, labels, np.repeat(np.arange(40), 3))
        assert test is not None
        rejected += test.p < 0.05
    assert 0.02 < rejected / 400 < 0.09


scores = st.lists(st.integers(0, 6).map(float), min_size=50, max_size=50).map(np.array)


@settings(max_examples=80)
@given(scores, scores, st.integers(1, 5))
def test_the_other_way_round_only_the_sign_changes(
    first: Floats, second: Floats, views: int
) -> None:
    parts = np.arange(50) // views
    one, other = delong(first, second, LABELS, parts), delong(second, first, LABELS, parts)
    assert one is not None
    assert other is not None
    assert (one.difference, one.error, one.p) == (-other.difference, other.error, other.p)
    assert 0 <= one.p <= 1


def test_a_detector_is_not_told_from_itself() -> None:
    same = delong(drawn(0), drawn(0), LABELS)
    assert same is not None
    assert (same.difference, same.p) == (0.0, 1.0)


def test_a_perfect_detector_is_told_from_a_blind_one_when_there_are_enough_images() -> None:
    perfect, blind = LABELS.astype(float), np.zeros(50)
    told = delong(perfect, blind, LABELS)
    assert told is not None
    assert told.difference == 0.5
    assert told.p < 1e-6
    few = delong([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], [0, 0, 1, 1])
    assert few is not None
    assert few.p > 0.05


@pytest.mark.parametrize(
    ("labels", "parts"),
    [([0, 0, 0, 0], None), ([0, 0, 0, 1], None), ([0, 0, 1, 1], [1, 2, 3, 3])],
)
def test_one_defective_part_is_not_enough(labels: list[int], parts: list[int] | None) -> None:
    assert delong([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0], labels, parts) is None


def test_what_seeds_differ_by_adds_to_the_error() -> None:
    steady = np.stack([drawn(1)] * 3)
    shaky = np.stack([drawn(1), drawn(2, 0.2), drawn(3, 2.0)])
    one, other = delong(steady, drawn(9, 0.5), LABELS), delong(shaky, drawn(9, 0.5), LABELS)
    plain = delong(drawn(1), drawn(9, 0.5), LABELS)
    assert one == plain
    assert other is not None
    areas = [auroc(row, LABELS) or 0.0 for row in shaky]
    assert other.difference == pytest.approx(np.mean(areas) - (auroc(drawn(9, 0.5), LABELS) or 0))
    assert other.error**2 > np.var(areas, ddof=1) / 3


def test_the_bootstrap_agrees_with_delong_on_auroc() -> None:
    first, second = drawn(4), drawn(5, 0.5)
    by_formula = delong(first, second, LABELS)
    by_draws = paired_bootstrap(auroc, first, second, LABELS, draws=1000)
    assert by_formula is not None
    assert by_draws is not None
    assert by_draws.difference == pytest.approx(by_formula.difference, abs=1e-12)
    assert by_draws.error == pytest.approx(by_formula.error, rel=0.15)


def test_the_bootstrap_takes_any_metric_and_is_repeatable() -> None:
    first, second = drawn(4), drawn(5, 0.0)
    found = paired_bootstrap(average_precision, first, second, LABELS, draws=300)
    assert found == paired_bootstrap(average_precision, first, second, LABELS, draws=300)
    other = paired_bootstrap(average_precision, second, first, LABELS, draws=300)
    assert found is not None
    assert other is not None
    assert (found.difference, found.error, found.p) == (-other.difference, other.error, other.p)

    def recall(scores: Floats, labels: npt.NDArray[np.bool_]) -> float | None:
        return confusion(scores, labels, 0.5).recall

    told = paired_bootstrap(recall, LABELS.astype(float), np.zeros(50), LABELS, draws=300)
    assert told is not None
    assert (told.difference, told.error) == (1.0, 0.0)
    assert told.p == pytest.approx(2 / 301)


@pytest.mark.parametrize("rate", ["mcc", "recall", "fpr", "precision"])
def test_decisions_are_drawn_as_items_are(rate: str) -> None:
    seeds = np.stack([drawn(4), drawn(6)]) > 0.5
    other = drawn(5, 0.4) > 0.8

    def metric(rejected: Floats, labels: npt.NDArray[np.bool_]) -> float | None:
        value: float | None = getattr(confusion(rejected, labels, 0.5), rate)
        return value

    items = paired_bootstrap(metric, seeds, other, LABELS, draws=1000)
    counts = paired_bootstrap_of_decisions(
        operator.attrgetter(rate), seeds, other, LABELS, draws=1000
    )
    assert items is not None
    assert counts is not None
    assert counts.difference == pytest.approx(items.difference, abs=1e-12)
    assert counts.error == pytest.approx(items.error, rel=0.1)


def test_decisions_need_what_they_are_about() -> None:
    recall = operator.attrgetter("recall")
    assert paired_bootstrap_of_decisions(recall, [True, False], [True, True], [0, 0]) is None
    alarms = paired_bootstrap_of_decisions(operator.attrgetter("fpr"), [1, 0], [1, 1], [0, 0])
    assert alarms is not None
    assert alarms.difference == -0.5
    with pytest.raises(DatasetError, match="same parts"):
        paired_bootstrap_of_decisions(recall, [True], [True, False], [0, 1])


def test_a_metric_without_a_value_is_not_compared() -> None:
    assert paired_bootstrap(lambda *_: None, drawn(0), drawn(1), LABELS, draws=10) is None
    assert paired_bootstrap(auroc, drawn(0), drawn(1), np.zeros(50), draws=10) is None


def test_the_mean_of_categories_is_surer_than_one_category() -> None:
    one = PairedTest(0.02, 0.01, 0.0455)
    four = mean_comparison([one] * 4)
    assert (four.difference, four.error) == pytest.approx((0.02, 0.005))
    assert four.p == pytest.approx(2 * norm.sf(4.0))


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


@settings(max_examples=200)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_rejects_no_more_than_each_test_alone(
    p: list[float],
) -> None:
    adjusted = holm(p)
    assert all(raw <= new <= 1 for raw, new in zip(p, adjusted, strict=True))
    assert all(new <= min(1, len(p) * raw) for raw, new in zip(p, adjusted, strict=True))
    ranked = [adjusted[i] for i in sorted(range(len(p)), key=p.__getitem__)]
    assert ranked == sorted(ranked)
    assert holm(p[::-1]) == adjusted[::-1]
    # Step down by hand: the smallest is held against 0.05 / n, the next against 0.05 / (n - 1).
    rejected, left = set(), len(p)
    for i in sorted(range(len(p)), key=p.__getitem__):
        if left * p[i] >= 0.05:
            break
        rejected.add(i)
        left -= 1
    assert rejected == {i for i, new in enumerate(adjusted) if new < 0.05}


def test_bad_scores_are_refused() -> None:
    with pytest.raises(ImageError, match="number 1 is NaN"):
        delong([0.0, np.nan, 1.0], [0.0, 1.0, 2.0], [0, 1, 1])
    with pytest.raises(DatasetError, match="same length"):
        delong([0.0, 1.0], [0.0, 1.0, 2.0], [0, 1])
    with pytest.raises(DatasetError, match="as many groups"):
        delong([0.0, 1.0], [0.0, 1.0], [0, 1], [1])
    with pytest.raises(DatasetError, match=r"\[seeds, n\]"):
        delong(np.zeros((2, 2, 2)), [0.0, 1.0], [0, 1])
    with pytest.raises(ImageError, match="NaN"):
        paired_bootstrap(auroc, [0.0, np.nan], [0.0, 1.0], [0, 1], draws=2)


# McNemar's test.


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(first, second) == mcnemar(second, first)


def test_mcnemar_of_a_textbook_table() -> None:
    assert mcnemar(0, 5) == 2 / 2**5
    assert mcnemar(4, 4) == 1
