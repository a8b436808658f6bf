"""Results of a model on each image and each part of a test set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blemish.calibration.views import decide, part_score
from blemish.inspector import Inspector, Look
from blemish.metrics.localised import UNMARKED
from blemish.metrics.pixel import PixelScores


@dataclass(frozen=True)
class ImageResult:
    """One image of the test set, its score, and whether its map's peak lies on its mask.

    `localised` is 1, 0, or -1 where no defect is marked (see `metrics.localised.peak_on_mask`);
    `log_nfa` is what the a-contrario rule says, None for a model that it cannot test.
    """

    image: Path
    mask: Path | None
    category: str
    label: str
    defect: str | None
    part: str
    view: str | None
    score: float
    localised: int = UNMARKED
    log_nfa: float | None = None


@dataclass(frozen=True)
class UnreadableImage:
    """One image of the test set that could not be read, and why."""

    image: Path
    category: str
    label: str
    defect: str | None
    part: str
    view: str | None
    reason: str

    def to_json(self) -> dict[str, str | None]:
        """Its names and the reason."""
        names = {"image": self.image.as_posix(), "part": self.part, "view": self.view}
        return {**names, "reason": self.reason}


@dataclass(frozen=True)
class UnreadableMask:
    """A mask that could not be read, and why; its image counts as one without."""

    mask: Path
    image: Path
    reason: str

    def to_json(self) -> dict[str, str]:
        """Its names and the reason."""
        names = {"mask": self.mask.as_posix(), "image": self.image.as_posix()}
        return {**names, "reason": self.reason}


@dataclass(frozen=True)
class PartResult:
    """One part: the largest score of its images, and the decision; `images` are indices.

    A part with an image that could not be read is one only where another image rejects it.
    """

    part: str
    label: str
    defects: tuple[str, ...]
    score: float
    decision: str
    images: tuple[int, ...]


@dataclass(eq=False)
class ResultAccumulator:
    """Accumulates the results of one category, or of all, image by image.

    `peaks`: the largest value of each map, where any image has a mask; `overlaps`: intersection
    over union of the a-contrario detection with the mask; `hidden`: the number of images whose
    marked defects lie outside of the centre crop.
    """

    pixels: PixelScores
    with_masks: bool
    images: list[ImageResult] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)
    hidden: int = 0
    unreadable: list[UnreadableImage] = field(default_factory=list)

    def add(self, result: ImageResult, look: Look, mask: npt.NDArray[np.bool_] | None) -> None:
        """Add one image; its pixels count where its mask [H, W] is known."""
        self.images.append(result)
        if not self.with_masks:
            return
        self.peaks.append(float(look.map.max()))
        if mask is not None:
            top, left, bottom, right = look.seen
            seen = np.s_[top:bottom, left:right]
            self.pixels.add(look.map[seen], mask[seen], name=str(result.image))
            self.hidden += bool(mask.any() and not mask[seen].any())
            if mask[seen].any() and look.surprise_map is not None:
                self.overlaps.append(_overlap(look.surprise_map[seen] > 0, mask[seen]))


def _overlap(found: npt.NDArray[np.bool_], marked: npt.NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((found & marked).sum() / (found | marked).sum())


def decide_parts(scored: ResultAccumulator, inspector: Inspector) -> list[PartResult]:
    """The decision on each part, at the threshold of the inspector's card.

    Without the parts that are "unreadable".
    """
    members: dict[str, list[int]] = {}
    for index, image in enumerate(scored.images):
        members.setdefault(image.part, []).append(index)
    unread: dict[str, list[str]] = {}
    for lost in scored.unreadable:
        unread.setdefault(lost.part, []).append(lost.view or "")
    parts = [
        _part(name, indices, [scored.images[i] for i in indices], unread.get(name, []), inspector)
        for name, indices in members.items()
    ]
    return [part for part in parts if part.decision != "unreadable"]


def unreadable_parts(scored: ResultAccumulator, parts: Sequence[PartResult]) -> int:
    """How many parts have an image that could not be read, and none that rejects them."""
    return len({lost.part for lost in scored.unreadable} - {part.part for part in parts})


def _part(
    name: str,
    indices: list[int],
    images: list[ImageResult],
    unread: list[str],
    inspector: Inspector,
) -> PartResult:
    scores: dict[str, float] = {}
    for image in images:
        view = image.view or ""
        scores[view] = max(image.score, scores.get(view, -math.inf))
    defects = sorted({image.defect for image in images if image.defect})
    return PartResult(
        name,
        "defective" if any(image.label == "defective" for image in images) else "good",
        tuple(defects),
        part_score(scores.values()),
        decide(scores, inspector.threshold, inspector.required_views, unreadable=unread),
        tuple(indices),
    )
