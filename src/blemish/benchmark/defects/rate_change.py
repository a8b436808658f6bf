"""The change of recall or FPR with more real defects: a paired test over parts, in words."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

import numpy as np

from blemish.benchmark.defects.decisions import Decisions, Interval
from blemish.metrics.paired_test import mcnemar, paired_bootstrap_of_decisions
from blemish.report.words import percentage

RateName = Literal["recall", "fpr"]

SIGNIFICANT = 0.05
_SIGMAS = 1.96  # standard deviations either side of the mean hold 95 % of a normal distribution


@dataclass(frozen=True)
class RateChange:
    """The difference of a rate, after less before, on the same parts.

    `low` to `high`: the 95 % interval, from a bootstrap over parts and the variance between draws.
    `p`: the exact two-sided sign test over parts (McNemar's test for one draw).
    """

    rate: RateName
    before: float
    after: float
    low: float
    high: float
    p: float

    @property
    def proven(self) -> bool:
        """Whether the interval excludes 0 and the sign test is significant."""
        return not self.low <= 0 <= self.high and self.p < SIGNIFICANT


def rate_change(before: Decisions, after: Decisions, rate: RateName) -> RateChange | None:
    """The change of a rate on parts that both tested; None where there are none of its label."""
    shared = sorted(set(before.parts) & set(after.parts))
    first, second = before.of(shared), after.of(shared)
    of_label = first.defective if rate == "recall" else ~first.defective
    if not of_label.any():
        return None
    found = paired_bootstrap_of_decisions(
        attrgetter(rate), second.rejected, first.rejected, first.defective
    )
    if found is None:
        return None
    shares = [one.rejected[:, of_label].mean(axis=0) for one in (first, second)]
    gains, losses = (int((a > b).sum()) for a, b in ((shares[1], shares[0]), shares))
    half = _SIGMAS * found.error
    return RateChange(
        rate,
        float(np.mean(shares[0])),
        float(np.mean(shares[1])),
        found.difference - half,
        found.difference + half,
        mcnemar(gains, losses),
    )


def in_words(found: RateChange, before: Interval | None, after: Interval | None) -> str:
    """The change in words, such as "recall rises from 41 % (33 to 49) to 72 % (64 to 79)"."""
    name = "recall" if found.rate == "recall" else "FPR"
    values = f"{_rate(found.before, before)} to {_rate(found.after, after)}"
    if found.proven:
        return f"{name} {'rises' if found.after > found.before else 'falls'} from {values}"
    if found.low == found.high == 0:
        return f"{name} stays at {_rate(found.after, after)}, part by part"
    low, high = (_points(value) for value in (found.low, found.high))
    return (
        f"no change of {name} that these parts can prove ({values}; difference {low} to {high} "
        "points)"
    )


def _rate(value: float, interval: Interval | None) -> str:
    within = "" if interval is None else " ({} to {})".format(*map(percentage, interval))
    return f"{percentage(value)} %{within}"


def _points(share: float) -> str:
    return f"{100 * share:+.0f}" if abs(share) >= 0.1 else f"{100 * share:+.1f}"
