"""The share of hidden defects without inspection: a mixture model of the scores (ours).

The scores of parts labelled good are a mixture of two components. Hidden defects have the score
distribution of the known ones (a kernel density). Good parts have a split Student t distribution,
with one scale below the mode and another above. The model assumes that hidden defects look like
the known ones and that the scores of good parts have one mode. Neither assumption can be checked
from the scores.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from blemish.audit.random_inspection import ShareEstimate

Floats = npt.NDArray[np.float64]

LEAST_KNOWN = 10  # known defects; fewer tell nothing of their spread
LEAST_CALLED_GOOD = 30
SHARES = np.concatenate([[0.0], np.geomspace(0.002, 0.5, 60)])
TAIL = 12.0  # degrees of freedom of the good parts' distribution
FALL = 3.0  # of the log-likelihood at the ends of the interval; 1.92 were the shape truly known
STEPS = 20


def share_from_scores(
    called_good: Floats, known_defects: Floats, *, tail: float = TAIL, fall: float = FALL
) -> ShareEstimate | None:
    """The share of defects among parts labelled good, from one score per part; None for too few.

    The maximum of the profile likelihood over `SHARES`. The interval holds the shares whose
    log-likelihood is less than `fall` below it; that is wider than for a true model. `tail`
    (degrees of freedom) and `fall` are parameters for a sensitivity analysis.
    """
    if len(called_good) < LEAST_CALLED_GOOD or len(known_defects) < LEAST_KNOWN:
        return None
    scores = np.sort(called_good)
    spread = float(scores.std())
    if spread == 0 or float(known_defects.std()) == 0:
        return None
    of_defects = _density(known_defects / spread, scores / spread)
    heights = _profile(scores / spread, of_defects, tail)
    best = int(heights.argmax())
    near = np.flatnonzero(heights >= heights[best] - fall)
    low = 0.0 if near[0] <= 1 else float(SHARES[near[0] - 1])
    high = float(SHARES[min(near[-1] + 1, len(SHARES) - 1)])
    return ShareEstimate(float(SHARES[best]), low, high, 0)


def _density(known: Floats, at: Floats) -> Floats:
    """Gaussian kernel density estimate with Silverman's bandwidth."""
    quartiles = np.quantile(known, [0.25, 0.75])
    width = min(float(known.std()), float(quartiles[1] - quartiles[0]) / 1.34) or float(known.std())
    width *= 1.06 * len(known) ** -0.2
    kernel = np.exp(-0.5 * ((at[:, None] - known) / width) ** 2)
    return np.asarray(kernel.mean(1) / (width * math.sqrt(2 * math.pi)), np.float64)


def _profile(scores: Floats, of_defects: Floats, tail: float) -> Floats:
    """Profile log-likelihood at each of `SHARES`, by expectation maximisation (EM)."""
    law = (float(np.median(scores)), float(scores.std()), float(scores.std()))
    heights = np.empty(len(SHARES))
    for number, share in enumerate(SHARES):
        for _ in range(STEPS):
            good = (1 - share) * _split_student_t(scores, *law, tail)
            total = good + share * of_defects + 1e-300
            law = _fitted(scores, good / total, *law, tail)
        good = (1 - share) * _split_student_t(scores, *law, tail)
        heights[number] = np.log(good + share * of_defects + 1e-300).sum()
    return heights


def _split_student_t(x: Floats, mode: float, left: float, right: float, tail: float) -> Floats:
    """Density of a split Student t distribution: scale `left` below the mode, `right` above."""
    z = np.where(x < mode, (x - mode) / left, (x - mode) / right)
    top = math.exp(math.lgamma((tail + 1) / 2) - math.lgamma(tail / 2)) / math.sqrt(tail * math.pi)
    return np.asarray(2 / (left + right) * top * (1 + z * z / tail) ** (-(tail + 1) / 2))


def _fitted(
    x: Floats, share: Floats, mode: float, left: float, right: float, tail: float
) -> tuple[float, float, float]:
    """Mode and scales for sorted scores that are good with these probabilities (M-step of EM).

    The scales of a split normal distribution follow from its mode in closed form (John 1982); the
    mode is the best of 25 quantiles.
    """
    z = np.where(x < mode, (x - mode) / left, (x - mode) / right)
    weight = share * (tail + 1) / (tail + z * z)
    w0, w1, w2 = (np.cumsum(weight * x**power) for power in (0, 1, 2))
    places = (len(x) * np.linspace(0.2, 0.8, 25)).astype(int)
    modes = x[places]
    below = w2[places] - 2 * modes * w1[places] + modes**2 * w0[places]
    whole = w2[-1] - 2 * modes * w1[-1] + modes**2 * w0[-1]
    sides = np.maximum(np.stack([below, whole - below]), 1e-9)
    roots = np.cbrt(sides).sum(0)
    best = int(roots.argmin())
    scale = math.sqrt(roots[best] / max(float(share.sum()), 1e-9))
    first, second = np.cbrt(sides[:, best]) * scale
    return float(modes[best]), float(first), float(second)
