"""How the time budget of a training is shared between its fits and what comes after them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from blemish.detectors import trained_in_steps
from blemish.detectors.base import Clock, Detector, FittedDetector
from blemish.features.feature_stream import FeatureStream

HEADS = 4  # a detector may take so many times as long as its backbone alone


@dataclass
class FitBudget:
    """The time for the fits of one training, `to_come` of them, and the clock of what follows each.

    `reserve`, in seconds, is for what comes after the last one. Only a network that is trained in
    steps has a use for a share of the time; for any other detector it is None.
    """

    clock: Clock
    to_come: int
    reserve: float | None = None
    finished: bool = True

    @classmethod
    def of(
        cls,
        clock: Clock,
        fits: int,
        detector: Detector,
        features: FeatureStream,
        image: Path,
        to_score: int,
    ) -> Self:
        """The budget of so many `fits`, with a reserve for `to_score` images such as `image`."""
        if clock.budget is None or not trained_in_steps(detector):
            return cls(clock, fits)
        return cls(clock, fits, HEADS * to_score * _seconds_to_run(features, image))

    def seconds(self) -> float | None:
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


def _seconds_to_run(features: FeatureStream, image: Path) -> float:
    """What the backbone takes for one image: a guess from that image."""
    stream = FeatureStream(
        features.backbone, [layer.name for layer in features.layers], features.recipe
    )
    list(stream.batches([image]))  # opens the session
    began = time.monotonic()
    list(stream.batches([image]))
    return time.monotonic() - began
