"""The promise: its rank, bound and words, and that it is kept; then decisions on parts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from blemish.calibration.part_calibration import HeldOut, PartCalibration, calibrate_parts
from blemish.calibration.promise import (
    Promise,
    calibrate,
    from_text,
    parts_needed,
    rank,
    upper_bound,
)
from blemish.calibration.views import decide, missing_views, part_score
from blemish.errors import CalibrationError, ImageError
from blemish.util.typed_json import read

PROMISE = Promise(0.01, 0.95)
shares = st.floats(0.001, 0.5)
confidences = st.floats(0.5, 0.999)


@pytest.mark.parametrize(("max_fpr", "needed"), [(0.01, 299), (0.0033, 907), (0.05, 59)])
def test_parts_needed_at_95_percent(max_fpr: float, needed: int) -> None:
    assert parts_needed(max_fpr, 0.95) == needed
    assert rank(needed, max_fpr, 0.95) == 0
    assert rank(needed - 1, max_fpr, 0.95) is None


def test_ranks_of_one_percent_at_95_percent() -> None:
    # The well-known sample sizes of Wilks for 99 % coverage: 299, 473, 628.
    assert [rank(n, 0.01, 0.95) for n in (472, 473, 627, 628)] == [0, 1, 1, 2]


@given(st.integers(1, 5_000), shares, confidences)
def test_the_rank_is_the_largest_that_keeps_the_promise(
    n: int, max_fpr: float, confidence: float
) -> None:
    k = rank(n, max_fpr, confidence)
    if k is None:
        assert binom.cdf(0, n, max_fpr) > (1 - confidence) * (1 - 1e-7)
        assert parts_needed(max_fpr, confidence) > n
    else:
        assert binom.cdf(k, n, max_fpr) <= (1 - confidence) * (1 + 1e-7)
        assert binom.cdf(k + 1, n, max_fpr) > (1 - confidence) * (1 - 1e-7)
        assert parts_needed(max_fpr, confidence) <= n
        assert upper_bound(n, k, confidence) <= max_fpr * (1 + 1e-7)


def test_one_part_keeps_a_promise_that_asks_for_little() -> None:
    assert parts_needed(0.5, 0.5) == 1
    assert rank(1, 0.5, 0.5) == 0
    assert rank(1, 0.9, 0.5) == 0
    assert calibrate([3.0], Promise(0.5, 0.5)).threshold == 3.0


@pytest.mark.parametrize(("n", "k"), [(10, 0), (120, 0), (500, 1), (5_000, 37)])
def test_the_bound_is_a_beta_quantile(n: int, k: int) -> None:
    assert upper_bound(n, k, 0.95) == pytest.approx(beta.ppf(0.95, k + 1, n - k), rel=1e-7)
    if k == 0:
        assert upper_bound(n, 0, 0.95) == pytest.approx(1 - 0.05 ** (1 / n))


def test_enough_parts_give_a_held_promise() -> None:
    scores = np.random.default_rng(0).permutation(500).astype(float)
    calibration = calibrate(scores, PROMISE)
    # k = 1: the 499th smallest of 0, 1, ..., 499.
    assert calibration.rank == 1
    assert calibration.threshold == 498.0
    assert calibration.upper_bound <= 0.01
    assert not calibration.provisional
    assert np.sum(scores > calibration.threshold) == 1


def test_too_few_parts_give_the_largest_score_provisionally() -> None:
    calibration = calibrate(np.arange(120.0), PROMISE)
    assert calibration.rank is None
    assert calibration.threshold == 119.0
    assert calibration.provisional
    assert calibration.upper_bound == pytest.approx(1 - 0.05 ** (1 / 120))
    assert calibration.parts_needed == 299


def test_the_threshold_is_always_one_of_the_scores() -> None:
    scores = np.random.default_rng(0).normal(size=997)
    assert calibrate(scores, PROMISE).threshold in scores


@pytest.mark.parametrize("scores", [[], [1.0, math.nan], [math.inf]])
def test_scores_that_cannot_set_a_threshold_are_refused(scores: list[float]) -> None:
    with pytest.raises(CalibrationError):
        calibrate(scores, PROMISE)


def broken_share(n: int, promise: Promise, tied: bool, draws: int = 2_000) -> float:
    """Share of simulated calibrations whose true false-reject rate is above the promised one.

    Tied scores are rounded up to a grid, one point of which is exceeded by 1.02 times the promised
    share: the place where ties can do the most harm.
    """
    step = -math.log(1.02 * promise.max_fpr) / 3
    broken = 0
    for scores in np.random.default_rng(n).exponential(size=(draws, n)):
        held_out = np.ceil(scores / step) * step if tied else scores
        threshold = calibrate(held_out, promise).threshold
        broken += math.exp(-threshold) > promise.max_fpr
    return broken / draws


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("n", "max_fpr"), [(299, 0.01), (473, 0.01), (181, 0.05)])
def test_the_promise_is_broken_no_more_often_than_stated(
    n: int, max_fpr: float, tied: bool
) -> None:
    two_standard_errors = 2 * math.sqrt(0.05 * 0.95 / 2_000)
    share = broken_share(n, Promise(max_fpr, 0.95), tied)
    assert share <= 0.05 + two_standard_errors
    # Nor is it kept by a needless margin: the exact rates, for the share that is at stake.
    at_stake = 1.02 * max_fpr if tied else max_fpr
    exact = binom.cdf(rank(n, max_fpr, 0.95), n, at_stake)
    assert share == pytest.approx(exact, abs=two_standard_errors)


@pytest.mark.parametrize("count", [5, 120, 299, 5_000])
@pytest.mark.parametrize("method", ["held-out", "cross-fitted estimate"])
def test_a_calibration_survives_json(count: int, method: str) -> None:
    calibration = calibrate(np.arange(float(count)), PROMISE, method)  # type: ignore[arg-type]
    text = json.dumps(calibration.to_json(), allow_nan=False)
    parts = {"map_threshold": 0.5, "required_views": [], "parts_left_out": 0}
    assert read(PartCalibration, {**json.loads(text), **parts}).limit == calibration
    keys = {"threshold", "max_fpr", "confidence", "upper_bound", "good_parts", "provisional"}
    assert keys <= set(json.loads(text))


@pytest.mark.parametrize("change", [{"colour": 1}, {"max_fpr": 2.0}, {"max_fpr": "much"}])
def test_a_foreign_calibration_is_refused(change: dict[str, object]) -> None:
    parts = {"map_threshold": 0.5, "required_views": [], "parts_left_out": 0}
    values = calibrate([1.0], PROMISE).to_json() | parts
    with pytest.raises((CalibrationError, ValueError), match=next(iter(change)).replace("_", ".")):
        read(PartCalibration, {**values, **change})
    with pytest.raises(ValueError, match="threshold"):
        read(PartCalibration, {key: values[key] for key in values if key != "threshold"})


@pytest.mark.parametrize("share", ["1e-320", "1e-10", "nan", "1"])
def test_a_share_that_no_parts_can_prove_is_refused(share: str) -> None:
    with pytest.raises(CalibrationError):
        Promise.from_text(share, "95%")


def test_the_sentence_says_what_is_promised_and_when_it_holds() -> None:
    sentence = calibrate(np.arange(299.0), PROMISE).sentence()
    assert "95 % confidence" in sentence
    assert "at most 1 % of good parts" in sentence
    assert "299 good parts held out" in sentence
    assert "exchangeable" in sentence


def test_the_provisional_sentence_says_what_does_hold_and_how_many_parts_would_do() -> None:
    sentence = calibrate(np.arange(120.0), PROMISE).sentence()
    assert "provisional" in sentence
    assert "at most 2.47 %" in sentence  # 2.4656 %, rounded upwards
    assert "at least 299 good parts" in sentence


def test_an_estimate_is_called_one_and_proves_nothing() -> None:
    calibration = calibrate(np.arange(400.0), PROMISE, "cross-fitted estimate")
    assert calibration.provisional
    assert "estimate" in calibration.sentence()
    assert "no false-reject rate is proven" in calibration.sentence()


@pytest.mark.parametrize(
    ("text", "share"), [("1%", 0.01), (" 0.33 % ", 0.0033), ("0.01", 0.01), ("95%", 0.95)]
)
def test_a_share_is_read_as_a_person_writes_it(text: str, share: float) -> None:
    assert from_text(text) == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "%", "0", "0%", "1", "100%", "95", "-1%", "nan", "inf", "few"]
)
def test_nonsense_is_no_share(text: str) -> None:
    with pytest.raises(CalibrationError, match="like 1%"):
        from_text(text)


def test_a_promise_is_read_from_text_and_kept_within_reason() -> None:
    assert Promise.from_text("1%", "0.95") == PROMISE
    with pytest.raises(CalibrationError, match="--confidence"):
        Promise(0.01, 1.0)


def test_a_part_scores_as_its_worst_view() -> None:
    assert part_score([0.1, 0.7, 0.3]) == 0.7


@pytest.mark.parametrize("scores", [[], [0.1, math.nan]])
def test_a_part_without_scores_has_none(scores: list[float]) -> None:
    with pytest.raises(ImageError):
        part_score(scores)


def held(part: str, view: str | None, score: float) -> HeldOut:
    return HeldOut(part, view, score, 2 * score)


def test_a_part_without_a_usual_view_does_not_set_the_threshold() -> None:
    images = [
        *(held(f"000{part}", view, 0.1 * part) for part in (1, 2) for view in ("top", "side")),
        held("0003", "side", 9.0),
        held("0001", "extra", 0.05),
    ]
    calibration = calibrate_parts(images, PROMISE)
    assert calibration.required_views == ("side", "top")  # "extra" is on one part in three
    assert calibration.good_parts == 2
    assert calibration.threshold == 0.2
    assert calibration.map_threshold == 0.4
    assert calibration.parts_left_out == 1


def test_parts_that_all_lack_a_view_set_no_threshold() -> None:
    images = [held("1", "a", 1.0), held("2", "b", 1.0)]
    with pytest.raises(CalibrationError, match="lacks one of the views a, b"):
        calibrate_parts(images, PROMISE)


def test_missing_views_are_named_in_order() -> None:
    assert missing_views({"C2", "C4"}, ("C1", "C2", "C3", "C4")) == ("C1", "C3")


@given(
    st.dictionaries(st.sampled_from(["C1", "C2", "C3"]), st.floats(0, 1)),
    st.floats(0, 1),
)
def test_a_missing_view_is_never_a_pass(views: dict[str, float], threshold: float) -> None:
    decision = decide(views, threshold, ("C1", "C2", "C3"))
    if any(score > threshold for score in views.values()):
        assert decision == "reject"
    else:
        assert decision == ("pass" if len(views) == 3 else "incomplete")


def test_a_part_without_named_views_needs_one_image() -> None:
    assert decide({"": 0.5}, 0.5) == "pass"
    assert decide({"": 0.6}, 0.5) == "reject"
    assert decide({}, 0.5) == "incomplete"


def test_a_nan_score_is_no_decision() -> None:
    with pytest.raises(ImageError):
        decide({"C1": math.nan}, 0.5, ("C1",))


def test_a_view_that_is_not_required_counts_like_any_other() -> None:
    assert decide({"C1": 0.1, "C9": 0.1}, 0.5, ("C1",)) == "pass"
    assert decide({"C1": 0.1, "C9": 0.9}, 0.5, ("C1",)) == "reject"
