"""The decision on a part from the scores of its views; a missing view is never a pass.

Also the robust scale (median, MAD) of each view's scores, which makes views comparable.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blemish.errors import CalibrationError, ImageError
from blemish.metrics.sample import standardise
from blemish.util.finite import is_finite

LEAST_SCORES = 5  # fewer say too little of a view

Decision = Literal["pass", "reject", "incomplete", "unreadable"]


def part_score(view_scores: Iterable[float]) -> float:
    """The score of a part: the largest of its views.

    Raises ImageError for none and for one that is not finite.
    """
    scores = [float(score) for score in view_scores]
    if not scores or not all(map(math.isfinite, scores)):
        raise ImageError(
            "A part has no view, or a view whose score is not finite; take its images again."
        )
    return max(scores)


def missing_views(views: Collection[str], required: Iterable[str]) -> tuple[str, ...]:
    """The required views that are not there, in the order of `required`."""
    return tuple(view for view in required if view not in views)


def decide(
    view_scores: Mapping[str, float],
    threshold: float,
    required: Collection[str] = (),
    *,
    unreadable: Collection[str] = (),
) -> Decision:
    """Decide on one part from the score of each of its views.

    "reject" if any view is above the threshold, else "unreadable" if a picture of one of the views
    in `unreadable` cannot be read, else "incomplete" if a required view (or every view) is missing,
    else "pass". A view that is not required counts like any other. Raises ImageError for a score,
    and CalibrationError for a threshold, that is not finite.
    """
    if not is_finite(threshold):
        raise CalibrationError(
            f"The threshold is {threshold}, which decides nothing; calibrate the model again."
        )
    if view_scores and part_score(view_scores.values()) > threshold:
        return "reject"
    if unreadable:
        return "unreadable"
    if not view_scores or missing_views(view_scores, required):
        return "incomplete"
    return "pass"


@dataclass(frozen=True)
class Scale:
    """Median and median absolute deviation (MAD) of the scores of good images, `scores` of them.

    Raises CalibrationError for one that is not finite, and for a deviation below 0.
    """

    median: float
    mad: float
    scores: int

    def __post_init__(self) -> None:
        """Refuse a scale on which nothing can be measured."""
        if not all(map(is_finite, (self.median, self.mad, self.scores))) or self.mad < 0:
            raise CalibrationError(
                f"A view's scale with the median {self.median} and the deviation {self.mad} "
                "measures nothing; train the model again."
            )

    @classmethod
    def of(cls, scores: ArrayLike) -> Self:
        """The scale of scores float [n], n > 0."""
        values = np.asarray(scores, dtype=np.float64)
        median = np.median(values)
        return cls(float(median), float(np.median(np.abs(values - median))), len(values))


@dataclass(frozen=True)
class ViewScales:
    """The scale of each view, and that of all views pooled."""

    scales: Mapping[str, Scale]
    together: Scale

    @classmethod
    def learn(cls, scores: Sequence[float], views: Sequence[str | None]) -> Self:
        """Learn from out-of-fold scores of good images, one entry per image.

        Raises CalibrationError without scores and for one that is not finite.
        """
        if not len(scores) or not np.isfinite(scores).all():
            raise CalibrationError(
                "The scale of the views needs good parts whose scores are finite; look for NaN "
                "pixels."
            )
        of_view: dict[str, list[float]] = {}
        for score, view in zip(scores, views, strict=True):
            if view is not None:
                of_view.setdefault(view, []).append(score)
        return cls({view: Scale.of(of_view[view]) for view in sorted(of_view)}, Scale.of(scores))

    @property
    def poor(self) -> tuple[str, ...]:
        """The views with too few scores for a scale of their own."""
        return tuple(view for view, s in self.scales.items() if s.scores < LEAST_SCORES)

    def of(self, view: str | None) -> Scale:
        """The scale to measure a view on, with a MAD above 0.

        A view that was not seen, or in too few images, is measured on the scale of all views
        together. A MAD of 0 is replaced by that of all views, and where this is 0 too, by 1.
        """
        own = self.scales.get(view or "")
        scale = own if own is not None and own.scores >= LEAST_SCORES else self.together
        return Scale(scale.median, scale.mad or self.together.mad or 1.0, scale.scores)

    def standardise(self, scores: ArrayLike, views: Sequence[str | None]) -> NDArray[np.float64]:
        """Each score [n] in robust standard deviations above the median of its view."""
        scales = {view: self.of(view) for view in set(views)}
        medians = [scales[view].median for view in views]
        return standardise(scores, medians, [scales[view].mad for view in views])
