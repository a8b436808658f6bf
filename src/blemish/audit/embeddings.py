"""Image embeddings: pooled features of a frozen backbone, reduced by principal components (PCA).

The components are learnt from all images without their labels, so no label leaks into them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.errors import DatasetError
from blemish.features.backbone import BUNDLED, open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.images import Recipe, find_window
from blemish.util.progress import Progress, ShowProgress

Floats = npt.NDArray[np.float64]

LAYERS = ("block4", "block10", "block14")
SIZE = 256  # pixels
DIRECTIONS = 400


def open_features(data: Dataset, **options: object) -> FeatureStream:
    """The stream that an audit of these images reads; `options` are those of FeatureStream."""
    recipe = Recipe(SIZE, SIZE, "squash", find_window(data.images))
    return FeatureStream(open_backbone(BUNDLED), LAYERS, recipe, **options)  # type: ignore[arg-type]


def pooled_features(
    features: FeatureStream, data: Dataset, progress: ShowProgress | None = None
) -> Floats:
    """Mean, standard deviation and maximum of every channel of each image: float64 [n, 3 C]."""
    rows: list[npt.NDArray[np.float32]] = []
    images = data.images
    for batch in features.batches(images):
        layers = [x.reshape(*x.shape[:2], -1) for x in batch.layers.values()]
        of = (np.mean, np.std, np.max)
        rows.append(np.concatenate([pool(x, axis=2) for pool in of for x in layers], axis=1))
        if progress:
            progress(Progress("computing features", int(batch.image[-1]) + 1, len(images)))
    if not rows:
        raise DatasetError(f"{data.root} holds no image to audit.")
    return np.concatenate(rows).astype(np.float64)


def principal_components(vectors: Floats, directions: int = DIRECTIONS) -> Floats:
    """PCA scores [n, k] of vectors [n, d], standardised first.

    Scaled so that the mean squared length of a row is about 1; k is at most n - 1.
    """
    spread = vectors.std(0)
    centred = (vectors - vectors.mean(0)) / np.where(spread > 0, spread, 1)
    centred /= np.sqrt(vectors.shape[1])
    values, axes = np.linalg.eigh(centred @ centred.T)
    largest = np.argsort(-values)[: max(1, min(directions, len(vectors) - 1))]
    return np.asarray(axes[:, largest] * np.sqrt(np.maximum(values[largest], 0)), np.float64)
