"""Image metrics against scikit-learn and against examples worked by hand."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from blemish.errors import DatasetError, ImageError
from blemish.metrics.image import (
    auroc,
    average_precision,
    bootstrap_auroc,
    bootstrap_recall_at_fpr,
    recall_at_fpr,
)

SCRIPT = Path(__file__).parents[1] / "scripts" / "make_adeval_fixtures.py"
fixtures = SimpleNamespace(**runpy.run_path(str(SCRIPT)))

# Few distinct values make many ties; floats make none.
tied = st.integers(0, 4).map(float)
scored = st.lists(
    st.tuples(st.one_of(tied, st.floats(-1e6, 1e6)), st.booleans(), st.integers(1, 5)),
    min_size=2,
    max_size=60,
).filter(lambda rows: len({label for _, label, _ in rows}) == 2)


def test_a_tie_counts_one_half() -> None:
    assert auroc([0.1, 0.5, 0.5, 0.9], [0, 0, 1, 1]) == (1 + 0.5 + 1 + 1) / 4


def test_scores_that_rank_defects_below_good_images_are_not_flipped() -> None:
    assert auroc([3.0, 2.0, 1.0], [0, 0, 1]) == 0.0


@settings(max_examples=60)
@given(scored)
def test_auroc_and_average_precision_agree_with_scikit_learn(
    rows: list[tuple[float, bool, int]],
) -> None:
    scores, labels, weights = map(np.array, zip(*rows, strict=True))
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert auroc(scores, labels, weights) == pytest.approx(
        roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12
    )
    expected = average_precision_score(labels, scores)
    assert average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60)
@given(scored)
def test_integer_weights_mean_repeated_images(rows: list[tuple[float, bool, int]]) -> None:
    scores, labels, weights = map(np.array, zip(*rows, strict=True))
    repeated = auroc(np.repeat(scores, weights), np.repeat(labels, weights))
    assert auroc(scores, labels, weights) == pytest.approx(repeated, abs=1e-12)


@settings(max_examples=60)
@given(scored, st.sampled_from([0.0, 0.05, 0.1, 1 / 3, 0.5, 1.0]))
def test_recall_at_an_fpr_is_the_best_of_all_thresholds(
    rows: list[tuple[float, bool, int]], fpr: float
) -> None:
    scores, labels, _ = map(np.array, zip(*rows, strict=True))
    found = 0.0
    for threshold in (-np.inf, *scores):
        rejected = scores > threshold
        if np.sum(rejected & ~labels) <= fpr * np.sum(~labels) + 1e-9:
            found = max(found, np.sum(rejected & labels) / np.sum(labels))
    assert recall_at_fpr(scores, labels, fpr) == pytest.approx(found)


def test_of_twenty_good_images_one_may_be_rejected() -> None:
    good, bad = [float(n) for n in range(20)], [18.5, 18.0, 17.5, 30.0]
    labels = [0] * 20 + [1] * 4
    assert recall_at_fpr(good + bad, labels, 0.05) == 0.5  # 30 and 18.5; 18 ties with a good one
    assert recall_at_fpr(good + bad, labels, 0.04) == 0.25
    # Of 60 good ones 3 may be, however 0.05 is written in binary.
    assert recall_at_fpr([*range(60), 56.5], [0] * 60 + [1], 0.05) == 1.0


def test_the_interval_of_a_recall_by_parts() -> None:
    rng = np.random.default_rng(3)
    scores, labels = rng.normal(size=120) + np.repeat([0.0, 1.5], 60), np.repeat([0, 1], 60)
    parts = np.arange(120) // 3
    recall = recall_at_fpr(scores, labels, 0.05)
    found = bootstrap_recall_at_fpr(scores, labels, parts, 0.05, draws=300)
    assert found is not None
    assert recall is not None
    assert found[0] < recall < found[1]
    assert found == bootstrap_recall_at_fpr(scores, labels, parts, 0.05, draws=300)
    assert bootstrap_recall_at_fpr([1.0, 2.0], [1, 1], ["a", "b"], 0.05) is None


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_one_class_alone_has_no_ranking(labels: list[int]) -> None:
    scores = [1.0, 2.0, 3.0]
    assert auroc(scores, labels) is None
    assert average_precision(scores, labels) is None
    assert recall_at_fpr(scores, labels, 0.05) is None
    assert bootstrap_auroc(scores, labels, ["a", "b", "c"]) is None


def test_no_scores_at_all_have_no_ranking() -> None:
    assert auroc([], []) is None
    assert average_precision([], []) is None
    assert bootstrap_auroc([], [], []) is None


def test_a_nan_score_is_refused_with_its_number() -> None:
    with pytest.raises(ImageError, match="number 1 is NaN"):
        auroc([0.0, np.nan], [0, 1])


@pytest.mark.parametrize("labels", [[0, 2], [0], [0, 1, 1]])
def test_labels_that_do_not_fit_are_refused(labels: list[int]) -> None:
    with pytest.raises(DatasetError):
        auroc([0.0, 1.0], labels)


@pytest.mark.parametrize("case", json.loads(fixtures.FIXTURES.read_text("utf-8"))["cases"])
def test_image_auroc_agrees_with_adeval(case: dict[str, object]) -> None:
    # Counted in 1,000 strips of equal width: exact, but for the corner below the largest value,
    # where a strip holds one value, and off by half of the strip's background where it holds more.
    scores, labels = fixtures.scores_and_labels(case["seed"], case["levels"], case["strength"])
    width = np.ptp(scores) / 1000
    good = scores[~labels]
    crowd = max(np.mean((good >= low) & (good <= low + width)) for low in good)
    assert auroc(scores, labels) == pytest.approx(case["image_auroc_strips"], abs=crowd / 2)


def test_the_bootstrap_is_repeatable_and_holds_the_estimate() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    scores = rng.normal(size=100) + labels
    first = bootstrap_auroc(scores, labels, np.arange(100), draws=300)
    assert first == bootstrap_auroc(scores, labels, np.arange(100), draws=300)
    assert first != bootstrap_auroc(scores, labels, np.arange(100), draws=300, seed=1)
    estimate = auroc(scores, labels)
    assert first is not None
    assert estimate is not None
    assert first[0] < estimate < first[1]


def test_five_copies_of_every_image_make_no_interval_narrower() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    scores = rng.normal(size=80) + labels
    parts = np.arange(80)
    single = bootstrap_auroc(scores, labels, parts, draws=300)
    copied = bootstrap_auroc(
        np.repeat(scores, 5), np.repeat(labels, 5), np.repeat(parts, 5), draws=300
    )
    assert copied == pytest.approx(single, abs=1e-12)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_parts_with_good_and_defective_views_alone_still_have_an_interval(seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=8)
    interval = bootstrap_auroc(scores, [0, 1] * 4, [1, 1, 2, 2, 3, 3, 4, 4], draws=50)
    assert interval is not None
    assert 0 <= interval[0] <= interval[1] <= 1
