"""Rounds of a label audit: score labels, list doubts, let a person decide, correct, score again.

`DIR/roundN` holds a round's review list and, once they were read back, its decisions; `DIR/scores`
the scores of the judges. A round follows from the data set and the decisions before it alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from blemish.audit import review_rows
from blemish.audit.corrections import corrected_table, write_table
from blemish.audit.embeddings import open_features
from blemish.audit.hidden_defects import (
    InspectionOrders,
    inspection_orders,
    share_with_inspection,
    share_without_inspection,
)
from blemish.audit.judge_scores import JudgeSettings, image_groups, judge_scores
from blemish.audit.judges import Floats, defect_log_odds, part_means
from blemish.audit.mask_doubts import judge_masks
from blemish.audit.review_list import Doubt, read_review, write_review
from blemish.dataset import Dataset
from blemish.dataset.label_words import name_some
from blemish.dataset.paths import absent, is_image_file
from blemish.errors import DatasetError
from blemish.metrics.image import average_precision
from blemish.util import typed_json
from blemish.util.files import replacing
from blemish.util.library_errors import reason_of
from blemish.util.progress import ShowProgress
from blemish.util.text_files import read_json

_WAY_OUT = "remove it and make the round again."
SETTLED = 0.01  # of average precision between two rounds


@dataclass(frozen=True)
class AuditSettings:
    """Settings of a label audit.

    `listed`: the share of images on the review list; `looks`: the number of parts labelled good
    for random inspection; `good_only`: leave out images labelled defective.
    """

    judges: JudgeSettings = field(default_factory=JudgeSettings)
    listed: float = 0.1
    looks: int = 0
    good_only: bool = False


@dataclass(frozen=True, eq=False)
class Round:
    """One round: its number, the data with the labels it judged, its list, and its figures."""

    number: int
    data: Dataset
    doubts: tuple[Doubt, ...]
    figures: dict[str, Any]
    folder: Path

    @property
    def review(self) -> Path:
        """The review list, a CSV file for a person's decisions."""
        return self.folder / "review.csv"


def auditable_rows(data: Dataset, settings: AuditSettings) -> Dataset:
    """The rows that an audit judges, or a DatasetError that says why there is nothing to judge."""
    if len(data.categories) > 1:
        raise DatasetError(
            f"{data.root} holds {len(data.categories)} categories ({name_some(data.categories)}), "
            "and an audit compares parts of one: choose it with --category."
        )
    rows = data.good() if settings.good_only else data.where(pl.col("label").is_not_null())
    if not (rows.table["label"] == "good").any():
        raise DatasetError(
            f"{data.root} has no image labelled good, and judges learn from good ones; label some."
        )
    lost = absent(rows.root, filter(is_image_file, rows.table["image"]))
    if lost:
        raise DatasetError(
            f"{rows.root} lacks {len(lost)} of its images: {name_some(lost)}; put them back, or "
            "remove their rows."
        )
    if len(rows.parts) < 3:
        raise DatasetError(
            f"{rows.root} has {len(rows.parts)} part(s); an audit needs at least 3, better 100."
        )
    return rows


def make_round(
    data: Dataset, folder: Path, settings: AuditSettings, progress: ShowProgress | None = None
) -> Round:
    """Score the labels after all decisions so far, and write the next review list into `folder`.

    A round without decisions gives the same list again. A list that is there already is not
    written again, so decisions that a person entered in it are safe.
    """
    base = auditable_rows(data, settings)
    past = past_decisions(folder)
    number = len(past) + 1
    table = corrected_table(base, past)
    now = auditable_rows(base.with_table(table.drop("history")), settings)
    said = judge_scores(now, folder / "scores", settings.judges, progress)
    groups = image_groups(now, settings.judges)
    wrong = review_rows.error_log_odds(now, said, groups)
    known = {image for decisions in past for image in decisions}
    defective = (now.table["label"] == "defective").to_numpy()
    parts = np.unique(now.table["part"].to_numpy().astype(str), return_inverse=True)[1]
    odds = part_means(defect_log_odds(said, defective, groups), parts)
    doubts = _doubts(now, said, wrong, known, settings, progress)
    figures = {
        "round": number,
        "images": len(now),
        "parts": len(now.parts),
        "good": int((~defective).sum()),
        "defective": int(defective.sum()),
        "listed": len(doubts),
        "average_precision": average_precision(odds, defective),
        "share_without_looks": share_without_inspection(now, odds),
    }
    here = folder / f"round{number}"
    key = round_key(base, number, settings)
    _write_round(
        here,
        key,
        doubts,
        figures,
        inspection_orders(now, odds, doubts, settings.looks, settings.judges.seed),
    )
    return Round(number, now, tuple(doubts), {**figures, **rounds_summary(folder)}, here)


def apply_decisions(
    data: Dataset, folder: Path, review: Path, settings: AuditSettings, table: Path
) -> int:
    """Take in a filled review list, write the corrected table, and return the decisions' number.

    Raises DatasetError for a file that is not the latest list of this data set, as `read_review`
    says, and before any round was made.
    """
    base = auditable_rows(data, settings)
    past = past_decisions(folder)
    number = len(past) + 1
    held = _read_list(folder / f"round{number}" / "list.json")
    again = held is None and number > 1
    if again:  # the same list applied once more, with more decisions
        number -= 1
        past, held = past[:-1], _read_list(folder / f"round{number}" / "list.json")
    if held is None:
        raise DatasetError(f"{folder} holds no review list yet; make one without --apply.")
    if held["key"] != round_key(base, number, settings):
        raise DatasetError(
            f"the review list in {folder} is of another data set or other settings than "
            f"{data.root}; name the ones that it was made with, or another folder."
        )
    doubts = [Doubt(**doubt) for doubt in held["doubts"]]
    decisions = read_review(review, doubts, str(held["key"]))
    if not decisions:
        raise DatasetError(
            f"{review} holds no decision; write keep, good, defective or remove into the column "
            "'decision'."
        )
    write_table(base, corrected_table(base, [*past, decisions]), table)
    _write_json(folder / f"round{number}" / "decisions.json", decisions)
    return len(decisions)


def past_decisions(folder: Path) -> list[dict[str, str]]:
    """The decisions of each round so far."""
    found: list[dict[str, str]] = []
    while (held := _read_json(folder / f"round{len(found) + 1}" / "decisions.json")) is not None:
        found.append({str(image): str(decision) for image, decision in held.items()})
    return found


def rounds_summary(folder: Path) -> dict[str, Any]:
    """Figures over all rounds in a folder.

    `precisions`: the average precision of each round; `settled`: whether the last two differ by
    less than `SETTLED`, None for a single round; `share_with_looks`: from all decisions, or None.
    """
    rounds: list[dict[str, Any]] = []
    while (held := _read_list(folder / f"round{len(rounds) + 1}" / "list.json")) is not None:
        rounds.append(held)
    precisions = [held["figures"]["average_precision"] for held in rounds]
    settled = None
    if len(precisions) > 1 and None not in precisions[-2:]:
        settled = abs(precisions[-1] - precisions[-2]) < SETTLED
    share = share_with_inspection(rounds[0]["orders"], _latest(folder)) if rounds else None
    return {
        "precisions": precisions,
        "settled": settled,
        "share_with_looks": None if share is None else asdict(share),
    }


def round_key(data: Dataset, number: int, settings: AuditSettings) -> str:
    """Hash of what a review list belongs to: the data set, the round, the settings."""
    judges = {**asdict(settings.judges), "cache": None}
    values = [data.fingerprint(), number, judges, settings.good_only]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _doubts(
    data: Dataset,
    said: Mapping[str, Floats],
    wrong: Floats,
    known: set[str],
    settings: AuditSettings,
    progress: ShowProgress | None,
) -> list[Doubt]:
    count = max(1, round(settings.listed * len(data)))
    doubts = review_rows.label_doubts(data, said, wrong, known, count)
    if data.table["mask"].null_count() < len(data):
        features = open_features(data, folder=settings.judges.cache)
        found = judge_masks(features, data, image_groups(data, settings.judges), progress)
        seen = known | {doubt.image for doubt in doubts}
        doubts += review_rows.mask_rows(data, found, seen, count)
    if settings.looks and not known:
        parts = review_rows.random_parts(data, settings.judges.seed)[: settings.looks]
        doubts += review_rows.inspection_rows(data, parts, {doubt.image for doubt in doubts})
    return doubts


def _latest(folder: Path) -> dict[str, str]:
    """The last decision on each image, over all rounds."""
    return {image: d for decisions in past_decisions(folder) for image, d in decisions.items()}


def _write_round(
    here: Path,
    key: str,
    doubts: list[Doubt],
    figures: Mapping[str, Any],
    of_parts: Mapping[str, Any],
) -> None:
    """The list for a person and what is needed to read it back, unless this very one is there."""
    held = {"key": key, "doubts": [vars(d) for d in doubts], "figures": figures, "orders": of_parts}
    before = _read_json(here / "list.json")
    if before == json.loads(json.dumps(held)) and (here / "review.csv").exists():
        return
    if before is not None and (here / "review.csv").exists():
        number = 1
        while (old := here / f"review-{number}.csv").exists():
            number += 1
        (here / "review.csv").replace(old)  # there may be decisions in it
    _write_json(here / "list.json", held)
    write_review(doubts, key, here / "review.csv")


def _read_json(path: Path) -> dict[str, Any] | None:
    if not os.path.lexists(path):
        return None
    held = read_json(path, "file of an audit", _WAY_OUT)
    if not isinstance(held, dict):
        raise DatasetError(f"{path} is no file of an audit; {_WAY_OUT}")
    return held


def _read_list(path: Path) -> dict[str, Any] | None:
    """What is needed to read a round's list back, or None where there is none."""
    held = _read_json(path)
    if held is None:
        return None
    try:
        typed_json.read(list[Doubt], held["doubts"])
        typed_json.read(InspectionOrders, held["orders"])
        if not isinstance(held["figures"]["average_precision"], int | float | None):
            raise ValueError("the average precision is no number")
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path} is no list of an audit ({reason_of(error)}); {_WAY_OUT}"
        ) from error
    return held


def _write_json(path: Path, held: Mapping[str, Any]) -> None:
    with replacing(path) as file:
        file.write((json.dumps(held, ensure_ascii=False) + "\n").encode("utf-8"))
