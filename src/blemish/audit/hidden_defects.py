"""The share of hidden defects among parts labelled good, with random inspection and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from blemish.audit import review_rows
from blemish.audit.judges import Floats
from blemish.audit.mixture import share_from_scores
from blemish.audit.random_inspection import ShareEstimate, share_from_inspection
from blemish.audit.review_list import Doubt
from blemish.dataset import Dataset


@dataclass(frozen=True)
class InspectionOrders:
    """What `inspection_orders` gives."""

    ranking: dict[str, list[str]]
    random: list[str]
    by_rank: int


def inspection_orders(
    data: Dataset, odds: Floats, doubts: Sequence[Doubt], looks: int, seed: int
) -> dict[str, Any]:
    """The two orders in which parts labelled good are inspected, as JSON.

    `ranking` maps each part to its images, the most doubtful part first; `random` lists the parts
    drawn for random inspection; `by_rank` is the number of parts at the head of the ranking that
    are on the review list.
    """
    images = data.table.group_by("part", maintain_order=True).agg("image")
    of = dict(zip(images["part"], images["image"].to_list(), strict=True))
    odd = dict(zip(data.table["part"], odds, strict=True))
    good = review_rows.parts_labelled_good(data)["part"].to_list()
    ranking = sorted(good, key=lambda part: (-odd[part], part))
    listed = {doubt.image for doubt in doubts if doubt.listed == "label"}
    whole = [listed.issuperset(of[part]) for part in ranking]
    return {
        "ranking": {part: of[part] for part in ranking},
        "random": review_rows.random_parts(data, seed)[:looks],
        "by_rank": whole.index(False) if False in whole else len(whole),
    }


def share_without_inspection(data: Dataset, odds: Floats) -> dict[str, Any] | None:
    """The share from scores alone, as JSON; None without enough known defects."""
    odd = dict(zip(data.table["part"], odds, strict=True))
    good = set(review_rows.parts_labelled_good(data)["part"])
    called = np.array([value for part, value in odd.items() if part in good])
    others = np.array([value for part, value in odd.items() if part not in good])
    share = share_from_scores(called, others)
    return None if share is None else asdict(share)


def share_with_inspection(
    found: Mapping[str, Any], decisions: Mapping[str, str]
) -> ShareEstimate | None:
    """The share from decisions on the parts of `inspection_orders`.

    None until the first randomly drawn part was inspected. A part is decided when all its images
    are. One defective image makes it defective. A part whose images were all removed does not
    count.
    """
    names: list[str] = []
    state: list[float] = []
    by_rank = 0
    for place, (part, images) in enumerate(found["ranking"].items()):
        answers = [decisions.get(image) for image in images]
        if all(answer == "remove" for answer in answers):
            continue
        by_rank += place < found["by_rank"]
        names.append(part)
        bad = "defective" in answers
        state.append(1.0 if bad else np.nan if None in answers else 0.0)
    place_of = {part: place for place, part in enumerate(names)}
    random = [place_of[part] for part in found["random"] if part in place_of]
    return share_from_inspection(
        np.arange(len(names)), np.array(random, np.intp), np.array(state, np.float64), by_rank
    )
