"""The context of a fit, for tests."""

from __future__ import annotations

from typing import Any

from blemish.detectors.base import FitContext
from blemish.features.backbone import open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.images import Recipe


def context(seed: int = 0, **options: Any) -> FitContext:
    """A context whose features are of the bundled backbone, for what reads none of them."""
    features = FeatureStream(open_backbone(), ["block4"], Recipe(64, 64, "squash"))
    return FitContext(features, seed, **options)
