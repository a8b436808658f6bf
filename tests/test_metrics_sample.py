"""Views combined into parts, views on a scale of their own, and what each view is worth."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from blemish.calibration.views import Scale, ViewScales
from blemish.errors import CalibrationError, DatasetError, ImageError
from blemish.metrics.image import auroc
from blemish.metrics.sample import (
    SoleRejections,
    ViewRanking,
    rejected_alone,
    sample_scores,
    standardise,
    view_rankings,
)
from blemish.util.typed_json import read, write


def test_a_part_scores_as_its_worst_view_and_is_defective_if_any_view_is() -> None:
    parts = ["b", "a", "b", "a"]
    samples = sample_scores([0.2, 0.4, 0.9, 0.1], parts, [0, 0, 1, 0])
    assert samples.parts.tolist() == ["a", "b"]
    assert samples.scores.tolist() == [0.4, 0.9]
    assert samples.labels.tolist() == [False, True]


def test_views_can_be_averaged_by_name_and_by_no_other_name() -> None:
    samples = sample_scores([0.0, 1.0, -3.0], [7, 7, 8], [0, 1, 0], "mean")
    assert samples.scores.tolist() == [0.5, -3.0]
    with pytest.raises(DatasetError, match="'median'"):
        sample_scores([0.0], [1], [0], "median")  # type: ignore[arg-type]


# Views on a scale of their own.


def test_a_standardised_score_counts_robust_standard_deviations() -> None:
    assert standardise([3.0, 1.0, 5.0], [1.0, 1.0, 5.0], [2.0, 2.0, 0.5]).tolist() == [
        pytest.approx(2 / (1.4826 * 2)),
        *(0.0, 0.0),
    ]
    normal = np.random.default_rng(0).normal(7, 3, 100_000)
    scale = Scale.of(normal)
    units = standardise(normal, scale.median, scale.mad)
    assert units.mean() == pytest.approx(0, abs=0.01)
    assert units.std() == pytest.approx(1, abs=0.01)
    with pytest.raises(DatasetError, match="deviation of 0"):
        standardise([1.0, 2.0], [0.0, 0.0], [1.0, 0.0])


def test_a_view_is_measured_on_its_own_scale() -> None:
    scores = [1.0, 2.0, 3.0, 4.0, 50.0, 20.0, 20.0, 21.0, 23.0, 26.0]
    views = ["side"] * 5 + ["top"] * 5
    scales = ViewScales.learn(scores, views)
    assert scales.scales == {"side": Scale(3.0, 1.0, 5), "top": Scale(21.0, 1.0, 5)}
    assert scales.together == Scale(20.0, 11.0, 10)
    assert scales.poor == ()
    units = scales.standardise([3.0, 21.0, 4.0, 22.0], ["side", "top", "side", "top"])
    assert units.tolist() == [0.0, 0.0, pytest.approx(1 / 1.4826), pytest.approx(1 / 1.4826)]
    assert read(ViewScales, json.loads(json.dumps(write(scales)))) == scales


def test_a_bright_view_whose_scores_run_high_hides_no_defect_in_another() -> None:
    rng = np.random.default_rng(1)
    views = ["bright", "dark"] * 100
    parts = np.repeat(np.arange(100), 2)
    usual = np.array([30.0, 5.0] * 100)
    learnt = ViewScales.learn((usual + rng.normal(0, 1, 200)).tolist(), views)
    labels = (parts >= 50) & (np.array(views) == "dark")  # what the bright view does not show
    scores = usual + rng.normal(0, 1, 200) + 6 * labels

    def area(scores: np.ndarray) -> float | None:
        samples = sample_scores(scores, parts, labels)
        return auroc(samples.scores, samples.labels)

    plain, calibrated = area(scores), area(learnt.standardise(scores, views))
    assert plain is not None
    assert calibrated is not None
    assert plain < 0.7
    assert calibrated > 0.95


def test_a_view_that_was_not_seen_is_measured_on_the_scale_of_all() -> None:
    scales = ViewScales.learn([1.0, 2.0, 3.0, 4.0, 5.0, 40.0, 41.0], ["a"] * 5 + ["rare"] * 2)
    assert scales.poor == ("rare",)  # two scores say too little
    together = Scale.of([1.0, 2.0, 3.0, 4.0, 5.0, 40.0, 41.0])
    for view in ("rare", "new", None):
        assert scales.of(view) == together
    assert scales.of("a") == Scale(3.0, 1.0, 5)


def test_equal_scores_are_measured_in_the_spread_of_all_views() -> None:
    scales = ViewScales.learn([2.0] * 5 + [1.0, 3.0, 5.0, 7.0, 9.0], ["flat"] * 5 + ["b"] * 5)
    assert scales.scales["flat"].mad == 0
    assert scales.together.mad > 0
    assert scales.of("flat") == Scale(2.0, scales.together.mad, 5)
    assert ViewScales.learn([2.0] * 6, ["flat"] * 6).standardise([3.5], ["flat"]).tolist() == [
        pytest.approx(1.5 / 1.4826)  # no spread at all: in units of 1
    ]


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_one_scale_for_all_changes_no_rank(seed: int) -> None:
    """A part's best view may change only because the scales differ."""
    rng = np.random.default_rng(seed)
    scales = ViewScales.learn(rng.normal(size=30).tolist(), [None] * 30)
    scores, parts, labels = rng.normal(size=20), np.arange(20) // 2, np.arange(20) % 3 == 0
    plain = sample_scores(scores, parts, labels)
    calibrated = sample_scores(scales.standardise(scores, [None] * 20), parts, labels)
    assert plain.scores.argsort().tolist() == calibrated.scores.argsort().tolist()


@pytest.mark.parametrize("scores", [[], [1.0, float("nan")], [float("inf")]])
def test_no_scale_comes_of_scores_that_are_none(scores: list[float]) -> None:
    with pytest.raises(CalibrationError, match="whose scores are finite"):
        ViewScales.learn(scores, ["top"] * len(scores))


@pytest.mark.parametrize(
    "entry", [{}, {"scales": {"top": {}}}, {"scales": [], "together": {}}, {"scales": {"top": 1}}]
)
def test_scales_that_cannot_be_read_are_refused(entry: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"scales|together"):
        read(ViewScales, entry)


# What each view is worth.


def test_each_view_is_ranked_by_its_own_images() -> None:
    rankings = view_rankings(
        [0.1, 9.0, 0.3, 8.0, 0.2, 7.0, 5.0],
        [0, 0, 1, 1, 0, 1, 0],
        ["top", "side", "top", "side", "top", "side", "back"],
    )
    assert rankings == {
        "back": ViewRanking(None, 1, 0),
        "side": ViewRanking(0.0, 1, 2),
        "top": ViewRanking(1.0, 2, 1),
    }
    assert list(rankings) == ["back", "side", "top"]
    rng = np.random.default_rng(3)
    scores, labels, views = rng.normal(size=300), rng.random(300) < 0.4, rng.integers(0, 3, 300)
    for view, ranking in view_rankings(scores, labels, views.astype(str)).items():
        of_view = views == int(view)
        assert ranking.auroc == pytest.approx(roc_auc_score(labels[of_view], scores[of_view]))
    with pytest.raises(DatasetError, match="as many views"):
        view_rankings([1.0, 2.0], [0, 1], ["top"])


def test_what_one_view_alone_rejects() -> None:
    rows = [
        # part, view, score, label
        ("only the top sees it", "top", 2.0, 1),
        ("only the top sees it", "side", 1.0, 0),
        ("both see it", "top", 2.0, 1),
        ("both see it", "side", 3.0, 1),
        ("nobody sees it", "top", 0.0, 1),
        ("nobody sees it", "side", 0.5, 0),
        ("false alarm of the side", "side", 1.1, 0),
        ("false alarm of the side", "top", 1.0, 0),
        ("at the threshold", "top", 1.0, 0),
        ("the side twice", "side", 4.0, 1),
        ("the side twice", "side", 5.0, 1),
        ("the other view sees it", "top", 1.2, 0),
        ("the other view sees it", "side", 0.9, 1),
        ("no view is named", "", 9.0, 1),
    ]
    parts, views, scores, labels = zip(*rows, strict=True)
    assert rejected_alone(scores, labels, parts, views, 1.0) == {
        "": SoleRejections(1, 0),
        "side": SoleRejections(1, 1),
        "top": SoleRejections(2, 0),  # the part is defective, though its top is not
    }
    assert rejected_alone(scores, labels, parts, views, 99.0) == {
        view: SoleRejections(0, 0) for view in ("", "side", "top")
    }
    assert rejected_alone([], [], [], [], 1.0) == {}


def test_scores_that_are_no_numbers_have_no_views() -> None:
    with pytest.raises(ImageError, match="number 1 is NaN"):
        rejected_alone([0.0, float("nan")], [0, 1], ["a", "b"], ["top", "top"], 0.5)
    with pytest.raises(DatasetError, match="as many parts and views"):
        rejected_alone([0.0, 1.0], [0, 1], ["a"], ["top", "top"], 0.5)
