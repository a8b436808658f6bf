"""Evaluations to report on: parts with bell-shaped scores and pictures with drawn defects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.calibration.promise import Calibration, Promise, calibrate
from blemish.evaluation import ImageResult, PartResult
from blemish.metrics.decision import confusion, oracle_f1_threshold
from blemish.metrics.image import auroc, average_precision
from blemish.model.card import Card

Look = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.bool_] | None]


@dataclass(eq=False)
class Example:
    """What `write_report` reads of an evaluation; `looked` are the indices it looked at."""

    images: list[ImageResult]
    parts: list[PartResult]
    figures: dict[str, Any]
    card: Card
    picture: Callable[[ImageResult], Look]
    looked: list[int] = field(default_factory=list)

    def look(self, index: int) -> Look:
        self.looked.append(index)
        return self.picture(self.images[index])


def example(
    good: Sequence[float],
    defects: dict[str, Sequence[float]],
    *,
    views: Sequence[str | None] = (None,),
    held_out: Sequence[float] | None = None,
    incomplete: Sequence[int] = (),
    name: str = "brushed plates",
    file_name: str = "plate {:04d}.png",
    masks: bool = True,
    shape: tuple[int, int] = (60, 80),
) -> Example:
    """An evaluation of parts with these scores; a part's last view has its score.

    `held_out` are the scores that the threshold is set on (default: 40 up to 3), `incomplete` the
    parts, by number, that lack a view.
    """
    calibration = calibrate(
        np.linspace(1, 3, 40) if held_out is None else held_out, Promise(0.01, 0.95)
    )
    kinds = [(None, score) for score in good]
    kinds += [(kind, score) for kind, scores in defects.items() for score in scores]
    images: list[ImageResult] = []
    parts: list[PartResult] = []
    for number, (kind, score) in enumerate(kinds):
        label = "defective" if kind else "good"
        members = []
        for place, view in enumerate(views):
            path = Path(name) / (kind or "good") / file_name.format(len(images))
            mask = path.with_name("mask.png") if kind and masks else None
            lower = 0.1 * (len(views) - 1 - place)
            members.append(len(images))
            images.append(
                ImageResult(path, mask, name, label, kind, f"P{number:04d}", view, score - lower)
            )
        decision = "reject" if score > calibration.threshold else "pass"
        if number in incomplete and decision == "pass":
            decision = "incomplete"
        parts.append(
            PartResult(
                f"P{number:04d}", label, (kind,) if kind else (), score, decision, tuple(members)
            )
        )
    return Example(
        images,
        parts,
        _figures(parts, calibration.threshold, name),
        _card(calibration, name),
        lambda image: plate(image, shape),
    )


def realistic(seed: int = 4, n_good: int = 90) -> Example:
    """Good parts around 2, faint scratches that overlap with them, clear cracks."""
    rng = np.random.default_rng(seed)
    return example(
        rng.normal(2, 0.3, n_good).round(4).tolist(),
        {
            "crack": rng.normal(4.1, 0.9, 44).round(4).tolist(),
            "scratch": rng.normal(2.8, 0.6, 52).round(4).tolist(),
        },
        held_out=rng.normal(2, 0.3, 120).tolist(),
        shape=(300, 300),
    )


def plate(image: ImageResult, shape: tuple[int, int]) -> Look:
    """A brushed plate with, if it is defective, a scratch or crack as strong as its score."""
    height, width = shape
    rng = np.random.default_rng(sum(map(ord, image.part)))
    grain = cv2.GaussianBlur(rng.normal(0, 26, shape), (0, 0), sigmaX=12, sigmaY=0.6)
    light = np.linspace(150, 185, width)[None] + grain * 3
    picture = np.dstack([light, light * 0.99, light * 0.96])
    mask = np.zeros(shape, np.uint8)
    if image.label == "defective":
        points = rng.uniform(0.15, 0.85, (2, 2)) * (width, height)
        if image.defect == "crack":
            steps = np.linspace(0, 1, 9)[:, None]
            line = points[0] + steps * (points[1] - points[0])
            line[1:-1] += rng.normal(0, 0.03 * min(shape), (7, 2))
            cv2.polylines(mask, [line.astype(np.int32)], False, 1, 2)
            picture[mask > 0] = 45
        else:
            ends = points.astype(int).tolist()
            cv2.line(mask, ends[0], ends[1], 1, 1)
            picture[mask > 0] = 215
        mask = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    noise = cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), max(1.0, min(shape) / 20))
    level = 1.3 + 0.15 * noise / max(1e-9, float(noise.std()))
    glow = cv2.GaussianBlur(mask.astype(np.float64), (0, 0), max(1.0, min(shape) / 30))
    if glow.max() > 0:
        level = level + glow / glow.max() * max(0.0, image.score - 1.3)
    pixels = np.clip(picture, 0, 255).astype(np.uint8)
    return pixels, level.astype(np.float32), mask > 0 if image.mask else None


def _figures(parts: list[PartResult], threshold: float, name: str) -> dict[str, Any]:
    decided = [part for part in parts if part.decision != "incomplete"]
    scores = np.array([part.score for part in decided])
    labels = np.array([part.label == "defective" for part in decided], dtype=bool)
    both = labels.any() and not labels.all()
    oracle = None
    if both:
        best = oracle_f1_threshold(scores, labels)
        oracle = {
            "threshold": best if np.isfinite(best) else None,
            **confusion(scores, labels, best).to_json(),
        }
    area = auroc(scores, labels)
    return {
        "image": {
            "auroc": area,
            "auroc_interval": [area - 0.02, min(1.0, area + 0.02)] if area is not None else None,
            "average_precision": average_precision(scores, labels),
            "n_good": int((~labels).sum()),
            "n_defective": int(labels.sum()),
        },
        "pixel": {"auroc": 0.971, "aupro": 0.894} if both else {"auroc": None, "aupro": None},
        "sample": None,
        "decision": {"threshold": threshold, **confusion(scores, labels, threshold).to_json()},
        "oracle_f1": oracle,
        "seconds": 12.4,
        "images_per_second": 41.2,
        "data": {"name": name},
        "model": "3f5ac0b9d2e14788a1c2",
    }


def _card(calibration: Calibration, name: str) -> Card:
    values = {
        "schema": 1,
        "detector": {"name": "padim", "settings": {"shrinkage": 0.2, "blocks": [4, 10]}},
        "backbone": {"name": "efficientnet_lite0", "sha256": "9b1c" * 16},
        "data": {
            "name": name,
            "layout": "mvtec",
            "fingerprint": "c0ffee" * 10,
            "terms": "CC BY-NC-SA 4.0",
            "trained_on": {"images": 480, "parts": 80},
            "held_out": {"images": calibration.good_parts, "parts": calibration.good_parts},
            "held_out_by": "seeded hold-out",
            "trained_parts": [f"P{number}" for number in range(80)],
            "seed": 0,
        },
        "recipe": {"height": 256, "width": 256, "resize": "pad", "window": None, "tile": None},
        "calibration": {
            **calibration.to_json(),
            "unit": "part",
            "map_threshold": calibration.threshold * 0.9,
            "required_views": [],
            "parts_left_out": 0,
            "scores": [{"part": "Q1", "views": [[None, 1.0, 1.2]]}] * 3,
        },
        "latency_ms": {"p50": 14.2, "max": 31.0},
        "machine": "Linux x86_64, 2 threads",
        "versions": {"blemish": "0.1.0", "python": "3.11.2", "numpy": "2.4.0"},
        "fit": {},
        "golden_score": 1.0,
    }
    return Card.from_json(values)
