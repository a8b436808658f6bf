"""Mean and covariance of all patches of the training images, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blemish.detectors.base import FitContext
from blemish.detectors.embedding import Embedding, patches_inside

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PatchMoments:
    """Mean [C] and covariance [C, C] of `patches` patches, which lie in `crops` model inputs."""

    mean: Doubles
    covariance: Doubles
    patches: int
    crops: int


def learn_moments(
    embedding: Embedding, images: Sequence[Path], context: FitContext, *, covariance: bool = True
) -> PatchMoments:
    """Moments of the patches inside the images; without `covariance` it is 0, and costs nothing."""
    count, crops, total = 0, 0, np.zeros(embedding.channels)
    squares = np.zeros((embedding.channels, embedding.channels))
    for x, inside in embedding.read(images, context):
        rows = patches_inside(x, inside)
        count += len(rows)
        crops += len(x)
        total += rows.sum(0, dtype=np.float64)
        if covariance:
            squares += rows.T @ rows
    mean = total / max(count, 1)
    if covariance:
        squares = squares / max(count, 1) - np.outer(mean, mean)
    return PatchMoments(mean, squares, count, crops)
