"""Methods compared over many data sets: mean ranks, Friedman's test, Wilcoxon's test."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blemish.errors import DatasetError

Floats = NDArray[np.float64]


def ranks(values: ArrayLike) -> Floats:
    """The rank of each method on each data set, both [n, k]: 1 is the largest, ties share a mean.

    Raises DatasetError for another shape or for a value that is not finite.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise DatasetError(
            f"Ranks need finite values of shape (data sets, methods), not {table.shape}."
        )
    better = (table[:, None, :] > table[:, :, None]).sum(2)
    as_good = (table[:, None, :] == table[:, :, None]).sum(2)
    return np.asarray(better + (as_good + 1) / 2, np.float64)


def friedman(values: ArrayLike) -> float:
    """The p-value that k methods do not differ over n data sets: values [n, k].

    By the chi-square distribution, corrected for ties; 1 where all methods always tie.
    Errors as in `ranks`.
    """
    from_middle = ranks(values)
    k = from_middle.shape[1]
    from_middle -= (k + 1) / 2
    spread = float((from_middle**2).sum())
    if spread == 0:
        return 1.0
    return _chi_square_tail((k - 1) * float((from_middle.sum(0) ** 2).sum()) / spread, k - 1)


def wilcoxon(differences: ArrayLike) -> float:
    """The two-sided p-value of the signed-rank test that paired differences [n] are centred on 0.

    Exact: over all 2^n signs of the ranks at hand, ties sharing a mean rank; differences of 0 are
    left out. 1 where none is left.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    if not len(values):
        return 1.0
    _, place, counts = np.unique(np.abs(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    doubled = (2 * last - counts + 1)[place]  # twice the mean rank: a whole number
    seen = int(min(doubled[values > 0].sum(), doubled[values < 0].sum()))
    chances = np.zeros(int(doubled.sum()) + 1)
    chances[0] = 1.0
    for rank in doubled:
        chances /= 2
        chances[rank:] += chances[:-rank].copy()
    return min(1.0, 2 * float(chances[: seen + 1].sum()))


def least_wilcoxon(n: int) -> float:
    """The smallest p-value that `wilcoxon` can give for n differences."""
    return min(1.0, 2.0 ** (1 - n))


def joined(mean_ranks: ArrayLike, apart: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Groups for a critical-difference diagram: neighbours in rank not told apart, best first.

    mean_ranks [k]; apart [k, k], symmetric. A group holds two methods or more, best first.
    """
    order = np.argsort(np.asarray(mean_ranks, dtype=np.float64), kind="stable")
    groups: list[tuple[int, ...]] = []
    end = 0
    for start in range(len(order)):
        stop = start + 1
        while stop < len(order) and not apart[order[stop], order[start:stop]].any():
            stop += 1
        if stop > end and stop - start > 1:
            groups.append(tuple(int(method) for method in order[start:stop]))
        end = max(end, stop)
    return groups


def _chi_square_tail(value: float, degrees: int) -> float:
    """P(chi-square with that many degrees of freedom >= value)."""
    half = value / 2
    tail = math.erfc(math.sqrt(half)) if degrees % 2 else math.exp(-half)
    for lower in range(1 if degrees % 2 else 2, degrees, 2):
        if half > 0:
            tail += math.exp(lower / 2 * math.log(half) - half - math.lgamma(lower / 2 + 1))
    return min(1.0, tail)
