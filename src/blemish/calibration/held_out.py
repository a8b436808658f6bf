"""From the scores of held-out good images to the threshold on parts and what goes with it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blemish.calibration.promise import Calibration, Method, Promise, calibrate
from blemish.calibration.views import missing_views
from blemish.errors import CalibrationError
from blemish.finite import is_finite

log = logging.getLogger("blemish")


@dataclass(frozen=True)
class HeldOut:
    """What one held-out good image scored; `peak` is the largest value of its map.

    Raises CalibrationError for one that is not finite.
    """

    part: str
    view: str | None
    score: float
    peak: float
    category: str = ""

    def __post_init__(self) -> None:
        """Refuse what no threshold can be set on: a maximum over views may drop a NaN."""
        if not (is_finite(self.score) and is_finite(self.peak)):
            raise CalibrationError(
                f"The score of the held-out good part {self.part} is not finite; look for NaN "
                "pixels in it."
            )


@dataclass(frozen=True)
class WholeParts:
    """The images of each part that lacks no usual view, which are `required`."""

    parts: tuple[tuple[HeldOut, ...], ...]
    required: tuple[str, ...]
    left_out: int


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
    Where the parts are of several categories, the calibration pools them, `required_views` are
    those that every category requires, and `categories` holds the entry of each by itself.
    Raises CalibrationError when no part is left.
    """
    names = sorted({image.category for image in images})
    if len(names) < 2:
        return _calibrated(_whole_parts(images), promise, method)
    whole = {
        name: _whole_parts([image for image in images if image.category == name]) for name in names
    }
    common = set.intersection(*(set(of_one.required) for of_one in whole.values()))
    pooled = WholeParts(
        tuple(part for of_one in whole.values() for part in of_one.parts),
        tuple(sorted(common)),
        sum(of_one.left_out for of_one in whole.values()),
    )
    calibration, details = _calibrated(pooled, promise, method)
    details["scores"] = [
        {"category": part[0].category, **entry}
        for part, entry in zip(pooled.parts, details["scores"], strict=True)
    ]
    details["categories"] = {
        name: _entry(*_calibrated(of_one, promise, method)) for name, of_one in whole.items()
    }
    return calibration, details


def of_category(calibration: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A card's entry on the calibration as it is for one category of several.

    Raises CalibrationError for a category without a threshold of its own.
    """
    categories: Mapping[str, Any] = calibration.get("categories", {})
    if not categories:
        raise CalibrationError(
            f"The model learnt one category and has one threshold; leave out --category {name}."
        )
    if name not in categories:
        raise CalibrationError(
            f"The model has no threshold for a category {name!r}; it has for "
            f"{', '.join(categories)}."
        )
    rest = {key: value for key, value in calibration.items() if key != "categories"}
    scores = [entry for entry in calibration["scores"] if entry["category"] == name]
    return {**rest, **categories[name], "scores": scores}


def _whole_parts(images: Sequence[HeldOut]) -> WholeParts:
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
    return WholeParts(tuple(tuple(whole[part]) for part in sorted(whole)), required, left_out)


def _calibrated(
    whole: WholeParts, promise: Promise, method: Method
) -> tuple[Calibration, dict[str, Any]]:
    calibration = calibrate(
        [max(image.score for image in part) for part in whole.parts], promise, method
    )
    peaks = calibrate([max(image.peak for image in part) for part in whole.parts], promise, method)
    details = {
        "unit": "part",
        "map_threshold": peaks.threshold,
        "required_views": list(whole.required),
        "parts_left_out": whole.left_out,
        "scores": [
            {
                "part": part[0].part,
                "views": [[image.view, image.score, image.peak] for image in part],
            }
            for part in whole.parts
        ],
    }
    return calibration, details


def _entry(calibration: Calibration, details: Mapping[str, Any]) -> dict[str, Any]:
    """What a category's entry says; its scores stand among those of all."""
    said = {**calibration.to_json(), **details}
    return {key: value for key, value in said.items() if key != "scores"}
