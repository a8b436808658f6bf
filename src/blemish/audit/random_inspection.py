"""The share of hidden defects from looks: some parts by rank, some at random, all by a person.

Whatever the ranking is worth, the interval is exact: the parts looked at by rank are known, and
the others are a finite population of which some were drawn at random (hypergeometric law).
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
    """A share of hidden defects with its 95 % interval; `looks` parts were looked at for it."""

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
    """The share of defective parts; None where no part that was drawn has been looked at.

    `ranking` is an order of all parts [n], `random` lists those drawn, in their order; `defective`
    [n] is 1, 0, or NaN where nobody has looked. The parts before the first gap in the ranking are
    counted, at most `most`, a number fixed before any was drawn: were it to grow with what was
    drawn, the sample would not be random. Of the others, those drawn that come before the first gap
    are the sample. When to stop must not depend on what the random looks found.
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
    """Exact two-sided interval for the defective ones among `total`, of which `drawn` were seen."""
    tail = (1 - confidence) / 2
    low = _first(
        found, total - drawn + found, lambda d: 1 - _cdf(found - 1, total, d, drawn) > tail
    )
    high = _first(low, total - drawn + found, lambda d: _cdf(found, total, d + 1, drawn) <= tail)
    return low, high


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The first whole number from `low` for which a rising condition holds; `high` if none does."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _cdf(k: int, total: int, defective: int, drawn: int) -> float:
    """P(at most k defective ones among `drawn` of `total`)."""
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
