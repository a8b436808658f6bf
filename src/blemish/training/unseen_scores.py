"""Scores of good parts by models that have not learnt from them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from blemish.calibration.part_calibration import HeldOut
from blemish.calibration.views import LEAST_SCORES, ViewScales
from blemish.dataset import Dataset, folds
from blemish.dataset.label_words import name_some
from blemish.detectors.base import Clock, Progress, ShowProgress
from blemish.errors import BlemishError, DatasetError
from blemish.inspector import Inspector
from blemish.util import typed_json
from blemish.util.files import replacing
from blemish.util.library_errors import reason_of
from blemish.util.text_files import read_json

log = logging.getLogger("blemish")

ScoreUnseen = Callable[[Dataset, Dataset, str], Iterable[HeldOut]]


def score_images(
    inspector: Inspector,
    rows: Dataset,
    clock: Clock,
    progress: ShowProgress | None,
    what: str = "held-out good images",
) -> Iterator[HeldOut]:
    """Score the images of a table one after the other; `what` they are tells the progress."""
    for done, row in enumerate(rows.rows(), 1):
        clock.check(f"scoring {what}, {done - 1} of {len(rows)} done")
        look = inspector.look(row.image)
        yield HeldOut(row.part, row.view, look.score, look.peak, row.category)
        if progress:
            progress(Progress(f"scoring {what}", done, len(rows)))


def cross_fit_scores(
    rows: Dataset, number: int, seed: int, score_unseen: ScoreUnseen
) -> list[HeldOut]:
    """The scores of all rows, each fold of parts by a model of the others; none for 0 folds."""
    return [
        score
        for fold, (others, left_out) in enumerate(folds(rows, number, seed) if number else ())
        for score in score_unseen(others, left_out, f"fold{fold}")
    ]


def learn_view_scales(
    rows: Dataset, seed: int, folder: Path, score_unseen: ScoreUnseen
) -> ViewScales:
    """The scale of each view's scores, from the training rows.

    Each half of the parts is scored by a model of the other half (`score_unseen`, given what to
    learn from, what to score, and a name). `folder` keeps the scores for a resumed training.
    """
    views: list[str | None] = []
    scores: list[float] = []
    for number, (others, left_out) in enumerate(folds(rows, 2, seed)):
        note = folder / f"views{number}.json"
        if not note.exists():
            held = score_unseen(others, left_out, f"views{number}")
            kept = json.dumps([[image.view, image.score] for image in held])
            with replacing(note) as file:
                file.write(kept.encode())
        for view, score in _kept_scores(note):
            views.append(view)
            scores.append(score)
    scales = ViewScales.learn(scores, views)
    if scales.poor:
        log.warning(
            "views with fewer than %d images to learn a scale from (%s) are measured on that of "
            "all views together",
            LEAST_SCORES,
            name_some(scales.poor),
        )
    return scales


def _kept_scores(note: Path) -> list[tuple[str | None, float]]:
    """View and score of each image, as an interrupted training left them."""
    what, way_out = "list of scores", "drop --resume to start anew"
    try:
        return typed_json.read(
            list[tuple[str | None, float]], read_json(note, what, way_out, BlemishError)
        )
    except ValueError as error:
        raise BlemishError(f"{note} is no {what} ({reason_of(error)}); {way_out}") from error


def need_views(rows: Dataset, cross_fit: int) -> None:
    """Refuse to learn scales where no view is named, or where every part sets the threshold."""
    if cross_fit:
        raise DatasetError(
            "--view-scales needs good parts that do not set the threshold, and with --cross-fit "
            "all of them do; leave out one of the two"
        )
    if not rows.views:
        raise DatasetError(
            f"{rows.root} names no views whose scales could be learnt; name them with --parts or "
            "--part-pattern, or leave out --view-scales"
        )
    if len(rows.parts) < 2:
        raise DatasetError(
            f"{rows.root} has one good part to learn from, and --view-scales needs two or more, "
            "better 50; add good parts, or leave it out"
        )
