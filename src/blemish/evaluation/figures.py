"""The figures of an evaluation, and their mean over categories."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blemish.evaluation.results import (
    ImageResult,
    PartResult,
    ResultAccumulator,
    unreadable_parts,
)
from blemish.inspector import Inspector
from blemish.metrics.decision import Confusion, confusion, oracle_f1_threshold
from blemish.metrics.image import (
    FPR_5,
    auroc,
    average_precision,
    bootstrap_auroc,
    bootstrap_recall_at_fpr,
    recall_at_fpr,
)
from blemish.metrics.localised import localised_rates
from blemish.metrics.sample import (
    Aggregation,
    SoleRejections,
    rejected_alone,
    sample_scores,
    view_rankings,
)

MEANS = {
    "image": ("auroc", "average_precision", "recall_at_fpr_5"),
    "pixel": ("auroc", "aupro", "pro_at_f1", "localised"),
    "sample": ("auroc",),
    "decision": ("recall", "fpr", "precision", "mcc"),
}


def figures_of(
    scored: ResultAccumulator, parts: list[PartResult], inspector: Inspector, with_parts: bool
) -> dict[str, Any]:
    """The figures of one category, or of all pooled, at the threshold of the inspector's card.

    Those of images and pixels are of every image that could be read; those of parts know no
    unreadable part.
    """
    images = scored.images
    return {
        "image": _image_figures(images),
        "pixel": _pixel_figures(scored, inspector.threshold),
        "sample": _sample_figures(images, parts, inspector) if with_parts else None,
        "decision": _decision_figures(parts, inspector, unreadable_parts(scored, parts)),
        **_a_contrario_figures(images, parts, scored.overlaps),
        "oracle_f1": _oracle_figures(parts),
        "defects": _recall_by_defect(parts),
    }


def mean_figures(categories: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The mean over categories of each figure in `MEANS`; None where one of them lacks it."""
    means: dict[str, Any] = {}
    for group, keys in MEANS.items():
        of_each = [figures[group] or {} for figures in categories.values()]
        means[group] = {key: _mean([values.get(key) for values in of_each]) for key in keys}
    return means


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if len(known) == len(values) else None


def _labels(results: list[ImageResult] | list[PartResult]) -> npt.NDArray[np.bool_]:
    return np.array([result.label == "defective" for result in results], dtype=np.bool_)


def _scores(results: list[ImageResult] | list[PartResult]) -> npt.NDArray[np.float64]:
    return np.array([result.score for result in results], dtype=np.float64)


def _image_figures(images: list[ImageResult]) -> dict[str, Any]:
    scores, labels = _scores(images), _labels(images)
    groups = np.array([image.part for image in images])
    return {
        "auroc": auroc(scores, labels),
        "auroc_interval": bootstrap_auroc(scores, labels, groups) if len(images) else None,
        "average_precision": average_precision(scores, labels),
        "recall_at_fpr_5": recall_at_fpr(scores, labels, FPR_5),
        "recall_at_fpr_5_interval": (
            bootstrap_recall_at_fpr(scores, labels, groups, FPR_5) if len(images) else None
        ),
        "n_good": int((~labels).sum()),
        "n_defective": int(labels.sum()),
    }


def _pixel_figures(scored: ResultAccumulator, threshold: float) -> dict[str, float | None]:
    pixels, images = scored.pixels, scored.images
    f1 = _oracle_threshold(np.array(scored.peaks), _labels(images)) if scored.peaks else None
    return {
        "auroc": pixels.auroc(),
        "aupro": pixels.aupro(),
        "pro_at_f1": None if f1 is None else pixels.pro_at(f1),
        "fpr_at_f1": None if f1 is None else pixels.fpr_at(f1),
        **localised_rates([image.localised for image in images], _scores(images) > threshold),
        "hidden": scored.hidden if scored.with_masks else None,
    }


def _sample_figures(
    images: list[ImageResult], parts: list[PartResult], inspector: Inspector
) -> dict[str, Any]:
    known = {part.part for part in parts}
    whole = [image for image in images if image.part in known]
    scores, labels = _scores(whole), _labels(whole)
    groups = np.array([image.part for image in whole], dtype=np.str_)

    def area(scores: npt.NDArray[np.float64], aggregation: Aggregation) -> float | None:
        samples = sample_scores(scores, groups, labels, aggregation)
        return auroc(samples.scores, samples.labels)

    scales = inspector.view_scales
    views = [image.view for image in whole]
    highest = sample_scores(scores, groups, labels, "max")
    return {
        "auroc": area(scores, "max"),
        "auroc_interval": (
            bootstrap_auroc(highest.scores, highest.labels, highest.parts) if whole else None
        ),
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
    groups = np.array([image.part for image in decided], dtype=np.str_)
    alone = rejected_alone(_scores(decided), _labels(decided), groups, _views(decided), threshold)
    figures = {}
    for view, ranking in rankings.items():
        rejected = alone.get(view, SoleRejections())
        figures[view] = {
            **dataclasses.asdict(ranking),
            "caught_alone": rejected.caught,
            "false_rejects_alone": rejected.false_rejects,
        }
    figures.pop("", None)  # images without the name of a view
    return figures


def _views(images: list[ImageResult]) -> npt.NDArray[np.str_]:
    return np.array([image.view or "" for image in images], dtype=np.str_)


def _decision_figures(
    parts: list[PartResult], inspector: Inspector, unreadable: int
) -> dict[str, Any]:
    """Counts of the parts that were decided on; those that were not stand beside them."""
    decided = [part for part in parts if part.decision != "incomplete"]
    promise = {
        key: getattr(inspector.calibration, key)
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
    if inspector.calibration.near_copies:
        promise["near_copies"] = inspector.calibration.near_copies
        promise["counted_once"] = inspector.calibration.counted_once
    counts = confusion(_scores(decided), _labels(decided), inspector.threshold)
    return {
        "threshold": inspector.threshold,
        "promise": promise,
        "unit": "part",
        "incomplete": len(parts) - len(decided),
        **({"unreadable": unreadable} if unreadable else {}),
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
