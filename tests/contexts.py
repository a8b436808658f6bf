"""The context of a fit, and a time that does not depend on the machine, for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from blemish.detectors.base import Clock, FitContext
from blemish.features.backbone import open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.images import Recipe


def context(seed: int = 0, **options: Any) -> FitContext:
    """A context whose features are of the bundled backbone, for what reads none of them."""
    features = FeatureStream(open_backbone(), ["block4"], Recipe(64, 64, "squash"))
    return FitContext(features, seed, **options)


@contextlib.contextmanager
def an_hour_later() -> Iterator[None]:
    """Every clock has run for an hour whenever it is looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Clock, "elapsed", 3600.0)
        yield
