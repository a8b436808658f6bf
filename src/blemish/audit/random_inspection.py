"""Random inspection: the share of hidden defects among parts labelled good, and its interval.

A person inspects the most doubtful parts and a random sample of the others. The interval is exact
however good the ranking is: the ranked parts are known, and the sample comes from a finite
population without replacement (hypergeometric distribution).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95


@dataclass(frozen=True)
class ShareEstimate:
    """The share of hidden defects, with its 95 % interval, from `looks` inspected parts."""

    estimate: float
    low: float
    high: float
    looks: int


def share_from_inspection(
    ranking: npt.NDArray[np.intp],
    random: npt.NDArray[np.intp],
    defective: npt.NDArray[np.float64],
    most: int,
) -> ShareEstimate | None:
    """The share of defective parts; None where no part of the random sample was inspected.

    `ranking` is an order of all parts [n]; `random` lists the parts drawn, in the order of drawing;
    `defective` [n] is 1, 0, or NaN where a part was not inspected. The ranked parts before the
    first one not inspected are counted as they are, at most `most` of them. `most` is fixed before
    the drawing: a number that depended on it would bias the sample. Of the other parts, those drawn
    before the first one not inspected are the sample. The decision to stop must not depend on what
    the random inspection found (optional stopping).
    """
    total = len(ranking)
    seen = ~np.isnan(defective)
    top = ranking[: min(most, _until_gap(seen[ranking]))]
    rest = np.setdiff1d(ranking, top)
    order = random[~np.isin(random, top)]
    drawn = order[: _until_gap(seen[order])]
    if not total or (len(rest) and not len(drawn)):
        return None
    known, found = int(np.nansum(defective[top])), int(np.nansum(defective[drawn]))
    low, high = hypergeometric_interval(found, len(drawn), len(rest))
    middle = found / len(drawn) * len(rest) if len(drawn) else 0.0
    looks = len(top) + len(drawn)
    return ShareEstimate(
        (known + middle) / total, (known + low) / total, (known + high) / total, looks
    )


def hypergeometric_interval(
    found: int, drawn: int, total: int, confidence: float = CONFIDENCE
) -> tuple[int, int]:
    """Exact two-sided confidence interval for the number of defective parts among `total`.

    `found` of the `drawn` parts, sampled without replacement, were defective.
    """
    tail = (1 - confidence) / 2
    low = _first(
        found, total - drawn + found, lambda d: 1 - _cdf(found - 1, total, d, drawn) > tail
    )
    high = _first(low, total - drawn + found, lambda d: _cdf(found, total, d + 1, drawn) <= tail)
    return low, high


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Bisection: the first integer from `low` where a monotone condition holds, else `high`."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _cdf(k: int, total: int, defective: int, drawn: int) -> float:
    """Hypergeometric distribution: P(at most k defective parts among `drawn` of `total`)."""
    good = total - defective
    values = range(max(0, drawn - good), min(k, defective, drawn) + 1)
    every = _log_choose(total, drawn)
    return sum(
        math.exp(_log_choose(defective, j) + _log_choose(good, drawn - j) - every) for j in values
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _until_gap(seen: npt.NDArray[np.bool_]) -> int:
    return len(seen) if seen.all() else int(seen.argmin())
