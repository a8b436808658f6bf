"""The difference of two AUROCs: against brute force, and on planted detectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blemish.errors import DatasetError
from blemish.metrics.decision import confusion
from blemish.metrics.difference import PairedScores, aurocs, mccs, paired_difference, recalls_at_fpr
from blemish.metrics.image import auroc, recall_at_fpr, resampled_counts

Floats = npt.NDArray[np.float64]


def planted(strength: float, seed: int, n: int = 60) -> Floats:
    """Scores of as many good as defective images, with ties; both kinds have hard ones."""
    common = np.random.default_rng(5).normal(size=n)
    own = np.random.default_rng(seed).normal(size=n)
    return np.round(common + 0.3 * own + strength * np.repeat([0, 1], n // 2), 1)


LABELS = np.repeat([0, 1], 30)
PARTS = [f"part {n // 3}" for n in range(60)]


def by_hand(pairs: list[PairedScores], draws: int) -> list[float]:
    """The differences of the draws, image by image, as `resampled_counts` deals out the parts."""
    names = sorted({part for pair in pairs for part in np.asarray(pair.parts).tolist()})
    bad = {
        part
        for pair in pairs
        for part, label in zip(
            np.asarray(pair.parts).tolist(), np.asarray(pair.labels), strict=True
        )
        if label
    }
    found = []
    for times in resampled_counts(
        np.arange(len(names)), np.array([n in bad for n in names]), draws=draws, seed=0
    ):
        of_seeds = []
        for pair in pairs:
            counts = [times[names.index(part)] for part in np.asarray(pair.parts).tolist()]
            index = np.repeat(np.arange(len(counts)), counts)
            areas = [
                auroc(np.asarray(scores)[index], np.asarray(pair.labels)[index])
                for scores in (pair.first, pair.second)
            ]
            if None in areas:
                break
            of_seeds.append(areas[0] - areas[1])  # type: ignore[operator]
        else:
            found.append(float(np.mean(of_seeds)))
    return found


@settings(max_examples=15)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_it_is_what_a_loop_over_the_images_finds(seed: int, seeds: int) -> None:
    """Each seed may test other parts of the same set."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(seeds):
        kept = np.isin(np.array(PARTS), rng.choice(np.unique(PARTS), 14, replace=False))
        if len(set(LABELS[kept])) < 2:
            return
        first, second = (planted(s, int(rng.integers(99)))[kept] for s in (1.0, 0.5))
        pairs.append(PairedScores(first, second, LABELS[kept], np.array(PARTS)[kept]))
    found = paired_difference(aurocs, pairs, draws=40)
    expected = np.quantile(by_hand(pairs, 40), [0.025, 0.975])
    assert found is not None
    assert [found.low, found.high] == pytest.approx(expected.tolist())
    areas = [[auroc(s, p.labels) for s in (p.first, p.second)] for p in pairs]
    assert found.value == pytest.approx(np.mean([a - b for a, b in areas]))  # type: ignore[operator]


def test_a_clear_difference_is_separable_and_the_same_twice() -> None:
    better, worse = planted(2.5, 1), planted(0.0, 2)
    found = paired_difference(aurocs, [PairedScores(better, worse, LABELS, PARTS)])
    assert found is not None
    assert found == paired_difference(aurocs, [PairedScores(better, worse, LABELS, PARTS)])
    assert 0 < found.low < found.value < found.high
    assert found.separable
    other = paired_difference(aurocs, [PairedScores(worse, better, LABELS, PARTS)])
    assert other is not None
    assert (other.value, other.low, other.high) == pytest.approx(
        (-found.value, -found.high, -found.low)
    )
    assert other.separable


def test_a_detector_against_itself_differs_by_nothing() -> None:
    scores = planted(1.0, 1)
    found = paired_difference(aurocs, [PairedScores(scores, scores + 1, LABELS, PARTS)])
    assert found is not None
    assert (found.value, found.low, found.high, found.separable) == (0.0, 0.0, 0.0, False)


def test_images_of_one_part_are_not_independent() -> None:
    """Ten pictures of each part tell no more than one of each."""
    first, second = planted(1.5, 1), planted(1.0, 2)
    alone = paired_difference(aurocs, [PairedScores(first, second, LABELS, np.arange(60))])
    ten = [np.repeat(values, 10) for values in (first, second, LABELS, np.arange(60))]
    many = paired_difference(aurocs, [PairedScores(*ten)])
    assert alone is not None
    assert many is not None
    assert (many.low, many.high) == pytest.approx((alone.low, alone.high))


def test_what_cannot_be_compared() -> None:
    scores = planted(1.0, 1)
    assert paired_difference(aurocs, []) is None
    assert paired_difference(aurocs, [PairedScores(scores, scores, np.zeros(60), PARTS)]) is None
    with pytest.raises(DatasetError, match="60 scores need as many parts"):
        paired_difference(aurocs, [PairedScores(scores, scores, LABELS, PARTS[:-1])])
    with pytest.raises(DatasetError):
        paired_difference(aurocs, [PairedScores(scores, scores[:-1], LABELS, PARTS)])


def test_figures_of_draws_are_those_of_the_images_drawn() -> None:
    rng = np.random.default_rng(4)
    times = rng.poisson(1.0, (20, 60))
    times[0, 30:] = 0  # no defective image
    scores = planted(1.0, 3)
    rejected = (scores > 0.5).astype(float)
    recalls = recalls_at_fpr(0.1)(scores, LABELS > 0, times)
    rates = mccs(rejected, LABELS > 0, times)
    assert np.isnan(recalls[0])
    assert np.isnan(rates[0])
    for draw, recall, mcc in zip(times[1:], recalls[1:], rates[1:], strict=True):
        index = np.repeat(np.arange(60), draw)
        assert recall == pytest.approx(recall_at_fpr(scores[index], LABELS[index], 0.1))
        assert mcc == pytest.approx(confusion(scores[index], LABELS[index], 0.5).mcc)
