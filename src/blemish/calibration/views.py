"""From the scores of a part's views to one decision; a missing view is never a pass."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from blemish.errors import ImageError

Decision = Literal["pass", "reject", "incomplete"]


def part_score(view_scores: Iterable[float]) -> float:
    """The score of a part: the largest of its views. Raises ImageError for none and for NaN."""
    scores = [float(score) for score in view_scores]
    if not scores or any(math.isnan(score) for score in scores):
        raise ImageError("A part has no view, or a view whose score is NaN; take its images again.")
    return max(scores)


def missing_views(views: Collection[str], required: Iterable[str]) -> tuple[str, ...]:
    """The required views that are not there, in the order of `required`."""
    return tuple(view for view in required if view not in views)


def decide(
    view_scores: Mapping[str, float], threshold: float, required: Collection[str] = ()
) -> Decision:
    """Decide on one part from the score of each of its views.

    "reject" if any view is above the threshold, else "incomplete" if a required view (or every
    view) is missing, else "pass". A view that is not required counts like any other. Raises
    ImageError for a NaN score.
    """
    if view_scores and part_score(view_scores.values()) > threshold:
        return "reject"
    if not view_scores or missing_views(view_scores, required):
        return "incomplete"
    return "pass"
