"""Run a model over a labelled data set: scores, decisions by part, and every figure of them."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blemish.calibration.views import decide, part_score
from blemish.dataset import Dataset, Row, ensure_sound
from blemish.detectors.base import Progress, ShowProgress
from blemish.errors import DatasetError
from blemish.images import read_mask, read_rgb
from blemish.inspector import Inspector, Look
from blemish.metrics.decision import Confusion, confusion, oracle_f1_threshold
from blemish.metrics.image import auroc, average_precision, bootstrap_auroc
from blemish.metrics.localised import UNMARKED, localised_rates, peak_on_mask
from blemish.metrics.pixel import PixelScores
from blemish.metrics.sample import (
    Aggregation,
    Alone,
    rejected_alone,
    sample_scores,
    view_rankings,
)

Floats = npt.NDArray[np.float32]


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
class PartResult:
    """One part: the largest score of its images, and the decision; `images` are indices."""

    part: str
    label: str
    defects: tuple[str, ...]
    score: float
    decision: str
    images: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model did on a test set; `figures` is what `evaluate --json` writes."""

    images: list[ImageResult]
    parts: list[PartResult]
    figures: dict[str, Any]
    card: dict[str, Any]
    inspector: Inspector

    def look(
        self, index: int
    ) -> tuple[npt.NDArray[np.uint8], Floats, npt.NDArray[np.bool_] | None]:
        """Picture [H, W, 3], map [H, W] and mask [H, W] of one image, computed again."""
        image = self.images[index]
        rgb = read_rgb(image.image, self.inspector.recipe.window)
        mask = None if image.mask is None else read_mask(image.mask, rgb.shape[:2])
        return rgb, self.inspector.look(rgb).map, mask


def evaluate(
    inspector: Inspector, data: Dataset, *, progress: ShowProgress | None = None
) -> Evaluation:
    """Score the test images of `data`, decide on its parts, and compute the figures.

    Maps go to disk as they come, so memory does not grow with the images. A centre crop is measured
    as papers do: pixel figures are those of the cropped maps and masks. Whether a peak lies on its
    mask is asked of the whole mask. Raises DatasetError without labelled test images, and for a
    mask of another size.
    """
    ensure_sound(data, training=False)
    rows = [row for row in data.split("test").rows() if row.label is not None]
    if not rows:
        raise DatasetError(
            f"{data.root} has no labelled test images; put them into test/good and test/<defect>"
        )
    with_masks = any(row.mask is not None for row in rows)
    images: list[ImageResult] = []
    peaks: list[float] = []  # the largest value of each map
    overlaps: list[float] = []  # of what is surprising with what is marked
    hidden = 0
    started, inspecting = time.monotonic(), 0.0
    with PixelScores() as pixels:
        for done, row in enumerate(rows, 1):
            start = time.perf_counter()
            look = inspector.look(row.image)
            inspecting += time.perf_counter() - start
            localised = UNMARKED
            if with_masks:
                peaks.append(float(look.map.max()))
                mask = _mask(row, look.shape)
                if mask is not None:
                    top, left, bottom, right = look.seen
                    seen = np.s_[top:bottom, left:right]
                    pixels.add(look.map[seen], mask[seen], name=str(row.image))
                    localised = peak_on_mask(look.map, mask)
                    hidden += bool(mask.any() and not mask[seen].any())
                    if mask[seen].any() and look.surprise_map is not None:
                        overlaps.append(_overlap(look.surprise_map[seen] > 0, mask[seen]))
            images.append(_result(row, look, localised))
            if progress:
                progress(Progress("evaluating", done, len(rows)))
        pixel = {
            **_pixel_figures(pixels, images, peaks, inspector.threshold),
            "hidden": hidden if with_masks else None,
        }
    parts = _parts(images, inspector)
    figures = {
        "image": _image_figures(images),
        "pixel": pixel,
        "sample": _sample_figures(images, parts, inspector) if data.has_parts else None,
        "decision": _decision_figures(parts, inspector),
        **_a_contrario_figures(images, parts, overlaps),
        "oracle_f1": _oracle_figures(parts),
        "defects": _recall_by_defect(parts),
        "seconds": time.monotonic() - started,
        "images_per_second": len(images) / max(inspecting, 1e-9),
        "data": {"name": data.name, "fingerprint": data.fingerprint(), **data.counts()},
        "model": inspector.name,
    }
    return Evaluation(images, parts, figures, dict(inspector.card), inspector)


def _result(row: Row, look: Look, localised: int) -> ImageResult:
    return ImageResult(
        row.image,
        row.mask,
        row.category,
        row.label or "",
        row.defect,
        row.part,
        row.view,
        look.score,
        localised,
        None if look.surprise is None else look.surprise.log_nfa,
    )


def _overlap(found: npt.NDArray[np.bool_], marked: npt.NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((found & marked).sum() / (found | marked).sum())


def _mask(row: Row, shape: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
    """None for a defect without a mask: its pixels are not known, and are no background."""
    if row.mask is not None:
        return read_mask(row.mask, shape)
    return np.zeros(shape, bool) if row.label == "good" else None


def _parts(images: list[ImageResult], inspector: Inspector) -> list[PartResult]:
    members: dict[str, list[int]] = {}
    for index, image in enumerate(images):
        members.setdefault(image.part, []).append(index)
    return [
        _part(name, indices, [images[i] for i in indices], inspector)
        for name, indices in members.items()
    ]


def _part(
    name: str, indices: list[int], images: list[ImageResult], inspector: Inspector
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
        decide(scores, inspector.threshold, inspector.required_views),
        tuple(indices),
    )


def _labels(results: list[ImageResult] | list[PartResult]) -> npt.NDArray[np.bool_]:
    return np.array([result.label == "defective" for result in results])


def _scores(results: list[ImageResult] | list[PartResult]) -> npt.NDArray[np.float64]:
    return np.array([result.score for result in results])


def _image_figures(images: list[ImageResult]) -> dict[str, Any]:
    scores, labels = _scores(images), _labels(images)
    groups = np.array([image.part for image in images])
    interval = bootstrap_auroc(scores, labels, groups) if len(images) else None
    return {
        "auroc": auroc(scores, labels),
        "auroc_interval": interval,
        "average_precision": average_precision(scores, labels),
        "n_good": int((~labels).sum()),
        "n_defective": int(labels.sum()),
    }


def _pixel_figures(
    pixels: PixelScores, images: list[ImageResult], peaks: list[float], threshold: float
) -> dict[str, float | None]:
    f1 = _oracle_threshold(np.array(peaks), _labels(images)) if peaks else None
    return {
        "auroc": pixels.auroc(),
        "aupro": pixels.aupro(),
        "pro_at_f1": None if f1 is None else pixels.pro_at(f1),
        "fpr_at_f1": None if f1 is None else pixels.fpr_at(f1),
        **localised_rates([image.localised for image in images], _scores(images) > threshold),
    }


def _sample_figures(
    images: list[ImageResult], parts: list[PartResult], inspector: Inspector
) -> dict[str, Any]:
    scores, labels = _scores(images), _labels(images)
    groups = np.array([image.part for image in images])

    def area(scores: npt.NDArray[np.float64], aggregation: Aggregation) -> float | None:
        samples = sample_scores(scores, groups, labels, aggregation)
        return auroc(samples.scores, samples.labels)

    scales = inspector.view_scales
    views = [image.view for image in images]
    highest = sample_scores(scores, groups, labels, "max")
    return {
        "auroc": area(scores, "max"),
        "auroc_interval": bootstrap_auroc(highest.scores, highest.labels, highest.parts),
        "aggregation": "max",
        "auroc_mean": area(scores, "mean"),
        "auroc_calibrated": scales and area(scales.standardise(scores, views), "max"),
        "views": _view_figures(images, parts, inspector.threshold),
    }


def _view_figures(
    images: list[ImageResult], parts: list[PartResult], threshold: float
) -> dict[str, dict[str, Any]]:
    """Each view by itself, and what it alone rejects of the parts that were decided on."""
    rankings = view_rankings(_scores(images), _labels(images), _views(images))
    decided = [
        images[index] for part in parts if part.decision != "incomplete" for index in part.images
    ]
    groups = np.array([image.part for image in decided])
    alone = rejected_alone(_scores(decided), _labels(decided), groups, _views(decided), threshold)
    figures = {}
    for view, ranking in rankings.items():
        rejected = alone.get(view, Alone())
        figures[view] = {
            **dataclasses.asdict(ranking),
            "caught_alone": rejected.caught,
            "false_rejects_alone": rejected.false_rejects,
        }
    figures.pop("", None)  # images without the name of a view
    return figures


def _views(images: list[ImageResult]) -> npt.NDArray[np.str_]:
    return np.array([image.view or "" for image in images], dtype=np.str_)


def _decision_figures(parts: list[PartResult], inspector: Inspector) -> dict[str, Any]:
    """Counts of the parts that were decided on; those that lack a view stand beside them."""
    decided = [part for part in parts if part.decision != "incomplete"]
    calibration = inspector.card["calibration"]
    promise = {
        key: calibration[key]
        for key in (
            "max_fpr",
            "confidence",
            "upper_bound",
            "good_parts",
            "provisional",
            "parts_needed",
            "method",
        )
    }
    counts = confusion(_scores(decided), _labels(decided), inspector.threshold)
    return {
        "threshold": inspector.threshold,
        "promise": promise,
        "unit": "part",
        "incomplete": len(parts) - len(decided),
        **counts.to_json(),
    }


def _a_contrario_figures(
    images: list[ImageResult], parts: list[PartResult], overlaps: list[float]
) -> dict[str, Any]:
    """The decisions at log10 NFA < 0, whole parts only; nothing for a model that has no NFA.

    `iou` is the mean over the images with a marked defect, None without any.
    """
    logs = np.array([np.nan if image.log_nfa is None else image.log_nfa for image in images])
    if np.isnan(logs).all():
        return {}
    decided = [part for part in parts if part.decision != "incomplete"]
    least = [-logs[list(part.images)].min() for part in decided]
    counts = confusion(np.array(least), _labels(decided), 0.0)
    iou = float(np.mean(overlaps)) if overlaps else None
    return {"a_contrario": {"unit": "part", **counts.to_json(), "iou": iou}}


def _oracle_figures(parts: list[PartResult]) -> dict[str, Any] | None:
    """The threshold with the best F1 on this very test set: for comparison with papers only."""
    scores, labels = _scores(parts), _labels(parts)
    threshold = _oracle_threshold(scores, labels)
    if threshold is None:
        return None
    counts: Confusion = confusion(scores, labels, threshold)
    return {"threshold": threshold if math.isfinite(threshold) else None, **counts.to_json()}


def _oracle_threshold(
    scores: npt.NDArray[np.float64], labels: npt.NDArray[np.bool_]
) -> float | None:
    return oracle_f1_threshold(scores, labels) if labels.any() and not labels.all() else None


def _recall_by_defect(parts: list[PartResult]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for part in parts:
        for defect in part.defects:
            entry = found.setdefault(defect, {"parts": 0, "rejected": 0})
            entry["parts"] += 1
            entry["rejected"] += part.decision == "reject"
    return dict(sorted(found.items()))
