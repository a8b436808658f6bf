"""Counts of right and wrong decisions at one threshold, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from blemish.errors import DatasetError
from blemish.metrics.bounds import clopper_pearson
from blemish.metrics.image import checked, score_counts


@dataclass(frozen=True)
class Confusion:
    """Good items passed (tn) and rejected (fp), defective ones passed (fn) and rejected (tp)."""

    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def recall(self) -> float | None:
        """Share of the defective items that is rejected; None without any."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def precision(self) -> float | None:
        """Share of the rejected items that is defective; None without any."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def fpr(self) -> float | None:
        """Share of the good items that is rejected; None without any."""
        return _ratio(self.fp, self.fp + self.tn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where undefined."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn) or 0.0

    @property
    def mcc(self) -> float:
        """Matthews correlation coefficient; 0 when a margin of the table is empty."""
        tn, fp, fn, tp = self.tn, self.fp, self.fn, self.tp
        product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
        return (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0

    def to_json(self) -> dict[str, int | float | list[float] | None]:
        """Counts, rates, and 95 % Clopper-Pearson intervals of recall and fpr (or None)."""
        return {
            "tn": self.tn,
            "fp": self.fp,
            "fn": self.fn,
            "tp": self.tp,
            "mcc": self.mcc,
            "recall": self.recall,
            "precision": self.precision,
            "fpr": self.fpr,
            "f1": self.f1,
            "recall_interval": _interval(self.tp, self.tp + self.fn),
            "fpr_interval": _interval(self.fp, self.fp + self.tn),
        }


def confusion(scores: ArrayLike, labels: ArrayLike, threshold: float) -> Confusion:
    """Count decisions when an item is rejected if and only if its score is above the threshold.

    scores [n] float, labels [n] with 0 = good and 1 = defective.
    """
    if math.isnan(threshold):
        raise DatasetError("The threshold is NaN; calibrate the model again.")
    values, defective = checked(scores, labels)
    rejected = values > threshold
    return Confusion(
        tn=int(np.sum(~rejected & ~defective)),
        fp=int(np.sum(rejected & ~defective)),
        fn=int(np.sum(~rejected & defective)),
        tp=int(np.sum(rejected & defective)),
    )


def oracle_f1_threshold(scores: ArrayLike, labels: ArrayLike) -> float:
    """The threshold of the largest F1, fitted on the test set that it is reported for.

    Rejecting scores strictly above it gives that F1; so it is a score of the set, or minus
    infinity where rejecting everything is best. Among equal F1 the largest threshold is taken.
    """
    distinct, good, bad = score_counts(scores, labels)
    if not len(distinct):
        raise DatasetError("An empty test set has no F1-optimal threshold.")
    thresholds = np.concatenate([[-np.inf], distinct])[::-1]
    true = np.concatenate([[0.0], np.cumsum(bad[::-1])])
    rejected = true + np.concatenate([[0.0], np.cumsum(good[::-1])])
    # 2 tp / (2 tp + fp + fn), where 2 tp + fp + fn is the rejected plus the defective ones.
    f1 = 2 * true / np.maximum(rejected + bad.sum(), 1)
    return float(thresholds[np.argmax(f1)])


def mcc_interval(counts: Confusion, *, draws: int = 4000, seed: int = 0) -> tuple[float, float]:
    """A 95 % interval of the MCC, for fixed numbers of good and defective items.

    Percentiles of the MCC with recall and FPR drawn from their Jeffreys posteriors, beta
    distributions that have a width also where no item, or each, is rejected. Always contains the
    MCC of the counts.
    """
    rng = np.random.default_rng(seed)
    bad, good = counts.tp + counts.fn, counts.tn + counts.fp
    tp = bad * rng.beta(counts.tp + 0.5, counts.fn + 0.5, draws)
    fp = good * rng.beta(counts.fp + 0.5, counts.tn + 0.5, draws)
    product = (tp + fp) * (good + bad - tp - fp) * good * bad
    found = (tp * (good - fp) - fp * (bad - tp)) / np.sqrt(np.where(product > 0, product, np.inf))
    low, high = np.quantile(found, [0.025, 0.975])
    return min(float(low), counts.mcc), max(float(high), counts.mcc)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _interval(k: int, n: int) -> list[float] | None:
    return list(clopper_pearson(k, n, 0.95)) if n else None
