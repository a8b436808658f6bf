"""Decisions on parts in several draws, and their rates with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from blemish.benchmark.store import COUNTS, Result
from blemish.metrics.bounds import clopper_pearson
from blemish.metrics.decision import Confusion
from blemish.metrics.sample import sample_scores

Flags = npt.NDArray[np.bool_]
Interval = tuple[float, float]

RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Decisions:
    """Parts [n] in sorted order, `defective` bool [n], and `rejected` bool [draws, n].

    Each draw's decisions are at the threshold from good parts held out of that very training.
    `oracle` are the counts at the thresholds that are best on the test, None where a fold has no
    defective part; `incomplete` parts lack a view and count by those they have.
    """

    parts: tuple[str, ...]
    defective: Flags
    rejected: Flags
    oracle: tuple[Confusion, ...] | None
    incomplete: int

    @property
    def draws(self) -> list[Confusion]:
        """The confusion counts of each draw."""
        good, bad = ~self.defective, self.defective
        return [
            Confusion(int((good & ~r).sum()), int((good & r).sum()), int((bad & ~r).sum()), tp)
            for r in self.rejected
            for tp in [int((bad & r).sum())]
        ]

    def only(self, which: Flags) -> Decisions:
        """Some of the parts."""
        parts = tuple(name for name, kept in zip(self.parts, which, strict=True) if kept)
        return Decisions(parts, self.defective[which], self.rejected[:, which], None, 0)

    def of(self, parts: Sequence[str]) -> Decisions:
        """The parts with these names."""
        return self.only(np.isin(np.array(self.parts, dtype=np.str_), list(parts)))

    def caught(self) -> tuple[float, int]:
        """Defective parts rejected, as a mean over draws, and how many there are."""
        return _mean_sum(self.rejected[:, self.defective]), int(self.defective.sum())

    def false_rejects(self) -> tuple[float, int]:
        """Good parts rejected, as a mean over draws, and how many there are."""
        return _mean_sum(self.rejected[:, ~self.defective]), int((~self.defective).sum())

    def recall(self) -> float | None:
        """The mean over draws; None without a defective part."""
        caught, parts = self.caught()
        return caught / parts if parts else None

    def recall_interval(self) -> Interval | None:
        """95 % interval of the recall; None without a defective part."""
        return share_interval(*self.caught())

    def fpr_interval(self) -> Interval | None:
        """95 % interval of the FPR; None without a good part."""
        return share_interval(*self.false_rejects())

    def mcc_interval(self) -> Interval | None:
        """95 % bootstrap interval of the MCC over parts, stratified by label; None without both."""
        rng, counts = np.random.default_rng(0), []
        for which in (~self.defective, self.defective):
            n = int(which.sum())
            if not n:
                return None
            times = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
            counts.append((n, times @ self.rejected[:, which].T.astype(np.int64)))
        (n_good, fp), (n_bad, tp) = counts
        tn, fn = n_good - fp, n_bad - tp
        product = (tp + fp).astype(float) * (tp + fn) * (tn + fp) * (tn + fn)
        mcc = (tp * tn - fp * fn) / np.sqrt(np.where(product > 0, product, np.inf))
        low, high = np.quantile(mcc.mean(axis=1), (0.025, 0.975))
        return float(low), float(high)


def decisions_of(draws: Sequence[Sequence[Result]]) -> Decisions:
    """The decisions of the results of each draw, one result per fold, on parts tested once.

    Only parts that all draws tested count. Raises DatasetError for scores that cannot be read.
    """
    tests = [_of_draw(results) for results in draws]
    shared = set.intersection(*(set(test) for test in tests))
    names = sorted(shared)
    oracle = [_sum([_figures(result, "oracle_f1") for result in results]) for results in draws]
    known = [counts for counts in oracle if counts is not None]
    incomplete = [
        sum(int(_figures(result, "decision").get("incomplete", 0)) for result in results)
        for results in draws
    ]
    return Decisions(
        tuple(names),
        np.array([tests[0][name][0] for name in names], bool),
        np.array([[test[name][1] for name in names] for test in tests], bool),
        tuple(known) if len(known) == len(oracle) else None,
        max(incomplete),
    )


def share_interval(hits: float, n: int) -> Interval | None:
    """95 % Clopper-Pearson interval of a rate; None where n is 0.

    `hits` of `n` parts may be a mean over draws. The sample size is the number of parts, not of
    decisions, so the mean is rounded outwards to whole parts.
    """
    if not n:
        return None
    low, _ = clopper_pearson(math.floor(hits + 1e-9), n)
    _, high = clopper_pearson(math.ceil(hits - 1e-9), n)
    return low, high


def means(draws: Sequence[Confusion]) -> dict[str, float | None]:
    """Counts and rates as means over draws; a rate that a draw lacks is None."""
    found: dict[str, float | None] = {}
    for name in ("mcc", "recall", "fpr", *COUNTS):
        values = [getattr(one, name) for one in draws]
        found[name] = None if None in values else fmean(values)
    return found


def _of_draw(results: Sequence[Result]) -> dict[str, tuple[bool, bool]]:
    """Of each part that was tested: whether it is defective, and whether it was rejected."""
    found: dict[str, tuple[bool, bool]] = {}
    for result in results:
        scores = result.scores()
        samples = sample_scores(scores.score, scores.part, scores.label)
        rejected = samples.scores > _figures(result, "decision")["threshold"]
        labels = zip(samples.labels.tolist(), rejected.tolist(), strict=True)
        found |= dict(zip(samples.parts.tolist(), labels, strict=True))
    return found


def _figures(result: Result, group: str) -> dict[str, Any]:
    return (result.figures or {}).get(group) or {}


def _sum(counts: Sequence[Any]) -> Confusion | None:
    if not all(counts):
        return None
    return Confusion(*(sum(int(of[name]) for of in counts) for name in COUNTS))


def _mean_sum(rejected: Flags) -> float:
    return float(rejected.sum(axis=1).mean())
