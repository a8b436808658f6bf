"""The fit of masks, by out-of-fold scores of patches (cross-fitting).

Two models learn from two groups of parts and score the patches of the third: a linear discriminant
of marked against clean patches, and a Gaussian of good patches (Mahalanobis distance). A mask fits
when its patches rank above the others of their image by both.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from blemish.audit.patch_features import (
    Floats,
    Mask,
    RunningMoments,
    mahalanobis_maps,
    moments_without,
    patches,
    read_mask_cells,
)
from blemish.dataset import Dataset
from blemish.dataset.mask_findings import MaskFindings
from blemish.features.feature_stream import FeatureStream
from blemish.metrics.image import auroc
from blemish.util.progress import Progress, ShowProgress

log = logging.getLogger("blemish")

LEAST_MASKS = 6  # fewer teach no head
DOUBTFUL = 0.8  # fit below which a mask is listed
_BINS = 400


@dataclass(frozen=True)
class MaskDoubt:
    """How well one mask fits what models of other parts say.

    `fit`: the chance that a marked patch ranks above an unmarked one of the same image, the mean of
    head and Gaussian; `overlap`: intersection over union with what the head marks at the threshold
    that is best on the groups that it learnt from; `peak_inside`: its peak lies on the mask.
    """

    image: str
    fit: float
    overlap: float
    peak_inside: bool

    @property
    def why(self) -> str:
        """In words, for the review list."""
        where = "on" if self.peak_inside else "outside"
        return (
            f"a patch inside the mask ranks above one outside in {100 * self.fit:.0f} % of pairs; "
            f"what models of other parts mark overlaps it by {100 * self.overlap:.0f} %, and their "
            f"strongest place lies {where} it"
        )


def judge_masks(
    features: FeatureStream,
    data: Dataset,
    groups: npt.NDArray[np.int64],
    progress: ShowProgress | None = None,
) -> list[MaskDoubt]:
    """Every mask with its fit, worst first; none where there are too few masks to learn."""
    odd = MaskFindings()
    cells = [read_mask_cells(data, row, features.recipe, odd) for row in range(len(data))]
    for finding in odd.findings():
        log.warning("%s", finding.message)
    masked = [c is not None and bool(c.any()) for c in cells]
    numbers = np.unique(groups)
    if sum(masked) < LEAST_MASKS or any(not np.any(masked & (groups != g)) for g in numbers):
        return []
    clean, marked = _learn(features, data, groups, cells, progress)
    heads = {g: _head(*(moments_without(of, int(g)) for of in (clean, marked))) for g in numbers}
    rows = np.flatnonzero(masked)
    maps = {
        int(row): x @ heads[groups[row]]
        for row, x in zip(rows, patches(features, data.take(rows)), strict=True)
    }
    apart = mahalanobis_maps(features, data, groups, rows.tolist(), progress)
    away = {int(row): x for row, x in zip(rows, apart, strict=True)}
    names = data.table["image"]
    doubts = []
    for group in numbers:
        others = [(maps[row], cells[row]) for row in maps if groups[row] != group]
        level = _best_level(others)
        doubts += [
            _doubt(names[row], maps[row], away[row], cells[row], level)
            for row in maps
            if groups[row] == group
        ]
    return sorted(doubts, key=lambda doubt: (doubt.fit, doubt.image))


def _learn(
    features: FeatureStream,
    data: Dataset,
    groups: npt.NDArray[np.int64],
    cells: list[Mask | None],
    progress: ShowProgress | None,
) -> tuple[dict[int, RunningMoments], dict[int, RunningMoments]]:
    """The moments of clean and of marked patches by group."""
    clean: dict[int, RunningMoments] = {}
    marked: dict[int, RunningMoments] = {}
    for row, x in enumerate(patches(features, data)):
        mask, group = cells[row], int(groups[row])
        if mask is not None:
            for of, chosen in ((clean, ~mask), (marked, mask)):
                of.setdefault(group, RunningMoments.empty(x.shape[-1])).add(x[chosen])
        if progress:
            progress(Progress("learning masks", row + 1, len(data)))
    return clean, marked


def _head(clean: RunningMoments, marked: RunningMoments) -> Floats:
    """Direction of the discriminant between both kinds of patches, float32 [C]."""
    clean_mean, clean_spread = clean.mean_and_covariance()
    marked_mean, marked_spread = marked.mean_and_covariance()
    direction = np.linalg.solve((clean_spread + marked_spread) / 2, marked_mean - clean_mean)
    return np.asarray(direction, np.float32)


def _best_level(judged: list[tuple[Floats, Mask | None]]) -> float:
    """The threshold with the best pooled intersection over union."""
    values = np.concatenate([map_.ravel() for map_, _ in judged])
    truth = np.concatenate([np.asarray(mask).ravel() for _, mask in judged])
    levels = np.quantile(values, np.linspace(0.5, 0.999, _BINS))
    found = [(np.count_nonzero(truth & (values > v)), np.count_nonzero(values > v)) for v in levels]
    overlaps = [both / (int(truth.sum()) + marked - both or 1) for both, marked in found]
    return float(levels[int(np.argmax(overlaps))])


def _doubt(image: str, map_: Floats, away: Floats, mask: Mask | None, level: float) -> MaskDoubt:
    given = np.asarray(mask, bool)
    marked = map_ > level
    both, either = np.count_nonzero(given & marked), np.count_nonzero(given | marked)
    near = cv2.dilate(given.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    peak = np.unravel_index(int(map_.argmax()), map_.shape)
    areas = [auroc(values.ravel(), given.ravel()) for values in (map_, away)]
    # A mask of the whole image leaves nothing to rank below it.
    fit = float(np.mean([0.5 if area is None else area for area in areas]))
    return MaskDoubt(image, fit, both / (either or 1), bool(near[peak]))
