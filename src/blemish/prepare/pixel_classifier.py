"""A random forest that tells defect from background, pixel by pixel; needs scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blemish.errors import BlemishError
from blemish.prepare.mask_settings import MaskSettings
from blemish.prepare.pixel_features import Features, bands, pixel_features
from blemish.prepare.scribbles import (
    BACKGROUND,
    DEFECT,
    UNLABELLED,
    Labels,
    distance,
    reach,
    refuse_one_label,
)
from blemish.util.threads import default_threads, in_order

_MOST_PIXELS = 5_000  # of one label in one image; neighbours say the same again


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled pixels: features float32 [n, F] and whether each is a defect, bool [n]."""

    features: Features
    defect: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PixelClassifier:
    """A trained forest (sklearn's RandomForestClassifier) and the settings it was trained with."""

    forest: Any
    settings: MaskSettings

    def probability(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """How many of the trees see a defect at each pixel of an image [H, W(, 3)], 0 to 1."""
        scales = self.settings.scales

        def of_band(rows: slice) -> NDArray[np.float32]:
            return self.of_features(pixel_features(image, scales, rows))

        return np.concatenate(list(in_order(of_band, bands(image, scales), default_threads())))

    def of_features(self, features: Features) -> NDArray[np.float32]:
        """The same of pixels whose features [h, W, F] are known: float32 [h, W]."""
        shares = self.forest.predict_proba(features.reshape(-1, features.shape[2]))[:, 1]
        return np.asarray(shares, np.float32).reshape(features.shape[:2])


def require_sklearn() -> None:
    """Raise BlemishError where scikit-learn is not installed."""
    try:
        import sklearn.ensemble  # noqa: F401
    except ImportError as error:
        raise BlemishError(
            "masks from scribbles need scikit-learn; install it with pip install 'blemish[label]'"
        ) from error


def samples(
    image: NDArray[Any], labels: Labels, settings: MaskSettings, rng: np.random.Generator
) -> Samples:
    """The labelled pixels of an image, and some far from any defect stroke, taken as background.

    `image` is [H, W] or [H, W, 3], `labels` uint8 [H, W].
    """
    chosen = to_learn(labels, settings, rng)
    found, defect = [], []
    for rows in bands(image, settings.scales):
        here = chosen[rows]
        if here.any():
            features = pixel_features(image, settings.scales, rows)
            found.append(features[here != UNLABELLED])
            defect.append(here[here != UNLABELLED] == DEFECT)
    return Samples(np.concatenate(found), np.concatenate(defect))


def train(parts: Sequence[Samples], settings: MaskSettings) -> PixelClassifier:
    """Train a forest on the labelled pixels of all images; the same whatever the threads.

    Raises BlemishError without pixels of either label, and where scikit-learn is not installed.
    """
    require_sklearn()
    from sklearn.ensemble import RandomForestClassifier

    features = np.concatenate([part.features for part in parts])
    defect = np.concatenate([part.defect for part in parts])
    refuse_one_label(np.where(defect, DEFECT, BACKGROUND))
    forest = RandomForestClassifier(
        n_estimators=settings.trees,
        class_weight="balanced",
        random_state=settings.seed,
        n_jobs=default_threads(),
    )
    forest.fit(features, defect)
    # Threads add the trees' votes in any order; one thread per band adds them always alike.
    forest.n_jobs = 1
    return PixelClassifier(forest, settings)


def to_learn(labels: Labels, settings: MaskSettings, rng: np.random.Generator) -> Labels:
    """The labels to learn from: those drawn, at most so many of each, and `elsewhere`."""
    chosen = np.zeros_like(labels)
    for label in (BACKGROUND, DEFECT):
        _choose(chosen, labels == label, label, _MOST_PIXELS, rng)
    strokes = labels == DEFECT
    if settings.elsewhere and strokes.any():
        far = (distance(strokes) > reach(strokes)) & (labels == UNLABELLED)
        _choose(chosen, far, BACKGROUND, settings.elsewhere, rng)
    return chosen


def _choose(
    chosen: Labels, where: NDArray[np.bool_], label: int, most: int, rng: np.random.Generator
) -> None:
    places = np.flatnonzero(where)
    if len(places) > most:
        places = rng.choice(places, most, replace=False)
    chosen.ravel()[places] = label
