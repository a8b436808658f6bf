"""Exact binomial tails and the confidence bounds that follow from them."""

from __future__ import annotations

import math
from collections.abc import Callable


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(Bin(n, p) <= k), with about eight digits also for n of a million."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    if p <= 0.0 or p >= 1.0:
        return 1.0 if p <= 0.0 else 0.0
    # Summing the smaller tail keeps the terms falling and the result accurate.
    if k <= n * p:
        return _lower_tail(k, n, p)
    return 1.0 - _lower_tail(n - k - 1, n, 1.0 - p)


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval for a rate of which k of n were seen; n is at least 1."""
    tail = (1.0 - confidence) / 2
    high = upper_limit(k, n, tail)
    return 1.0 - upper_limit(n - k, n, tail), high


def upper_limit(k: int, n: int, tail: float) -> float:
    """The rate p at which P(Bin(n, p) <= k) has fallen to `tail`; 1 when k = n."""
    if k >= n:
        return 1.0
    if k == 0:
        return -math.expm1(math.log(tail) / n)
    return _falling_root(lambda p: binomial_cdf(k, n, p) - tail)


def _lower_tail(k: int, n: int, p: float) -> float:
    """Sum P(Bin = k) + P(Bin = k - 1) + ..., for k at or below the mean."""
    log_choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    largest = math.exp(log_choose + k * math.log(p) + (n - k) * math.log1p(-p))
    term = total = 1.0
    for j in range(k, 0, -1):
        term *= j * (1.0 - p) / ((n - j + 1) * p)
        total += term
        if term < 1e-17 * total:
            break
    return min(1.0, largest * total)


def _falling_root(f: Callable[[float], float]) -> float:
    """Root in [0, 1] of a falling function, to the last bit that bisection can reach."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if f(middle) > 0 else (low, middle)
    return high
