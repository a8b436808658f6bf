"""Calibrate the threshold on the calibration set: the scores of held-out good parts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from blemish.calibration.promise import (
    Calibration,
    Method,
    Promise,
    calibrate,
    percent_up,
    upper_bound,
)
from blemish.calibration.views import missing_views
from blemish.errors import CalibrationError
from blemish.util.finite import is_finite
from blemish.util.typed_json import Count, absent

log = logging.getLogger("blemish")


@dataclass(frozen=True)
class HeldOut:
    """The score of one image of the calibration set; `peak` is the largest value of its map.

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
    """The images of each complete part: one that has every view in `required`."""

    parts: tuple[tuple[HeldOut, ...], ...]
    required: tuple[str, ...]
    left_out: int


@dataclass(frozen=True, kw_only=True)
class PartScores:
    """A part of the calibration set: view, score and peak of the map of each of its images."""

    category: str | None = absent()
    part: str
    views: tuple[tuple[str | None, float, float], ...]


@dataclass(frozen=True, kw_only=True)
class PartCalibration:
    """A `Calibration` on the scores of complete parts, and what else a decision on parts needs.

    `map_threshold`: the value of a map above which pixels form a region; `required_views`: a part
    that lacks one of them does not pass; `parts_left_out`: the number of held-out parts that lacked
    one; `copies`: of parts that do not count, because another shows the same pixels; `scores`: the
    calibration set, of which `near_copies` look like a near copy of another part. With several
    categories, all of this is for the categories pooled, `required_views` are those that every
    category requires, and `categories` holds the calibration of each, without its scores. Raises
    CalibrationError for a number that is not finite.
    """

    max_fpr: float
    confidence: float
    threshold: float
    good_parts: int
    rank: int | None
    upper_bound: float
    provisional: bool
    parts_needed: int
    method: Method
    unit: str = "part"
    map_threshold: float
    required_views: tuple[str, ...]
    parts_left_out: Count
    copies: Count = absent(0)
    near_copies: Count = absent(0)
    scores: tuple[PartScores, ...] = absent(())
    categories: dict[str, PartCalibration] = absent(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a threshold, a bound or a promise that decides nothing."""
        _ = self.limit
        if not is_finite(self.map_threshold):
            raise CalibrationError(
                f"A map threshold of {self.map_threshold} shows nothing; run `blemish calibrate` "
                "again."
            )

    @property
    def limit(self) -> Calibration:
        """The threshold and its bound alone."""
        names = [field.name for field in fields(Calibration) if field.name != "promise"]
        promise = Promise(self.max_fpr, self.confidence)
        return Calibration(promise=promise, **{name: getattr(self, name) for name in names})

    @property
    def counted_once(self) -> float:
        """The upper bound as it would be if near copies counted once, or not where learnt."""
        parts = self.good_parts - self.near_copies
        return upper_bound(max(parts, 0), self.rank or 0, self.confidence)

    def near_copies_sentence(self) -> str | None:
        """How many of the parts look like near copies, and what they leave of the bound."""
        if not (number := self.near_copies):
            return None
        look = "looks like a near copy of another" if number == 1 else "look like near copies"
        return (
            f"{number} of these {self.good_parts} parts {look}: if they counted once, the bound "
            f"would be {percent_up(self.counted_once)} instead of {percent_up(self.upper_bound)}."
        )

    def of_category(self, name: str) -> PartCalibration:
        """The calibration of one category of several.

        Raises CalibrationError for a category without a threshold of its own.
        """
        if not self.categories:
            raise CalibrationError(
                f"The model learnt one category and has one threshold; leave out --category {name}."
            )
        if name not in self.categories:
            raise CalibrationError(
                f"The model has no threshold for a category {name!r}; it has for "
                f"{', '.join(self.categories)}."
            )
        scores = tuple(entry for entry in self.scores if entry.category == name)
        return replace(self.categories[name], scores=scores)


def usual_views(views_of: dict[str, set[str]]) -> tuple[str, ...]:
    """The views that at least half of the parts have: without them, no part passes."""
    counts = Counter(view for views in views_of.values() for view in views)
    return tuple(sorted(view for view, count in counts.items() if 2 * count >= len(views_of)))


def calibrate_parts(
    images: Sequence[HeldOut], promise: Promise, method: Method = "held-out"
) -> PartCalibration:
    """Calibrate on complete parts; with several categories, pooled and each alone.

    A part that lacks a usual view is left out: its largest score would be too small. The same
    rank among the peaks of the maps gives `map_threshold`. Raises CalibrationError when no part is
    left.
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
    of_each = {name: _calibrated(of_one, promise, method) for name, of_one in whole.items()}
    together = _calibrated(pooled, promise, method)
    return replace(
        together,
        scores=tuple(
            replace(entry, category=part[0].category)
            for part, entry in zip(pooled.parts, together.scores, strict=True)
        ),
        categories={name: replace(own, scores=()) for name, own in of_each.items()},
    )


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


def _calibrated(whole: WholeParts, promise: Promise, method: Method) -> PartCalibration:
    found = calibrate([max(image.score for image in part) for part in whole.parts], promise, method)
    peaks = calibrate([max(image.peak for image in part) for part in whole.parts], promise, method)
    return PartCalibration(
        **found.to_json(),
        map_threshold=peaks.threshold,
        required_views=whole.required,
        parts_left_out=whole.left_out,
        scores=tuple(
            PartScores(
                part=part[0].part,
                views=tuple((image.view, image.score, image.peak) for image in part),
            )
            for part in whole.parts
        ),
    )
