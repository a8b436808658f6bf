"""Evaluate a model on a labelled test set: scores, decisions by part, and all figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from blemish.dataset import Dataset, Row, ensure_sound
from blemish.detectors.base import Progress, ShowProgress
from blemish.errors import DatasetError
from blemish.evaluation.figures import figures_of, mean_figures
from blemish.evaluation.results import ImageResult as ImageResult
from blemish.evaluation.results import PartResult as PartResult
from blemish.evaluation.results import ResultAccumulator, decide_parts
from blemish.images import read_mask, read_rgb
from blemish.inspector import Inspector, Look
from blemish.metrics.image import Roc, roc
from blemish.metrics.localised import UNMARKED, peak_on_mask
from blemish.metrics.pixel import PixelScores
from blemish.model.card import Card

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The results of a model on a test set; `figures` is what `evaluate --json` writes."""

    images: list[ImageResult]
    parts: list[PartResult]
    figures: dict[str, Any]
    card: Card
    inspector: Inspector

    def look(self, index: int) -> tuple[Pixels, Floats, Mask | None]:
        """Picture [H, W, 3], map [H, W] and mask [H, W] of one image, computed again."""
        image = self.images[index]
        rgb = read_rgb(image.image, self.inspector.recipe.window)
        mask = None if image.mask is None else read_mask(image.mask, rgb.shape[:2])
        return rgb, self.inspector.look(rgb).map, mask

    def frame(self) -> pl.DataFrame:
        """One row per image: its names, `defective`, `defect` and `score`.

        `rejected` and `decision` are those of its part, at the model's threshold.
        """
        decision_of = {index: part.decision for part in self.parts for index in part.images}
        decisions = [decision_of[index] for index in range(len(self.images))]
        return pl.DataFrame(
            {
                "image": [image.image.as_posix() for image in self.images],
                "category": [image.category for image in self.images],
                "part": [image.part for image in self.images],
                "view": pl.Series([image.view for image in self.images], dtype=pl.String),
                "defective": [image.label == "defective" for image in self.images],
                "defect": pl.Series([image.defect for image in self.images], dtype=pl.String),
                "score": [image.score for image in self.images],
                "rejected": [decision == "reject" for decision in decisions],
                "decision": decisions,
            }
        )

    def roc(self) -> Roc:
        """Recall against the false-reject rate of parts, at every threshold on the part score."""
        defective = [part.label == "defective" for part in self.parts]
        return roc([part.score for part in self.parts], defective)


def evaluate(
    inspector: Inspector, data: Dataset, *, progress: ShowProgress | None = None
) -> Evaluation:
    """Score the test images of `data`, decide on its parts, and compute the figures.

    A category is judged at its own threshold where the model has one. With several, that holds for
    the figures of `categories`, whose `mean` stands beside them; all others are of the categories
    pooled, at the one threshold for all.

    Maps go to disk as they come, so memory does not grow with the images. A centre crop is measured
    as papers do: pixel figures are those of the cropped maps and masks. Whether a peak lies on its
    mask is tested with the whole mask. Raises DatasetError without labelled test images, and for a
    mask of another size.
    """
    ensure_sound(data, training=False)
    rows = [row for row in data.split("test").rows() if row.label is not None]
    if not rows:
        raise DatasetError(
            f"{data.root} has no labelled test images; put them into test/good and test/<defect>"
        )
    rows.sort(key=lambda row: row.category)
    several = rows[0].category != rows[-1].category
    if not several:
        inspector = _judge(inspector, rows[0].category)
    categories: dict[str, dict[str, Any]] = {}
    started, inspecting = time.monotonic(), 0.0
    with PixelScores() as pixels:
        scored = ResultAccumulator(pixels, _with_masks(rows))
        looks = _looks(inspector, rows, progress)
        for name, seen in groupby(looks, key=lambda looked: looked[0].category):
            with PixelScores() as own_pixels:
                own = ResultAccumulator(
                    own_pixels, _with_masks([r for r in rows if r.category == name])
                )
                for row, look, seconds in seen:
                    inspecting += seconds
                    mask = _mask(row, look.shape) if scored.with_masks else None
                    result = _result(row, look, mask)
                    for pile in (scored, own) if several else (scored,):
                        pile.add(result, look, mask)
                if several:
                    judge, with_parts = _judge(inspector, name), data.category(name).has_parts
                    parts = decide_parts(own.images, judge)
                    categories[name] = figures_of(own, parts, judge, with_parts)
        parts = decide_parts(scored.images, inspector)
        figures = figures_of(scored, parts, inspector, data.has_parts)
    if several:
        figures |= {"categories": categories, "mean": mean_figures(categories)}
    figures |= {
        "seconds": time.monotonic() - started,
        "images_per_second": len(rows) / max(inspecting, 1e-9),
        "data": {"name": data.name, "fingerprint": data.fingerprint(), **data.counts()},
        "model": inspector.name,
    }
    return Evaluation(scored.images, parts, figures, inspector.known, inspector)


def _judge(inspector: Inspector, category: str) -> Inspector:
    return inspector.of_category(category) if category in inspector.categories else inspector


def _with_masks(rows: Sequence[Row]) -> bool:
    return any(row.mask is not None for row in rows)


def _looks(
    inspector: Inspector, rows: Sequence[Row], progress: ShowProgress | None
) -> Iterator[tuple[Row, Look, float]]:
    """Every row with the model's output for it, and the seconds that this took."""
    for done, row in enumerate(rows, 1):
        start = time.perf_counter()
        look = inspector.look(row.image)
        yield row, look, time.perf_counter() - start
        if progress:
            progress(Progress("evaluating", done, len(rows)))


def _result(row: Row, look: Look, mask: Mask | None) -> ImageResult:
    return ImageResult(
        row.image,
        row.mask,
        row.category,
        row.label or "",
        row.defect,
        row.part,
        row.view,
        look.score,
        UNMARKED if mask is None else peak_on_mask(look.map, mask),
        None if look.surprise is None else look.surprise.log_nfa,
    )


def _mask(row: Row, shape: tuple[int, int]) -> Mask | None:
    """None for a defect without a mask: its pixels are not known, and are no background."""
    if row.mask is not None:
        return read_mask(row.mask, shape)
    return np.zeros(shape, bool) if row.label == "good" else None
