"""A threshold that keeps a promised false-reject rate: a distribution-free tolerance limit.

Wilks (1941): among n exchangeable good parts, the (n-k)-th smallest score is exceeded by more than
a share p of all good parts with probability at most P(Bin(n, p) <= k). With ties, rejecting only
scores strictly above the threshold can only lower that probability.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from blemish.errors import CalibrationError
from blemish.metrics.bounds import binomial_cdf, upper_limit
from blemish.util.finite import is_finite

LEAST_SHARE = 1e-9  # less takes more good parts than anybody has
MOST_PARTS = 10**11  # more than any promise needs

Method = Literal["held-out", "cross-fitted estimate"]


@dataclass(frozen=True)
class Promise:
    """At most `max_fpr` of good parts are rejected, with this `confidence`; both in (0, 1)."""

    max_fpr: float = 0.01
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Refuse a share that is not in (0, 1) with a CalibrationError."""
        for name, share in (("--max-fpr", self.max_fpr), ("--confidence", self.confidence)):
            if not (is_finite(share) and LEAST_SHARE <= share < 1):
                raise CalibrationError(
                    f"{name} is {share}; give a share above {100 * LEAST_SHARE:g} and below 100 %."
                )

    @classmethod
    def from_text(cls, max_fpr: str, confidence: str) -> Self:
        """Read a promise as a person writes it: "1%" and "95%", or "0.01" and "0.95"."""
        return cls(from_text(max_fpr), from_text(confidence))


@dataclass(frozen=True)
class Calibration:
    """A threshold on the part score, and the upper bound on its false-reject rate.

    upper_bound: the false-reject rate that holds with the promised confidence, at most
    `promise.max_fpr` unless `provisional`. rank: how many of the `good_parts` may score above the
    threshold; None where they are too few for the promise. parts_needed: the fewest good parts that
    suffice. An estimate from cross-fitted scores proves nothing: it is always provisional, and its
    bound is the one that as many held-out parts would have given. Raises CalibrationError for a
    threshold or a bound that is not finite, and for numbers of parts that make no sense.
    """

    threshold: float
    promise: Promise
    good_parts: int
    rank: int | None
    upper_bound: float
    provisional: bool
    parts_needed: int
    method: Method = "held-out"

    def __post_init__(self) -> None:
        """Refuse a threshold that decides nothing."""
        if not (is_finite(self.threshold) and is_finite(self.upper_bound)) or not (
            0 <= self.upper_bound <= 1
        ):
            raise CalibrationError(
                f"A threshold of {self.threshold} with a bound of {self.upper_bound} promises "
                "nothing; run `blemish calibrate` again."
            )
        above = 0 if self.rank is None else self.rank
        if not (
            0 <= above < self.good_parts <= MOST_PARTS and 1 <= self.parts_needed <= MOST_PARTS
        ):
            raise CalibrationError(
                f"{self.good_parts} good parts of which {above} may lie above the threshold, where "
                f"{self.parts_needed} are needed, promise nothing; run `blemish calibrate` again."
            )

    def to_json(self) -> dict[str, Any]:
        """One flat dictionary of numbers and words, `max_fpr` and `confidence` among them."""
        values = asdict(self)
        return {**values.pop("promise"), **values}

    def sentence(self) -> str:
        """The promise of the threshold and its condition, in words."""
        promise, n = self.promise, self.good_parts
        parts = "1 good part" if n == 1 else f"{n} good parts"
        bound = f"at most {percent_up(self.upper_bound)}"
        confidence = f"{100 * promise.confidence:.6g} % confidence"
        condition = (
            "This holds for parts exchangeable with these: the same product, process, camera and "
            "light, in no order that matters."
        )
        more = (
            f"To promise at most {100 * promise.max_fpr:.6g} % takes at least "
            f"{self.parts_needed} good parts held out of training."
        )
        if self.method == "cross-fitted estimate":
            return (
                f"The threshold is an estimate from the cross-fitted scores of {parts}; "
                f"no false-reject rate is proven. {more}"
            )
        if self.provisional:
            return (
                f"The threshold is provisional: the largest score of {parts} held out of "
                f"training, which proves a false-reject rate of {bound} with {confidence}. "
                f"{more} {condition}"
            )
        return (
            f"With {confidence}, {bound} of good parts are rejected: the threshold was set on "
            f"{parts} held out of training, of which {self.rank or 'none'} may lie above it. "
            f"{condition}"
        )


def rank(n: int, max_fpr: float, confidence: float) -> int | None:
    """The largest k with P(Bin(n, max_fpr) <= k) <= 1 - confidence; None if k = 0 is too large.

    k is the number of good parts that may lie above the threshold. It depends on no score.
    """
    k = bisect_right(range(n), 1 - confidence, key=lambda k: binomial_cdf(k, n, max_fpr)) - 1
    return k if k >= 0 else None


def parts_needed(max_fpr: float, confidence: float) -> int:
    """The fewest good parts whose largest score keeps the promise; 299 for 1 % at 95 %.

    The smallest n with (1 - max_fpr)^n <= 1 - confidence.
    """
    n = max(1, math.ceil(math.log(1 - confidence) / math.log1p(-max_fpr)))
    # The quotient may be rounded across an integer; `rank` has the last word.
    if n > 1 and rank(n - 1, max_fpr, confidence) is not None:
        return n - 1
    return n if rank(n, max_fpr, confidence) is not None else n + 1


def upper_bound(n: int, k: int, confidence: float) -> float:
    """The false-reject rate that the (n-k)-th smallest of n good scores keeps, at `confidence`.

    For k = 0 it is 1 - (1 - confidence)^(1/n).
    """
    return upper_limit(k, n, 1 - confidence)


def calibrate(part_scores: ArrayLike, promise: Promise, method: Method = "held-out") -> Calibration:
    """Set the threshold from the scores float [n] of good parts; reject if and only if above it.

    The threshold is the (n-k)-th smallest score, never interpolated, with k from `rank`. Where n
    is too small for any k it is the largest score, and provisional. Raises CalibrationError
    without scores and for a score that is not finite.
    """
    scores = np.sort(np.asarray(part_scores, dtype=np.float64).ravel())
    n = len(scores)
    if n == 0:
        raise CalibrationError(
            "No good part was held out to set the threshold on; add good parts or hold some out."
        )
    if not np.isfinite(scores).all():
        raise CalibrationError(
            "The score of a held-out good part is NaN or infinite; look for NaN pixels in it."
        )
    k = rank(n, promise.max_fpr, promise.confidence)
    return Calibration(
        threshold=float(scores[n - 1 - (k or 0)]),
        promise=promise,
        good_parts=n,
        rank=k,
        upper_bound=upper_bound(n, k or 0, promise.confidence),
        provisional=k is None or method != "held-out",
        parts_needed=parts_needed(promise.max_fpr, promise.confidence),
        method=method,
    )


def from_text(text: str) -> float:
    """Read "1%", "1 %" or "0.01" as a share in (0, 1); else raises CalibrationError."""
    if not isinstance(text, str):
        raise CalibrationError(f"{text!r} is no text of a share; write it like 1% or 0.01.")
    number = text.strip()
    try:
        share = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise CalibrationError(
            f"{text!r} is no share; write it like 1% or 0.01, above 0 and below 1."
        )
    return share


def percent_up(share: float) -> str:
    """A share in percent, rounded upwards to two decimals, since it is an upper bound."""
    return f"{math.ceil(share * 1e4 - 1e-6) / 100:g} %"
