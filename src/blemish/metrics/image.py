"""Ranking metrics over one score per image: AUROC with a bootstrap, and average precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blemish.errors import DatasetError, ImageError

FPR_5 = 0.05  # of the good images, where `recall_at_fpr_5` of an evaluation is taken


def score_counts(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Count good and defective items at every distinct score.

    scores [n] float, labels [n] with 0 = good and 1 = defective, weights [n] (default 1).
    Returns the distinct scores in rising order, the weight of good items and the weight of
    defective items at each. Raises ImageError for a NaN score, DatasetError for bad labels.
    """
    values, defective = checked(scores, labels)
    distinct, index = np.unique(values, return_inverse=True)
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != values.shape:
        raise DatasetError(f"{len(values)} scores have weights of shape {weight.shape}.")
    good, bad = _split(index, defective, weight)
    return distinct, good, bad


def checked(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores as float64 [n] and labels as bool [n], or name the first that is wrong."""
    values = np.asarray(scores, dtype=np.float64)
    given = np.asarray(labels)
    if values.ndim != 1 or given.shape != values.shape:
        raise DatasetError(
            f"Scores of shape {values.shape} need labels of the same length, not {given.shape}."
        )
    if np.isnan(values).any():
        where = int(np.flatnonzero(np.isnan(values))[0])
        raise ImageError(f"Score number {where} is NaN; look for NaN pixels in that image.")
    if not np.isin(given, (0, 1)).all():
        raise DatasetError("A label is neither 0 (good) nor 1 (defective).")
    return values, given.astype(bool)


def auroc(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float | None:
    """Probability that a defective item scores above a good one; a tie counts one half.

    Arguments and errors as in `score_counts`. None when one class is absent.
    """
    _, good, bad = score_counts(scores, labels, weights)
    return _area(good, bad)


@dataclass(frozen=True, eq=False)
class Roc:
    """A ROC curve: at `threshold` [k], falling, the share of each kind that scores above it.

    `false_reject_rate` is that of the good items, `recall` that of the defective ones, both rising
    from 0 to 1; the first threshold is infinite, and nothing is rejected there.
    """

    false_reject_rate: NDArray[np.float64]
    recall: NDArray[np.float64]
    threshold: NDArray[np.float64]


def roc(scores: ArrayLike, labels: ArrayLike) -> Roc:
    """The ROC curve of scores [n] with labels [n]; an item is rejected at its own score and above.

    Errors as in `score_counts`; DatasetError too when one class is absent.
    """
    distinct, good, bad = score_counts(scores, labels)
    if not good.sum() or not bad.sum():
        raise DatasetError("A ROC curve needs good and defective items, and one kind is absent.")
    falling = np.concatenate([[np.inf], distinct[::-1]])
    rates = [np.concatenate([[0.0], np.cumsum(w[::-1])]) / w.sum() for w in (good, bad)]
    return Roc(rates[0], rates[1], falling)


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """Mean of the precision at each distinct threshold, weighted by the recall gained there.

    No interpolation. Arguments and errors as in `score_counts`. None when one class is absent.
    """
    _, good, bad = score_counts(scores, labels)
    if good.sum() == 0 or bad.sum() == 0:
        return None
    true = np.cumsum(bad[::-1])
    rejected = true + np.cumsum(good[::-1])
    return float(np.sum(bad[::-1] * true / rejected) / bad.sum())


def bootstrap_auroc(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    *,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[float, float] | None:
    """Percentile interval of the AUROC from a bootstrap over parts.

    groups [n] names the part of each image. A part is defective if any of its images is; the
    bootstrap is stratified: good and defective parts keep their numbers. None when one class is
    absent.
    """
    return _bootstrapped(_area, scores, labels, groups, draws, seed, confidence)


def recall_at_fpr(scores: ArrayLike, labels: ArrayLike, fpr: float) -> float | None:
    """Largest share of the defective items that some threshold rejects with so few false rejects.

    Rejected is what scores above the threshold; of the good items the share `fpr` at most may be.
    The threshold is chosen on this very test set, and nothing is interpolated between two scores.
    Arguments and errors as in `score_counts`. None when one class is absent.
    """
    _, good, bad = score_counts(scores, labels)
    return _recall(good, bad, fpr)


def bootstrap_recall_at_fpr(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    fpr: float,
    *,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[float, float] | None:
    """Percentile interval of `recall_at_fpr`, as `bootstrap_auroc`; each with its threshold."""

    def recall(good: NDArray[np.float64], bad: NDArray[np.float64]) -> float | None:
        return _recall(good, bad, fpr)

    return _bootstrapped(recall, scores, labels, groups, draws, seed, confidence)


def _bootstrapped(
    figure: Callable[[NDArray[np.float64], NDArray[np.float64]], float | None],
    scores: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    draws: int,
    seed: int,
    confidence: float,
) -> tuple[float, float] | None:
    """The interval of a figure of the good and the defective items at each distinct score."""
    values, defective = checked(scores, labels)
    part_of = np.unique(np.asarray(groups), return_inverse=True)[1]
    if part_of.shape != values.shape:
        raise DatasetError(f"{len(values)} scores need as many groups, not {part_of.shape}.")
    if defective.all() or not defective.any():
        return None
    _, index = np.unique(values, return_inverse=True)
    drawn = [
        figure(*_split(index, defective, times))
        for times in resampled_counts(part_of, defective, draws=draws, seed=seed)
    ]
    # Without a good part, a draw can miss every good view; it then has no figure.
    known = [value for value in drawn if value is not None]
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def resampled_counts(
    part_of: NDArray[np.intp], defective: NDArray[np.bool_], *, draws: int, seed: int
) -> Iterator[NDArray[np.intp]]:
    """The count of each image [n] in each resample of a bootstrap over parts.

    part_of [n] numbers the parts from 0 without a gap. Stratified: good parts and defective ones
    (those with a defective image) keep their numbers.
    """
    part_is_defective = np.bincount(part_of, defective) > 0
    strata = [np.flatnonzero(part_is_defective == label) for label in (False, True)]
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        drawn = [rng.choice(stratum, len(stratum)) for stratum in strata if len(stratum)]
        yield np.bincount(np.concatenate(drawn), minlength=len(part_is_defective))[part_of]


def auroc_interval(
    scores: ArrayLike, labels: ArrayLike, groups: ArrayLike, *, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Asymptotic interval of the AUROC for clustered data: images of one part are dependent.

    groups [n] names the part of each image; a part is defective if any of its images is. Never
    narrower than that of random scores, so that a few parts separated by chance do not look like a
    proof. None when one class is absent.
    """
    values, defective = checked(scores, labels)
    parts, part_of = np.unique(np.asarray(groups), return_inverse=True)
    area = auroc(values, defective)
    if area is None:
        return None
    moved = np.bincount(part_of, influence(values, defective, area), minlength=len(parts))
    spread = np.sum(moved**2) * len(parts) / max(1, len(parts) - 1)
    bad = int(np.count_nonzero(np.bincount(part_of, defective, minlength=len(parts))))
    good = max(1, len(parts) - bad)
    meaningless = (good + bad + 1) / (12 * good * bad)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * float(max(spread, meaningless)) ** 0.5
    return max(0.0, area - half), min(1.0, area + half)


def influence(
    values: NDArray[np.float64], defective: NDArray[np.bool_], area: float
) -> NDArray[np.float64]:
    """The influence of each item on the AUROC: its share of ordered pairs, less the mean."""
    _, index = np.unique(values, return_inverse=True)
    good, bad = _split(index, defective, np.ones(len(values)))
    good_below = (np.cumsum(good) - good / 2)[index] / good.sum()
    bad_above = 1 - (np.cumsum(bad) - bad / 2)[index] / bad.sum()
    own = np.where(defective, (good_below - area) / bad.sum(), (bad_above - area) / good.sum())
    return np.asarray(own, np.float64)


def _split(
    index: NDArray[np.intp], defective: NDArray[np.bool_], weight: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight of the good and of the defective items at each distinct score; index names it."""
    size = int(index.max(initial=-1)) + 1
    good = np.bincount(index, np.where(defective, 0.0, weight), minlength=size)
    bad = np.bincount(index, np.where(defective, weight, 0.0), minlength=size)
    return good.astype(np.float64, copy=False), bad.astype(np.float64, copy=False)


def _area(good: NDArray[np.float64], bad: NDArray[np.float64]) -> float | None:
    """Mann-Whitney statistic from the weights at each distinct score, in rising order."""
    pairs = good.sum() * bad.sum()
    if pairs == 0:
        return None
    good_below = np.cumsum(good) - good
    return float(np.sum(bad * (good_below + good / 2)) / pairs)


def _recall(good: NDArray[np.float64], bad: NDArray[np.float64], fpr: float) -> float | None:
    """The largest recall at that FPR, from the weights at each distinct score, in rising order."""
    if good.sum() == 0 or bad.sum() == 0:
        return None
    allowed = np.cumsum(good[::-1]) <= fpr * good.sum() * (1 + 1e-12)  # 0.05 of 60 is 3
    return float(np.sum(bad[::-1][allowed]) / bad.sum())
