"""One score per part from the scores of its views (Real-IAD calls a part a sample).

And for each view: its AUROC, and the parts that it alone rejects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blemish.errors import DatasetError
from blemish.metrics.image import auroc, checked

Aggregation = Literal["max", "mean"]
SIGMAS = 1.4826  # MADs in a standard deviation, for a normal distribution


@dataclass(frozen=True)
class SampleScores:
    """Parts [k] in sorted order, their scores float64 [k] and labels bool [k]."""

    parts: NDArray[Any]
    scores: NDArray[np.float64]
    labels: NDArray[np.bool_]


@dataclass(frozen=True)
class ViewRanking:
    """The AUROC of one view's images, each by its own label; None when one class is absent."""

    auroc: float | None
    n_good: int
    n_defective: int


@dataclass(frozen=True)
class SoleRejections:
    """Parts that one view alone rejects: defective ones (caught) and good ones."""

    caught: int = 0
    false_rejects: int = 0


def sample_scores(
    scores: ArrayLike, parts: ArrayLike, labels: ArrayLike, aggregation: Aggregation = "max"
) -> SampleScores:
    """Combine views into parts: the score is the maximum (Real-IAD) or the mean over the views.

    scores, parts and labels are [n], one entry per view. A part is defective if any view is.
    """
    values, defective = checked(scores, labels)
    names, part_of = np.unique(np.asarray(parts), return_inverse=True)
    if part_of.shape != values.shape:
        raise DatasetError(f"{len(values)} scores need as many parts, not {part_of.shape}.")
    if aggregation == "max":
        combined = np.full(len(names), -np.inf)
        np.maximum.at(combined, part_of, values)
    elif aggregation == "mean":
        combined = np.bincount(part_of, values) / np.bincount(part_of)
    else:
        raise DatasetError(f"Views can be combined by 'max' or 'mean', not by {aggregation!r}.")
    part_is_defective = np.bincount(part_of, defective, minlength=len(names)) > 0
    return SampleScores(names, combined, part_is_defective)


def standardise(scores: ArrayLike, medians: ArrayLike, mads: ArrayLike) -> NDArray[np.float64]:
    """How many robust standard deviations each score lies above its median: float64 [n].

    scores, medians and mads (median absolute deviations, above 0) are [n] or numbers. Raises
    DatasetError for a mad that is not above 0.
    """
    spread = np.asarray(mads, dtype=np.float64)
    if not (spread > 0).all():
        raise DatasetError("A median absolute deviation of 0 is no unit to measure scores in.")
    above = np.asarray(scores, dtype=np.float64) - np.asarray(medians, dtype=np.float64)
    return np.asarray(above / (SIGMAS * spread), dtype=np.float64)


def view_rankings(scores: ArrayLike, labels: ArrayLike, views: ArrayLike) -> dict[str, ViewRanking]:
    """The ranking of each view's images among themselves, by the view's name, sorted.

    scores, labels and views are [n], one entry per image.
    """
    values, defective = checked(scores, labels)
    names, order, starts = _grouped(views, len(values))
    rankings = {}
    for name, rows in zip(names, np.split(order, starts), strict=True):
        bad = int(defective[rows].sum())
        area = auroc(values[rows], defective[rows])
        rankings[str(name)] = ViewRanking(area, len(rows) - bad, bad)
    return rankings


def rejected_alone(
    scores: ArrayLike, labels: ArrayLike, parts: ArrayLike, views: ArrayLike, threshold: float
) -> dict[str, SoleRejections]:
    """The parts that each view rejects and no other view does, by the view's name, sorted.

    scores, labels, parts and views are [n], one entry per image. A part is defective if any of its
    images is; several images from one view count as one.
    """
    values, defective = checked(scores, labels)
    names, view_of = np.unique(np.asarray(views), return_inverse=True)
    _, part_of = np.unique(np.asarray(parts), return_inverse=True)
    if not view_of.shape == part_of.shape == values.shape:
        raise DatasetError(f"{len(values)} scores need as many parts and views.")
    part_is_defective = np.bincount(part_of, defective) > 0
    above = values > threshold
    part, view = np.unique(np.stack([part_of[above], view_of[above]]), axis=1)
    alone = np.bincount(part, minlength=len(part_is_defective))[part] == 1
    bad = part_is_defective[part[alone]]
    caught = np.bincount(view[alone][bad], minlength=len(names))
    false = np.bincount(view[alone][~bad], minlength=len(names))
    counts = zip(names, caught, false, strict=True)
    return {str(name): SoleRejections(int(c), int(f)) for name, c, f in counts}


def _grouped(views: ArrayLike, n: int) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.intp]]:
    """The distinct views, the rows [n] view by view, and where each view but the first begins."""
    names, view_of, counts = np.unique(np.asarray(views), return_inverse=True, return_counts=True)
    if view_of.shape != (n,):
        raise DatasetError(f"{n} scores need as many views, not {view_of.shape}.")
    return names, np.argsort(view_of, kind="stable"), np.cumsum(counts)[:-1]
