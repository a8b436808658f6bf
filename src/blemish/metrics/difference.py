"""The paired difference of two detectors' figures, with a bootstrap interval over parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blemish.errors import DatasetError
from blemish.metrics.image import checked, resampled_counts

Floats = NDArray[np.float64]
# Scores [n], defective [n], counts of each item in each resample [draws, n]: a figure [draws], NaN
# where a class is absent.
ResampledFigure = Callable[[Floats, NDArray[np.bool_], NDArray[np.intp]], Floats]
_AT_ONCE = 100  # resamples, so that memory stays small for large test sets


@dataclass(frozen=True, eq=False)
class PairedScores:
    """Scores [n] that two detectors gave the same images in one seed, and in one fold of it.

    `labels` [n] with 1 = defective, `parts` [n] the name of each image's part.
    """

    first: ArrayLike
    second: ArrayLike
    labels: ArrayLike
    parts: ArrayLike


@dataclass(frozen=True)
class PairedDifference:
    """The first's figure less the second's, and its interval."""

    value: float
    low: float
    high: float

    @property
    def separable(self) -> bool:
        """Whether the interval excludes 0."""
        return not self.low <= 0 <= self.high


def paired_difference(
    figure: ResampledFigure,
    pairs: Sequence[PairedScores],
    *,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> PairedDifference | None:
    """The mean difference over the seeds and folds, a pair for each, with its percentile interval.

    Bootstrap over parts, stratified by label (defective: with a defective image in any pair), with
    the same resamples for both detectors and all seeds. So the interval covers other parts, not
    other seeds: the models are fixed. Resamples in which a class is absent are left out.
    None when it is absent in a pair, or without one. Raises DatasetError for scores, labels and
    parts of different lengths.
    """
    checked_pairs = [_checked(pair) for pair in pairs]
    names, part_of = np.unique(
        np.concatenate([np.asarray(pair.parts, str) for pair in pairs] or [np.empty(0, str)]),
        return_inverse=True,
    )
    ends = np.cumsum([len(labels) for _, labels in checked_pairs])[:-1]
    parts = np.split(part_of, ends)
    every_label = [label for _, labels in checked_pairs for label in labels]
    defective = np.bincount(part_of, every_label, minlength=len(names)) > 0
    drawn = resampled_counts(np.arange(len(names)), defective, draws=draws, seed=seed)

    def differences(times: NDArray[np.intp]) -> Floats:
        """The difference in each resample, from its counts of parts: [draws, parts] to [draws]."""
        found = [
            figure(rows[0], labels, times[:, of]) - figure(rows[1], labels, times[:, of])
            for (rows, labels), of in zip(checked_pairs, parts, strict=True)
        ]
        return np.asarray(np.mean(found, axis=0), np.float64)

    if not pairs or not np.isfinite(seen := differences(np.ones((1, len(names)), np.intp))[0]):
        return None
    values = np.concatenate([differences(times) for times in _batches(drawn)])
    ends_of = (1 - confidence) / 2, (1 + confidence) / 2
    low, high = np.quantile(values[np.isfinite(values)], ends_of)
    return PairedDifference(float(seen), float(low), float(high))


def _checked(pair: PairedScores) -> tuple[list[Floats], NDArray[np.bool_]]:
    first, defective = checked(pair.first, pair.labels)
    second, _ = checked(pair.second, pair.labels)
    if np.shape(pair.parts) != first.shape:
        raise DatasetError(f"{len(first)} scores need as many parts, not {np.shape(pair.parts)}.")
    return [first, second], defective


def aurocs(scores: Floats, defective: NDArray[np.bool_], times: NDArray[np.intp]) -> Floats:
    """The AUROC of each resample."""
    good, bad = _weights(scores, defective, times)
    in_order = np.sum(bad * (np.cumsum(good, axis=1) - good / 2), axis=1)
    return _share(in_order, good.sum(axis=1) * bad.sum(axis=1))


def recalls_at_fpr(fpr: float) -> ResampledFigure:
    """`metrics.image.recall_at_fpr` of each resample, each with its own threshold."""

    def recalls(scores: Floats, defective: NDArray[np.bool_], times: NDArray[np.intp]) -> Floats:
        good, bad = (weight[:, ::-1] for weight in _weights(scores, defective, times))
        most = fpr * good.sum(axis=1, keepdims=True) * (1 + 1e-12)
        found = np.sum(bad * (np.cumsum(good, axis=1) <= most), axis=1)
        return _share(np.where(good.sum(axis=1) > 0, found, np.nan), bad.sum(axis=1))

    return recalls


def mccs(rejected: Floats, defective: NDArray[np.bool_], times: NDArray[np.intp]) -> Floats:
    """The MCC of each resample; `rejected` is 1 for a rejected item, else 0."""
    is_bad, is_out = defective.astype(np.float64), rejected > 0
    tp, bad = times @ (is_bad * is_out), times @ is_bad
    fp, good = times @ ((1 - is_bad) * is_out), times @ (1 - is_bad)
    product = (tp + fp) * (good + bad - tp - fp) * good * bad
    found = (tp * (good - fp) - fp * (bad - tp)) / np.sqrt(np.where(product > 0, product, np.inf))
    return np.asarray(np.where((good > 0) & (bad > 0), found, np.nan), np.float64)


def _weights(
    scores: Floats, defective: NDArray[np.bool_], times: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Counts of good and defective items at each distinct score, rising, in each resample."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    weight, is_bad = times[:, order].astype(np.float64), defective[order]
    good = np.add.reduceat(np.where(is_bad, 0.0, weight), starts, axis=1)
    bad = np.add.reduceat(np.where(is_bad, weight, 0.0), starts, axis=1)
    return np.asarray(good, np.float64), np.asarray(bad, np.float64)


def _share(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(part / whole, np.float64)


def _batches(drawn: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    while batch := list(islice(drawn, _AT_ONCE)):
        yield np.stack(batch)
