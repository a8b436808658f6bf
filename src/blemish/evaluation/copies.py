"""Copies among the parts of a test: they make it look larger than it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from blemish.dataset.copies import copied_parts, equal_pictures
from blemish.dataset.label_words import name_some
from blemish.evaluation.results import ImageResult, PartResult
from blemish.metrics.decision import confusion


def copy_figures(
    images: Sequence[ImageResult], parts: Sequence[PartResult], threshold: float
) -> dict[str, Any] | None:
    """How many of the `parts` are copies of others with the same label; None where none is.

    And the intervals of `decision` with each different part counted once. `parts` tells what each
    copy is one of.
    """
    numbers = equal_pictures([image.image for image in images], [image.score for image in images])
    if len(np.unique(numbers)) == len(numbers):
        return None
    label_of = {part.part: part.label for part in parts}
    table = pl.DataFrame(
        {
            "part": [image.part for image in images],
            "view": [f"{label_of.get(image.part)} {image.view}" for image in images],
        }
    )
    copies = {
        part: original
        for part, original in copied_parts(table, numbers).items()
        if part in label_of and original in label_of
    }
    if not copies:
        return None
    labels = [label_of[part] for part in copies]
    once = [part for part in parts if part.part not in copies and part.decision != "incomplete"]
    defective = [part.label == "defective" for part in once]
    counts = confusion([part.score for part in once], defective, threshold).to_json()
    return {
        "good": labels.count("good"),
        "defective": labels.count("defective"),
        "recall_interval": counts["recall_interval"],
        "fpr_interval": counts["fpr_interval"],
        "parts": copies,
    }


def copies_sentence(copies: dict[str, Any]) -> str:
    """What `copy_figures` found, some of it by name, for a person."""
    pairs = [f"{copy} of {original}" for copy, original in copies["parts"].items()]
    intervals = [
        f"{100 * copies[key][0]:.1f} to {100 * copies[key][1]:.1f} % of {what}"
        for key, what in (
            ("fpr_interval", "good parts rejected"),
            ("recall_interval", "defective parts caught"),
        )
        if copies[key] is not None
    ]
    return (
        f"{copies['good']} good and {copies['defective']} defective test parts are copies of "
        f"others, pixel for pixel ({name_some(pairs)}), and make these figures look surer than "
        f"they are; with each different part counted once, the 95 % intervals are "
        f"{' and '.join(intervals)}"
    )
