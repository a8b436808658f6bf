"""Evaluate a model on a labelled test set: scores, decisions by part, and all figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from blemish.dataset import Dataset, Finding, Row, ensure_sound
from blemish.dataset.mask_findings import MaskFindings
from blemish.detectors.base import Progress, ShowProgress
from blemish.errors import DatasetError, ImageError
from blemish.evaluation.copies import copy_figures
from blemish.evaluation.figures import figures_of, mean_figures
from blemish.evaluation.results import ImageResult as ImageResult
from blemish.evaluation.results import PartResult as PartResult
from blemish.evaluation.results import (
    ResultAccumulator,
    UnreadableImage,
    UnreadableMask,
    decide_parts,
)
from blemish.images import look_at_mask, read_mask, read_rgb
from blemish.inspector import Inspector, Look
from blemish.metrics.image import Roc, roc
from blemish.metrics.localised import UNMARKED, peak_on_mask
from blemish.metrics.pixel import PixelScores
from blemish.model.card import Card
from blemish.model.known_parts import known_parts
from blemish.util.names import wrong_name

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The results of a model on a test set; `figures` is what `evaluate --json` writes.

    `images` are those that could be read; `parts` are without those that are unreadable.
    `findings` are what is odd about the masks.
    """

    images: list[ImageResult]
    parts: list[PartResult]
    figures: dict[str, Any]
    card: Card
    inspector: Inspector
    unreadable: Sequence[UnreadableImage] = ()
    unreadable_masks: Sequence[UnreadableMask] = ()
    findings: Sequence[Finding] = ()

    def refuse_unreadable(self) -> None:
        """Raise ImageError, with the first reason, where an image or a mask could not be read."""
        reasons = [lost.reason for lost in self.unreadable]
        reasons += [lost.reason for lost in self.unreadable_masks]
        if reasons:
            others = len(reasons) - 1
            more = f" ({others} more file{'s' * (others > 1)} could not be read)" if others else ""
            raise ImageError(reasons[0] + more)

    def look(self, index: int) -> tuple[Pixels, Floats, Mask | None]:
        """Picture [H, W, 3], map [H, W] and mask [H, W] of one image, computed again."""
        image = self.images[index]
        rgb = read_rgb(image.image, self.inspector.recipe.window)
        mask = None if image.mask is None else read_mask(image.mask, rgb.shape[:2])
        return rgb, self.inspector.look_at(rgb).map, mask

    def frame(self) -> pl.DataFrame:
        """One row per image: its names, `defective`, `defect` and `score`.

        `rejected` and `decision` are those of its part, at the model's threshold. Images that could
        not be read come last, their `score` is null.
        """
        images: list[ImageResult | UnreadableImage] = [*self.images, *self.unreadable]
        scores = [*(image.score for image in self.images), *(None for _ in self.unreadable)]
        decision_of = {part.part: part.decision for part in self.parts}
        decisions = [decision_of.get(image.part, "unreadable") for image in images]
        return pl.DataFrame(
            {
                "image": [image.image.as_posix() for image in images],
                "category": [image.category for image in images],
                "part": [image.part for image in images],
                "view": pl.Series([image.view for image in images], dtype=pl.String),
                "defective": [image.label == "defective" for image in images],
                "defect": pl.Series([image.defect for image in images], dtype=pl.String),
                "score": pl.Series(scores, dtype=pl.Float64),
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
    mask is tested with the whole mask.

    An image that cannot be read is told, and in no figure; its part is "unreadable", and in no
    rate, unless another of its images rejects it. An image whose mask cannot be read counts as one
    without, and the mask is told. Masks that are odd, such as inverted ones, are findings. Raises
    DatasetError without labelled test images, and for a mask of another size.

    Where nothing says which images are the test, those of all parts are that the model does not
    know (see `known_parts`); the figures tell the others, as `known`.
    """
    ensure_sound(data, training=False, allow_unreadable=True)
    whole, data = data, _untouched(inspector.known, data)
    rows = _test_rows(data, len(whole) - len(data))
    several = rows[0].category != rows[-1].category
    if not several:
        inspector = _judge(inspector, rows[0].category)
    categories: dict[str, dict[str, Any]] = {}
    started, inspecting = time.monotonic(), 0.0
    lost_masks: list[UnreadableMask] = []
    odd_masks = MaskFindings()
    with PixelScores() as pixels:
        scored = ResultAccumulator(pixels, _with_masks(rows))
        looks = _looks(inspector, rows, progress)
        for name, seen in groupby(looks, key=lambda looked: looked[0].category):
            with PixelScores() as own_pixels:
                own = ResultAccumulator(
                    own_pixels, _with_masks([r for r in rows if r.category == name])
                )
                piles = (scored, own) if several else (scored,)
                for row, look, seconds in seen:
                    inspecting += seconds
                    if isinstance(look, ImageError):
                        for pile in piles:
                            pile.unreadable.append(_unreadable(row, str(look)))
                        continue
                    mask = None
                    if scored.with_masks:
                        row, mask = _masked(row, look.shape, data.root, lost_masks, odd_masks)
                    result = _result(row, look, mask)
                    for pile in piles:
                        pile.add(result, look, mask)
                if several:
                    judge, with_parts = _judge(inspector, name), data.category(name).has_parts
                    parts = decide_parts(own, judge)
                    categories[name] = figures_of(own, parts, judge, with_parts)
        parts = decide_parts(scored, inspector)
        figures = figures_of(scored, parts, inspector, data.has_parts)
    if several:
        figures |= {"categories": categories, "mean": mean_figures(categories)}
    findings = odd_masks.findings()
    figures |= _told(scored, findings, lost_masks) | _known(whole, data)
    if (copies := copy_figures(scored.images, parts, inspector.threshold)) is not None:
        figures["copies"] = copies
    figures |= {
        "seconds": time.monotonic() - started,
        "images_per_second": len(scored.images) / max(inspecting, 1e-9),
        "data": {"name": data.name, "fingerprint": whole.fingerprint(), **whole.counts()},
        "model": inspector.name,
    }
    return Evaluation(
        *(scored.images, parts, figures, inspector.known, inspector),
        *(tuple(scored.unreadable), tuple(lost_masks), tuple(findings)),
    )


def _told(
    scored: ResultAccumulator, findings: list[Finding], lost_masks: list[UnreadableMask]
) -> dict[str, Any]:
    """What no figure counts, and what is odd, where there is any."""
    told = {
        "unreadable": [lost.to_json() for lost in scored.unreadable],
        "findings": [asdict(finding) for finding in findings],
        "unreadable_masks": [lost.to_json() for lost in lost_masks],
    }
    return {key: values for key, values in told.items() if values}


def _known(whole: Dataset, data: Dataset) -> dict[str, Any]:
    """How much of the whole set was left out of the test, where nothing else says what is in it."""
    if data.has_split:
        return {}
    left_out = {"images": len(whole) - len(data), "parts": len(whole.parts) - len(data.parts)}
    return {"known": left_out}


def _untouched(card: Card, data: Dataset) -> Dataset:
    """The rows that a model may be tested on, in the split "test", where nothing else says so."""
    if data.has_split:
        return data
    known = list(known_parts(card, data))
    rows = data.where(~pl.col("part").is_in(known))
    return rows.with_table(rows.table.with_columns(split=pl.lit("test")))


def _test_rows(data: Dataset, known: int) -> list[Row]:
    """The labelled rows of the test, by category; `known` images were left out before."""
    rows = [row for row in data.split("test").rows() if row.label is not None]
    if not rows and known:
        raise DatasetError(
            f"the model knows all parts of {data.root}: it learnt from them, or they set its "
            "threshold; evaluate it on others"
        )
    if not rows:
        raise DatasetError(
            f"{data.root} has no labelled test images; put them into test/good and test/<defect>"
        )
    return sorted(rows, key=lambda row: row.category)


def _judge(inspector: Inspector, category: str) -> Inspector:
    return inspector.of_category(category) if category in inspector.categories else inspector


def _with_masks(rows: Sequence[Row]) -> bool:
    return any(row.mask is not None for row in rows)


def _looks(
    inspector: Inspector, rows: Sequence[Row], progress: ShowProgress | None
) -> Iterator[tuple[Row, Look | ImageError, float]]:
    """Every row with the model's output, or why there is none, and the seconds that this took."""
    for done, row in enumerate(rows, 1):
        start = time.perf_counter()
        try:
            look: Look | ImageError = inspector.look(row.image)
        except ImageError as error:
            look = error
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


def _unreadable(row: Row, reason: str) -> UnreadableImage:
    return UnreadableImage(
        row.image, row.category, row.label or "", row.defect, row.part, row.view, reason
    )


def _masked(
    row: Row,
    shape: tuple[int, int],
    root: Path,
    lost: list[UnreadableMask],
    odd: MaskFindings,
) -> tuple[Row, Mask | None]:
    """A row with its mask; without one where it cannot be read, which joins `lost`.

    None for a defect without a mask: its pixels are not known, and are no background.
    """
    if row.mask is None:
        return row, np.zeros(shape, bool) if row.label == "good" else None
    try:
        reading = look_at_mask(row.mask, shape)
    except ImageError as error:
        lost.append(UnreadableMask(row.mask, row.image, wrong_name(row.mask) or str(error)))
        return replace(row, mask=None), None
    name = row.mask.relative_to(root) if row.mask.is_relative_to(root) else row.mask
    odd.add(name.as_posix(), reading)
    return row, reading.marked
