"""Confusion counts, oracle threshold and binomial bounds, against scikit-learn and scipy."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom
from sklearn.metrics import f1_score, matthews_corrcoef, precision_score, recall_score

from blemish.errors import DatasetError, ImageError
from blemish.metrics.bounds import binomial_cdf, clopper_pearson, upper_limit
from blemish.metrics.decision import Confusion, confusion, mcc_interval, oracle_f1_threshold

rows = st.lists(
    st.tuples(st.one_of(st.integers(0, 4).map(float), st.floats(-10, 10)), st.booleans()),
    min_size=1,
    max_size=40,
)


@settings(max_examples=50)
@given(rows, st.floats(-10, 10))
def test_rates_agree_with_scikit_learn(table: list[tuple[float, bool]], threshold: float) -> None:
    scores, labels = map(np.array, zip(*table, strict=True))
    rejected = scores > threshold
    counts = confusion(scores, labels, threshold)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert counts.mcc == pytest.approx(matthews_corrcoef(labels, rejected), abs=1e-12)
        assert counts.f1 == pytest.approx(f1_score(labels, rejected, zero_division=0))
        assert (counts.recall or 0) == pytest.approx(recall_score(labels, rejected))
        assert (counts.precision or 0) == pytest.approx(precision_score(labels, rejected))
    assert counts.tn + counts.fp + counts.fn + counts.tp == len(table)


def test_a_score_at_the_threshold_passes() -> None:
    assert confusion([1.0, 1.0, 2.0], [0, 1, 1], 1.0) == Confusion(tn=1, fp=0, fn=1, tp=1)


def test_counts_in_json_are_complete_and_valid() -> None:
    values = Confusion(tn=90, fp=10, fn=5, tp=15).to_json()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    rates = ["mcc", "recall", "precision", "fpr", "f1", "recall_interval", "fpr_interval"]
    assert list(values) == ["tn", "fp", "fn", "tp", *rates]
    assert (values["fpr"], values["recall"]) == (0.1, 0.75)
    # The textbook interval of 10 in 100.
    assert values["fpr_interval"] == pytest.approx([0.0490, 0.1762], abs=1e-4)


def test_what_is_undefined_is_null() -> None:
    values = Confusion(tn=3, fp=0, fn=0, tp=0).to_json()
    assert [values[key] for key in ("recall", "recall_interval", "precision")] == [None] * 3
    assert [values[key] for key in ("mcc", "f1", "fpr")] == [0, 0, 0]
    assert Confusion(tn=0, fp=0, fn=1, tp=1).to_json()["fpr_interval"] is None


def test_mcc_of_millions_of_items_does_not_overflow() -> None:
    big = 10**9
    assert Confusion(tn=big, fp=0, fn=0, tp=big).mcc == 1.0


@settings(max_examples=40)
@given(*[st.integers(0, 200)] * 4)
def test_the_interval_of_an_mcc_holds_it(tn: int, fp: int, fn: int, tp: int) -> None:
    counts = Confusion(tn, fp, fn, tp)
    low, high = mcc_interval(counts)
    assert -1 <= low <= counts.mcc <= high <= 1
    assert (low, high) == mcc_interval(counts)


def test_the_interval_of_an_mcc_covers_that_of_the_machine_behind_the_counts() -> None:
    rng = np.random.default_rng(2)
    recall, fpr, good, bad = 0.7, 0.05, 140, 60
    truth = Confusion(133, 7, 18, 42).mcc
    inside = 0
    for _ in range(200):
        tp, fp = int(rng.binomial(bad, recall)), int(rng.binomial(good, fpr))
        low, high = mcc_interval(Confusion(good - fp, fp, bad - tp, tp), draws=500)
        inside += low <= truth <= high
    assert 180 <= inside <= 199


def test_no_reject_at_all_leaves_the_mcc_open() -> None:
    low, high = mcc_interval(Confusion(tn=145, fp=0, fn=59, tp=0))
    assert low < -0.03
    assert high > 0.1


def test_nan_is_refused_as_score_and_as_threshold() -> None:
    with pytest.raises(ImageError):
        confusion([math.nan], [1], 0.0)
    with pytest.raises(DatasetError):
        confusion([1.0], [1], math.nan)


@settings(max_examples=60)
@given(rows)
def test_no_threshold_has_a_larger_f1_than_the_oracle(table: list[tuple[float, bool]]) -> None:
    scores, labels = map(np.array, zip(*table, strict=True))
    chosen = oracle_f1_threshold(scores, labels)
    best = confusion(scores, labels, chosen).f1
    for threshold in [-np.inf, *np.unique(scores)]:
        f1 = confusion(scores, labels, threshold).f1
        assert f1 < best or (f1 == best and threshold <= chosen)


def test_the_oracle_rejects_strictly_above_the_score_before_the_best_one() -> None:
    assert oracle_f1_threshold([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1]) == 2.0
    assert oracle_f1_threshold([1.0, 2.0], [1, 1]) == -np.inf
    # Without a defect every F1 is 0: the largest threshold rejects nothing.
    assert oracle_f1_threshold([1.0, 2.0], [0, 0]) == 2.0


def test_of_equal_f1_the_oracle_takes_the_larger_threshold() -> None:
    # Rejecting {4} has F1 2*1/(1+2) and so has rejecting {4, 3, 2, 1}: 2*2/(4+2).
    assert oracle_f1_threshold([4.0, 3.0, 2.0, 1.0], [1, 0, 0, 1]) == 3.0


def test_an_empty_set_has_no_oracle() -> None:
    with pytest.raises(DatasetError, match="empty"):
        oracle_f1_threshold([], [])


@pytest.mark.parametrize("n", [1, 2, 10, 299, 5_000, 1_000_000])
@pytest.mark.parametrize("p", [1e-7, 0.0033, 0.01, 0.5, 0.97])
def test_the_binomial_cdf_agrees_with_scipy(n: int, p: float) -> None:
    spread = math.sqrt(n * p * (1 - p))
    for k in {0, 1, n // 2, n - 1, n, *(round(n * p + z * spread) for z in range(-8, 9))}:
        assert binomial_cdf(k, n, p) == pytest.approx(binom.cdf(k, n, p), rel=3e-8, abs=1e-15)


def test_the_binomial_cdf_has_its_limits() -> None:
    assert (binomial_cdf(-1, 5, 0.5), binomial_cdf(5, 5, 0.5)) == (0, 1)
    assert (binomial_cdf(3, 5, 0.0), binomial_cdf(3, 5, 1.0)) == (1, 0)


@pytest.mark.parametrize(
    ("k", "n"), [(0, 1), (1, 1), (0, 50), (3, 50), (50, 50), (17, 3_000), (9_998, 1_000_000)]
)
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_clopper_pearson_agrees_with_the_beta_quantiles(k: int, n: int, confidence: float) -> None:
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else beta.ppf(tail, k, n - k + 1)
    high = 1.0 if k == n else beta.ppf(1 - tail, k + 1, n - k)
    assert clopper_pearson(k, n, confidence) == pytest.approx((low, high), rel=1e-7, abs=1e-12)


def test_the_upper_limit_is_where_the_tail_is() -> None:
    assert binomial_cdf(4, 700, upper_limit(4, 700, 0.05)) == pytest.approx(0.05, rel=1e-9)
