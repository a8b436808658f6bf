"""Patch features of an image, and their Mahalanobis distance to good patches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.dataset.mask_findings import MaskFindings
from blemish.features.feature_stream import FeatureStream
from blemish.images import Recipe, look_at_mask, read_eight_bit, unfit
from blemish.util.progress import Progress, ShowProgress

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

STRIDE = 8  # input pixels per patch
LAYERS = ("block4", "block10")
RIDGE = 1e-2  # times the mean variance of a channel
LEARNT = 120  # images a group
_SHARED = 0.25  # of a cell that a mask must cover to mark it


def patches(features: FeatureStream, data: Dataset) -> Iterator[Floats]:
    """The patches of each image in row order, float32 [h, w, C]; coarser layers are repeated."""
    side = features.recipe.height // STRIDE
    for batch in features.batches(data.images):
        stacked = [_spread(batch.layers[name], side) for name in LAYERS]
        yield from np.ascontiguousarray(np.concatenate(stacked, axis=1).transpose(0, 2, 3, 1))


def _spread(layer: Floats, side: int) -> Floats:
    factor = side // layer.shape[-1]
    return layer.repeat(factor, axis=2).repeat(factor, axis=3)


def mask_cells(mask: Mask, side: int) -> Mask:
    """The cells [side, side] of which a mask covers a quarter, or the one it covers most."""
    rows = np.linspace(0, mask.shape[0], side + 1).round().astype(int)
    columns = np.linspace(0, mask.shape[1], side + 1).round().astype(int)
    area = np.pad(mask.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = area[rows][:, columns]
    count = np.diff(np.diff(inside, axis=0), axis=1)
    size = np.outer(np.maximum(np.diff(rows), 1), np.maximum(np.diff(columns), 1))
    share = count / size
    marked = share >= _SHARED
    return np.asarray(marked if marked.any() or not mask.any() else share == share.max(), bool)


def read_mask_cells(data: Dataset, row: int, recipe: Recipe, odd: MaskFindings) -> Mask | None:
    """The marked cells of an image's mask; all False where it is good, None where it is unknown.

    What is odd about the mask joins `odd`.
    """
    side = recipe.height // STRIDE
    if data.table["label"][row] == "good":
        return np.zeros((side, side), bool)
    path = data.masks[row]
    if path is None:
        return None
    shape = read_eight_bit(data.images[row], recipe.window).shape
    reading = look_at_mask(path, (shape[0], shape[1]))
    odd.add(data.table["mask"][row], reading)
    return mask_cells(reading.marked, side)


@dataclass(eq=False)
class RunningMoments:
    """Count, sum and second moment of patches, from which mean and covariance follow."""

    weight: float
    first: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]

    @classmethod
    def empty(cls, channels: int) -> RunningMoments:
        """The moments of no patch."""
        return cls(0.0, np.zeros(channels), np.zeros((channels, channels)))

    def add(self, x: Floats, sign: float = 1.0) -> None:
        """Add patches [p, C], or remove them with the sign -1."""
        self.weight += sign * len(x)
        self.first += sign * x.sum(0, dtype=np.float64)
        self.second += sign * (x.T @ x)

    def plus(self, other: RunningMoments) -> RunningMoments:
        """The moments of both."""
        return RunningMoments(
            self.weight + other.weight, self.first + other.first, self.second + other.second
        )

    def mean_and_covariance(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Both regularised, float64 [C] and [C, C]."""
        mean = self.first / max(self.weight, 1.0)
        covariance = self.second / max(self.weight, 1.0) - np.outer(mean, mean)
        scale = max(float(np.trace(covariance)) / len(mean), 1e-12)
        return mean, covariance + RIDGE * scale * np.eye(len(mean))


def mahalanobis_map(x: Floats, of_good: RunningMoments) -> Floats:
    """Mahalanobis distance of each patch [h, w, C] to good patches: float32 [h, w]."""
    mean, covariance = of_good.mean_and_covariance()
    root = np.linalg.cholesky(covariance)
    away = np.linalg.solve(root, (x.reshape(-1, x.shape[-1]) - mean).T)
    return np.asarray(np.sqrt((away**2).sum(0)).reshape(x.shape[:2]), np.float32)


def map_on_image(map_: Floats, recipe: Recipe, shape: tuple[int, int]) -> Floats:
    """A map of cells, resized to the pixels of its image."""
    return unfit(map_, np.array([0, 0, recipe.height, recipe.width]), recipe, shape)


def mahalanobis_maps(
    features: FeatureStream,
    data: Dataset,
    groups: npt.NDArray[np.int64],
    rows: list[int],
    progress: ShowProgress | None = None,
) -> Iterator[Floats]:
    """Out-of-fold anomaly maps [h, w] of these rows: the distance to good patches of other groups.

    At most `LEARNT` images labelled good are read for each group.
    """
    moments: dict[int, RunningMoments] = {}
    good = (data.table["label"] == "good").to_numpy()
    learnt = np.sort(
        np.concatenate([np.flatnonzero(good & (groups == g))[:LEARNT] for g in np.unique(groups)])
    )
    for done, (row, x) in enumerate(
        zip(learnt, patches(features, data.take(learnt)), strict=True), 1
    ):
        of = moments.setdefault(int(groups[row]), RunningMoments.empty(x.shape[-1]))
        of.add(x.reshape(-1, x.shape[-1]))
        if progress:
            progress(Progress("learning where good parts vary", done, len(learnt)))
    for row, x in zip(rows, patches(features, data.take(rows)), strict=True):
        yield mahalanobis_map(x, moments_without(moments, int(groups[row])))


def moments_without(moments: dict[int, RunningMoments], group: int) -> RunningMoments:
    """The moments of all groups but one; of that one, where there is no other."""
    [first, *rest] = [of for g, of in sorted(moments.items()) if g != group] or [moments[group]]
    for one in rest:
        first = first.plus(one)
    return first
