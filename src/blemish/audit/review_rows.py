"""The rows of a review list, from the scores of the judges: the surest label errors first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from blemish.audit.judges import Floats, Groups, defect_log_odds, part_means, prior_log_odds
from blemish.audit.mask_doubts import DOUBTFUL, MaskDoubt
from blemish.audit.review_list import Doubt
from blemish.dataset import Dataset
from blemish.dataset.splits._parts import ranked


def error_log_odds(data: Dataset, said: Mapping[str, Floats], groups: Groups) -> Floats:
    """The log-odds [n] that each label is wrong, from all images of its part with that label."""
    defective = (data.table["label"] == "defective").to_numpy()
    names = np.char.add(
        data.table["part"].to_numpy().astype(str), np.where(defective, "\n1", "\n0")
    )
    parts = np.unique(names, return_inverse=True)[1]
    odds = part_means(defect_log_odds(said, defective, groups), parts)
    if defective.all() or not defective.any():
        return odds
    return np.where(defective, -1, 1) * (odds + prior_log_odds(defective))


def label_doubts(
    data: Dataset, said: Mapping[str, Floats], wrong: Floats, known: set[str], count: int
) -> list[Doubt]:
    """The `count` images whose label is most likely wrong, parts together; not those `known`."""
    table = data.table.with_row_index("row").with_columns(wrong=pl.Series(wrong))
    table = table.filter(~pl.col("image").is_in(sorted(known)))
    table = table.sort("wrong", "part", "image", descending=[True, False, False]).head(count)
    both = data.table["label"].n_unique() > 1
    return [
        _doubt(
            data,
            row,
            _confidence(wrong, row, both),
            "label",
            _why(data, said, row),
        )
        for row in table["row"]
    ]


def random_parts(data: Dataset, seed: int) -> list[str]:
    """The parts labelled good in a random order that follows from the seed."""
    return ranked(parts_labelled_good(data), f"looks {seed}")["part"].to_list()


def parts_labelled_good(data: Dataset) -> pl.DataFrame:
    """Category and part of the parts whose images are all labelled good, in row order."""
    parts = data.table.group_by("category", "part", maintain_order=True)
    all_good = parts.agg(good=(pl.col("label") == "good").all())
    return all_good.filter("good").select("category", "part")


def inspection_rows(data: Dataset, parts: Sequence[str], listed: set[str]) -> list[Doubt]:
    """Random inspection: a row for each image of the parts drawn, unless it is listed already."""
    rows = data.table.with_row_index("row")
    place = {part: number for number, part in enumerate(parts)}
    rows = rows.filter(pl.col("part").is_in(list(parts)) & ~pl.col("image").is_in(sorted(listed)))
    rows = rows.with_columns(place=pl.col("part").replace_strict(place, return_dtype=pl.Int64))
    why = "drawn at random, for the share of hidden defects"
    return [_doubt(data, row, 0.0, "random", why) for row in rows.sort("place", "image")["row"]]


def mask_rows(
    data: Dataset, doubts: Sequence[MaskDoubt], known: set[str], count: int
) -> list[Doubt]:
    """A row for each of at most `count` masks that do not fit, the worst first."""
    row_of = {image: row for row, image in enumerate(data.table["image"])}
    chosen = [d for d in doubts if d.fit < DOUBTFUL and d.image not in known]
    rows = []
    for doubt in chosen[:count]:
        image = _doubt(data, row_of[doubt.image], 1 - doubt.fit, "mask", doubt.why)
        rows.append(Doubt(**{**vars(image), "suggested": "new mask"}))
    return rows


def _confidence(wrong: Floats, row: int, both: bool) -> float:
    """The probability that a label is wrong; of good ones alone, the share that stands out less."""
    if both:
        return 1 / (1 + math.exp(-float(np.clip(wrong[row], -30, 30))))
    return float(np.mean(wrong < wrong[row]))


def _doubt(data: Dataset, row: int, confidence: float, listed: str, why: str) -> Doubt:
    image, part, view, label = data.table.select("image", "part", "view", "label").row(row)
    other = "good" if label == "defective" else "defective"
    return Doubt(image, part, view, label, other, confidence, listed, why)


def _why(data: Dataset, said: Mapping[str, Floats], row: int) -> str:
    """The percentile of an image's score among images labelled good, by each judge."""
    good = (data.table["label"] == "good").to_numpy()
    places = [
        f"{100 * float(np.mean(values[good] < values[row])):.0f} % ({judge})"
        for judge, values in said.items()
        if values.std() > 0
    ]
    return f"stands out more than {_and(places) or 'none'} of the images called good"


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
