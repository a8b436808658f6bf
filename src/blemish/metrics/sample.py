"""One score per part from the scores of its views (Real-IAD calls a part a sample)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blemish.errors import DatasetError
from blemish.metrics.image import checked

Aggregation = Literal["max", "mean"]


@dataclass(frozen=True)
class SampleScores:
    """Parts [k] in sorted order, their scores float64 [k] and labels bool [k]."""

    parts: NDArray[Any]
    scores: NDArray[np.float64]
    labels: NDArray[np.bool_]


def sample_scores(
    scores: ArrayLike, parts: ArrayLike, labels: ArrayLike, aggregation: Aggregation = "max"
) -> SampleScores:
    """Combine views into parts: the score is the maximum (Real-IAD) or the mean over the views.

    scores, parts and labels are [n], one entry per view. A part is defective if any view is.
    """
    values, defective = checked(scores, labels)
    names, part_of = np.unique(np.asarray(parts), return_inverse=True)
    if part_of.shape != values.shape:
        raise DatasetError(f"{len(values)} scores need as many parts, not {part_of.shape}.")
    if aggregation == "max":
        combined = np.full(len(names), -np.inf)
        np.maximum.at(combined, part_of, values)
    elif aggregation == "mean":
        combined = np.bincount(part_of, values) / np.bincount(part_of)
    else:
        raise DatasetError(f"Views can be combined by 'max' or 'mean', not by {aggregation!r}.")
    part_is_defective = np.bincount(part_of, defective, minlength=len(names)) > 0
    return SampleScores(names, combined, part_is_defective)
