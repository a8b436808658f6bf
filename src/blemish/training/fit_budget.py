"""How the time budget of a training is shared between its fits and what comes after them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blemish.detectors.base import Clock, FittedDetector
from blemish.features.stream import FeatureStream

HEADS = 4  # a detector may take so many times as long as its backbone alone


@dataclass
class Fits:
    """The fits of one training, `to_come` of them, and the clock of what follows each.

    `reserve`, in seconds, is for what comes after the last one. Only a network that is trained in
    steps has a use for a share of the time; for any other detector it is None.
    """

    clock: Clock
    to_come: int
    reserve: float | None = None
    finished: bool = True

    def budget(self) -> float | None:
        """Seconds for the next fit."""
        left = self.clock.left
        if left is None or self.reserve is None:
            return left
        return max(0.0, left - self.reserve) / self.to_come

    def made(self, fitted: FittedDetector) -> None:
        """One fit is done. When the last was cut short, the rest takes what it takes."""
        self.to_come -= 1
        self.finished &= fitted.finished
        if not self.to_come and not self.finished:
            self.clock = Clock(None)


def seconds_to_score(features: FeatureStream, images: Sequence[Path], more: int) -> float:
    """What scoring these images, and `more` like them, will take: a guess from one of them."""
    stream = FeatureStream(
        features.backbone, [layer.name for layer in features.layers], features.recipe
    )
    list(stream.batches(images[:1]))  # opens the session
    began = time.monotonic()
    list(stream.batches(images[:1]))
    return HEADS * (time.monotonic() - began) * (len(images) + more)
