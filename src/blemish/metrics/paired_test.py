"""Paired tests of two detectors on one test set: DeLong, bootstrap, McNemar; Holm's correction.

The test of two AUROCs is Obuchowski's (1997) for clustered data, since images of one part are not
independent; where every image is its own part it is DeLong's (1988).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blemish.errors import DatasetError
from blemish.metrics.bounds import binomial_cdf
from blemish.metrics.decision import Confusion
from blemish.metrics.image import auroc, checked, influence, resampled_counts

Floats = NDArray[np.float64]
MetricFunction = Callable[[Floats, NDArray[np.bool_]], float | None]


@dataclass(frozen=True)
class PairedTest:
    """The result of a paired test: difference of a metric, standard error, two-sided p."""

    difference: float
    error: float
    p: float


def delong(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, groups: ArrayLike | None = None
) -> PairedTest | None:
    """Compare the AUROCs of two detectors on the same images.

    first and second are scores [n], or [seeds, n] of which the mean AUROC counts; what the seeds
    differ by then adds to the error. labels [n] with 1 = defective. groups [n] names the part of
    each image (default: each is its own). None with fewer than two parts of either label.
    """
    _, defective = checked(_seeds(first)[0], labels)
    part_of = _numbered(groups, len(defective))
    ours, theirs = _ranked(first, labels), _ranked(second, labels)
    if ours is None or theirs is None:
        return None
    bad = np.bincount(part_of[defective], minlength=int(part_of.max()) + 1)
    good = np.bincount(part_of[~defective], minlength=len(bad))
    n_bad, n_good = int(np.count_nonzero(bad)), int(np.count_nonzero(good))
    if min(n_bad, n_good) < 2:
        return None
    moved = ours.moved - theirs.moved
    by_bad = np.bincount(part_of, np.where(defective, moved, 0.0))
    by_good = np.bincount(part_of, np.where(defective, 0.0, moved))
    variance = _unbiased(by_bad**2, n_bad) + _unbiased(by_good**2, n_good)
    variance += 2 * _unbiased(by_bad * by_good, len(bad))
    if variance < 1e-20:  # both rank alike, or one is perfect and the other blind: no paired spread
        variance = (n_good + n_bad + 1) / (12 * n_good * n_bad)
    return _comparison(ours.area - theirs.area, variance + ours.between + theirs.between)


def paired_bootstrap(
    metric: MetricFunction,
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> PairedTest | None:
    """Compare any metric of two detectors by a paired bootstrap over parts.

    metric takes scores [n] and labels [n] and may answer None, for which the draw is left out.
    Everything else as in `delong`; p is that of the normal distribution with the error of the
    draws, and never below what so many draws can show. None where the metric is None.
    """
    pair = _seeds(first), _seeds(second)
    for rows in pair:
        for row in rows:
            checked(row, labels)
    defective = np.asarray(labels).astype(bool)
    part_of = _numbered(groups, len(defective))
    rows = np.concatenate(pair)
    seen = [metric(row, defective) for row in rows]
    if None in seen:
        return None
    drawn = []
    for times in resampled_counts(part_of, defective, draws=draws, seed=seed):
        index = np.repeat(np.arange(len(times)), times)
        drawn.append([metric(row, defective[index]) for row in rows[:, index]])
    return _bootstrapped(seen, drawn, len(pair[0]))


def paired_bootstrap_of_decisions(
    rate: Callable[[Confusion], float | None],
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> PairedTest | None:
    """`paired_bootstrap` for what follows from the counts of decisions, without drawing items.

    first and second say which of the parts [n], or [seeds, n], are rejected. Parts that all runs
    decide alike are drawn together, as many as a multinomial says, so n costs next to nothing.
    """
    defective = np.asarray(labels).astype(bool)
    pair = [np.atleast_2d(np.asarray(rejected, dtype=bool)) for rejected in (first, second)]
    if any(rows.shape[1:] != defective.shape for rows in pair) or defective.ndim != 1:
        raise DatasetError("Decisions and labels to compare must be of the same parts.")
    runs, n_bad = np.concatenate(pair), int(defective.sum())
    n_good, rng = len(defective) - n_bad, np.random.default_rng(seed)

    def rates(false: NDArray[Any], true: NDArray[Any]) -> list[float | None]:
        counts = zip(false.tolist(), true.tolist(), strict=True)
        return [rate(Confusion(n_good - fp, fp, n_bad - tp, tp)) for fp, tp in counts]

    def resampled_rejections(of: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Rejected parts per run in each bootstrap resample: [draws, runs]."""
        kinds, times = np.unique(runs[:, of], axis=1, return_counts=True)
        if not len(times):
            return np.zeros((draws, len(runs)), np.intp)
        drawn = rng.multinomial(times.sum(), times / times.sum(), size=draws)
        return np.asarray(drawn @ kinds.T.astype(np.intp), np.intp)

    seen = rates(runs[:, ~defective].sum(axis=1), runs[:, defective].sum(axis=1))
    false, true = resampled_rejections(~defective), resampled_rejections(defective)
    drawn = [rates(fp, tp) for fp, tp in zip(false, true, strict=True)]
    return _bootstrapped(seen, drawn, len(pair[0]))


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p of McNemar's (1947) test of paired decisions, exact by the binomial.

    The counts are of the items on which the two disagree: the first right and the second wrong, and
    the other way round. 1 where they never disagree.
    """
    n = only_first + only_second
    return min(1.0, 2 * binomial_cdf(min(only_first, only_second), n, 0.5))


def mean_comparison(comparisons: Sequence[PairedTest]) -> PairedTest:
    """The test of the mean difference over test sets without common parts, such as categories."""
    errors = math.fsum(comparison.error**2 for comparison in comparisons)
    difference = math.fsum(comparison.difference for comparison in comparisons) / len(comparisons)
    least = min(comparison.p for comparison in comparisons) if errors == 0 else 0.0
    return _comparison(difference, errors / len(comparisons) ** 2, least=least)


def holm(p: Sequence[float]) -> list[float]:
    """Holm-adjusted p-values (family-wise error), in the given order."""
    adjusted, largest = [0.0] * len(p), 0.0
    for done, test in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - done) * p[test]))
        adjusted[test] = largest
    return adjusted


@dataclass(frozen=True, eq=False)
class _RankedScores:
    """The mean AUROC over seeds, how each image [n] moves it, and its variance by the seeds."""

    area: float
    moved: Floats
    between: float


def _ranked(scores: ArrayLike, labels: ArrayLike) -> _RankedScores | None:
    areas, moved = [], []
    for row in _seeds(scores):
        values, defective = checked(row, labels)
        area = auroc(values, defective)
        if area is None:
            return None
        areas.append(area)
        moved.append(influence(values, defective, area))
    return _RankedScores(float(np.mean(areas)), np.mean(moved, axis=0), _between(areas))


def _seeds(scores: ArrayLike) -> Floats:
    """Scores as [seeds, n]."""
    rows = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if rows.ndim != 2 or not len(rows):
        raise DatasetError(f"Scores to compare are [n] or [seeds, n], not {rows.shape}.")
    return rows


def _numbered(groups: ArrayLike | None, n: int) -> NDArray[np.intp]:
    if groups is None:
        return np.arange(n)
    part_of = np.unique(np.asarray(groups), return_inverse=True)[1]
    if part_of.shape != (n,):
        raise DatasetError(f"{n} scores need as many groups, not {part_of.shape}.")
    return np.asarray(part_of, np.intp)


def _unbiased(squares: NDArray[Any], clusters: int) -> float:
    return float(squares.sum()) * clusters / (clusters - 1)


def _between(values: Sequence[float] | Floats) -> float:
    """The variance of a mean over seeds; 0 for one seed, which tells nothing of it."""
    return float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0


def _bootstrapped(
    seen: Sequence[float | None], drawn: Sequence[Sequence[float | None]], k: int
) -> PairedTest | None:
    """From the metric of every run, and of every draw of it; the first k runs against the rest."""
    if None in seen:
        return None
    values = np.array(seen, dtype=np.float64)
    whole = np.array([draw for draw in drawn if None not in draw], dtype=np.float64)
    if len(whole) < 2:
        return None
    differences = whole[:, :k].mean(axis=1) - whole[:, k:].mean(axis=1)
    variance = float(np.var(differences, ddof=1)) + _between(values[:k]) + _between(values[k:])
    difference = float(values[:k].mean() - values[k:].mean())
    return _comparison(difference, variance, least=2 / (len(whole) + 1))


def _comparison(difference: float, variance: float, *, least: float = 0.0) -> PairedTest:
    error = math.sqrt(variance)
    if difference == 0:
        return PairedTest(difference, error, 1.0)
    p = math.erfc(abs(difference) / error / math.sqrt(2)) if error > 0 else 0.0
    return PairedTest(difference, error, min(1.0, max(p, least)))
