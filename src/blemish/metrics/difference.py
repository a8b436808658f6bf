"""By how much one detector's AUROC is above another's, with an interval by parts drawn again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blemish.errors import DatasetError
from blemish.metrics.image import checked, redrawn

Floats = NDArray[np.float64]
_AT_ONCE = 100  # draws, so that memory stays small for large test sets


@dataclass(frozen=True, eq=False)
class Pair:
    """Scores [n] that two detectors gave the same images in one seed.

    `labels` [n] with 1 = defective, `parts` [n] the name of each image's part.
    """

    first: ArrayLike
    second: ArrayLike
    labels: ArrayLike
    parts: ArrayLike


@dataclass(frozen=True)
class Difference:
    """The first's AUROC less the second's, and its interval."""

    value: float
    low: float
    high: float

    @property
    def separable(self) -> bool:
        """Whether the interval leaves 0 out."""
        return not self.low <= 0 <= self.high


def auroc_difference(
    pairs: Sequence[Pair], *, draws: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Difference | None:
    """The mean difference over the seeds, one pair for each, with its percentile interval.

    Parts are drawn again with replacement, good and defective ones apart (defective: with a
    defective image in any pair), and the same ones for both detectors and for all seeds. So the
    interval is that of these very models on other parts; what another seed would do is not in it.
    Draws in which a class is absent are left out. None when it is absent in a pair, or without one.
    Raises DatasetError for scores, labels and parts of different lengths.
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
    drawn = redrawn(np.arange(len(names)), defective, draws=draws, seed=seed)

    def differences(times: NDArray[np.intp]) -> Floats:
        """Of each draw, from how often it has each part: [draws, parts] to [draws]."""
        found = [
            _areas(rows[0], labels, times[:, of]) - _areas(rows[1], labels, times[:, of])
            for (rows, labels), of in zip(checked_pairs, parts, strict=True)
        ]
        return np.asarray(np.mean(found, axis=0), np.float64)

    if not pairs or not np.isfinite(seen := differences(np.ones((1, len(names)), np.intp))[0]):
        return None
    values = np.concatenate([differences(times) for times in _batches(drawn)])
    ends_of = (1 - confidence) / 2, (1 + confidence) / 2
    low, high = np.quantile(values[np.isfinite(values)], ends_of)
    return Difference(float(seen), float(low), float(high))


def _checked(pair: Pair) -> tuple[list[Floats], NDArray[np.bool_]]:
    first, defective = checked(pair.first, pair.labels)
    second, _ = checked(pair.second, pair.labels)
    if np.shape(pair.parts) != first.shape:
        raise DatasetError(f"{len(first)} scores need as many parts, not {np.shape(pair.parts)}.")
    return [first, second], defective


def _areas(scores: Floats, defective: NDArray[np.bool_], times: NDArray[np.intp]) -> Floats:
    """The AUROC of each draw; times [draws, n] counts each image; NaN where a class is absent."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    weight, is_bad = times[:, order].astype(np.float64), defective[order]
    good = np.add.reduceat(np.where(is_bad, 0.0, weight), starts, axis=1)
    bad = np.add.reduceat(np.where(is_bad, weight, 0.0), starts, axis=1)
    in_order = np.sum(bad * (np.cumsum(good, axis=1) - good / 2), axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(in_order / (good.sum(axis=1) * bad.sum(axis=1)), np.float64)


def _batches(drawn: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    while batch := list(islice(drawn, _AT_ONCE)):
        yield np.stack(batch)
