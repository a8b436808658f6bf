"""Judges: models that find label errors by out-of-fold scores (cross-fitting; Real-IAD, sec. 3).

Each learns from two groups of parts and scores the third. A judge maps embeddings and labels of
some images to one score for each other image; larger means more likely defective.
`defect_log_odds` calibrates the scores of all judges and adds them up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Groups = npt.NDArray[np.int64]
Judge = Callable[[Floats, Flags, Floats], Floats]

RIDGE = 1e-3  # for embeddings with a mean squared length of 1
OF_GAUSSIAN = 100  # principal components that the Gaussian uses
REGULARIZATION = 0.01  # of its covariance, times the mean variance


def ridge(known: Floats, defective: Flags, others: Floats) -> Floats:
    """Ridge regression on the labels, both classes with the same weight; 0 where one is absent."""
    bad = np.count_nonzero(defective)
    if bad in (0, len(defective)):
        return np.zeros(len(others))
    weight = np.where(defective, 0.5 / bad, 0.5 / (len(defective) - bad))
    centre = weight @ known
    centred = known - centre
    weighted = (centred * weight[:, None]).T
    normal = weighted @ centred + RIDGE * np.eye(known.shape[1])
    return np.asarray((others - centre) @ np.linalg.solve(normal, weighted @ defective), np.float64)


def gaussian(known: Floats, defective: Flags, others: Floats) -> Floats:
    """Log of the squared Mahalanobis distance to the images labelled good; 0 for fewer than two."""
    good = known[~defective, :OF_GAUSSIAN]
    if len(good) < 2:
        return np.zeros(len(others))
    covariance = np.atleast_2d(np.cov(good.T))
    scale = max(float(np.trace(covariance)) / len(covariance), 1e-12)
    root = np.linalg.cholesky(covariance + REGULARIZATION * scale * np.eye(len(covariance)))
    away = np.linalg.solve(root, (others[:, :OF_GAUSSIAN] - good.mean(0)).T)
    return np.asarray(np.log(np.maximum((away**2).sum(0), 1e-12)), np.float64)


JUDGES: Mapping[str, Judge] = {"head": ridge, "gaussian": gaussian}


def cross_fitted(judge: Judge, embeddings: Floats, defective: Flags, groups: Groups) -> Floats:
    """Out-of-fold scores [n]: each image is scored by a judge that learnt from the other groups."""
    said = np.zeros(len(embeddings))
    for group in np.unique(groups):
        inside = groups == group
        said[inside] = judge(embeddings[~inside], defective[~inside], embeddings[inside])
    return said


def defect_log_odds(said: Mapping[str, Floats], defective: Flags, groups: Groups) -> Floats:
    """The log-odds [n] of a defect, without the prior.

    A logistic regression on the labels of the other groups turns each judge's scores into log-odds
    (Platt scaling). These are added, as for independent judges (naive Bayes). Without labels of
    both kinds the scores are standardised and added instead.
    """
    total = np.zeros(len(defective))
    for numbers in said.values():
        spread = float(numbers.std())
        if spread == 0:
            continue
        standard = (numbers - numbers.mean()) / spread
        for group in np.unique(groups):
            inside = groups == group
            total[inside] += _log_odds(standard[~inside], defective[~inside], standard[inside])
    return total


def part_means(values: Floats, parts: npt.NDArray[np.intp]) -> Floats:
    """For each image [n] the mean of its part's values; `parts` are the numbers of its parts."""
    return np.asarray((np.bincount(parts, values) / np.bincount(parts))[parts], np.float64)


def prior_log_odds(defective: Flags) -> float:
    """The prior log-odds of a defect, from the labels, with 0.5 added to both counts."""
    bad = float(np.count_nonzero(defective))
    return float(np.log((bad + 0.5) / (len(defective) - bad + 0.5)))


def _log_odds(known: Floats, defective: Flags, others: Floats) -> Floats:
    if defective.all() or not defective.any():
        return others
    slope, start = _logistic(known, defective)
    return np.asarray(slope * others + start - prior_log_odds(defective), np.float64)


def _logistic(x: Floats, defective: Flags, ridge: float = 1e-3) -> tuple[float, float]:
    """Slope and start of a logistic regression on one number, by Newton's method."""
    rows = np.stack([x, np.ones(len(x))], axis=1)
    weights = np.zeros(2)
    penalty = np.array([ridge, 0.0])
    for _ in range(30):
        share = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        gradient = rows.T @ (share - defective) / len(x) + penalty * weights
        curvature = (rows * (share * (1 - share))[:, None]).T @ rows / len(x)
        weights = weights - np.linalg.solve(curvature + np.diag(penalty + 1e-9), gradient)
    return float(weights[0]), float(weights[1])
