"""From the scores of held-out good images to the threshold on parts and what goes with it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blemish.calibration.promise import Calibration, Method, Promise, calibrate
from blemish.calibration.views import missing_views
from blemish.errors import CalibrationError

log = logging.getLogger("blemish")


@dataclass(frozen=True)
class HeldOut:
    """What one held-out good image scored; `peak` is the largest value of its map."""

    part: str
    view: str | None
    score: float
    peak: float


def usual_views(views_of: dict[str, set[str]]) -> tuple[str, ...]:
    """The views that at least half of the parts have: without them, no part passes."""
    counts = Counter(view for views in views_of.values() for view in views)
    return tuple(sorted(view for view, count in counts.items() if 2 * count >= len(views_of)))


def calibrate_parts(
    images: Sequence[HeldOut], promise: Promise, method: Method = "held-out"
) -> tuple[Calibration, dict[str, Any]]:
    """The calibration on whole parts, and the rest of the card's entry on it.

    A part that lacks a usual view is left out: its largest score would be too small. The same
    rank, taken of the peaks of the maps, gives `map_threshold`, above which a place is a region.
    Raises CalibrationError when no part is left.
    """
    parts: dict[str, list[HeldOut]] = {}
    for image in images:
        parts.setdefault(image.part, []).append(image)
    views_of = {
        part: {image.view for image in of_part if image.view is not None}
        for part, of_part in parts.items()
    }
    required = usual_views(views_of)
    whole = {part: v for part, v in parts.items() if not missing_views(views_of[part], required)}
    if parts and not whole:
        raise CalibrationError(
            f"Every held-out part lacks one of the views {', '.join(required)}; add their images."
        )
    if left_out := len(parts) - len(whole):
        log.warning("%d held-out parts lack a view and do not count for the threshold", left_out)
    calibration = calibrate(
        [max(image.score for image in of_part) for of_part in whole.values()], promise, method
    )
    peaks = calibrate(
        [max(image.peak for image in of_part) for of_part in whole.values()], promise, method
    )
    details = {
        "unit": "part",
        "map_threshold": peaks.threshold,
        "required_views": list(required),
        "parts_left_out": left_out,
        "scores": [
            {
                "part": part,
                "views": [[image.view, image.score, image.peak] for image in of_part],
            }
            for part, of_part in sorted(whole.items())
        ],
    }
    return calibration, details
