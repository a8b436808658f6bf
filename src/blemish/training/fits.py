"""The fits of one training: the model's own, and those to some of the parts, which score others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blemish.calibration.part_calibration import HeldOut
from blemish.dataset import Dataset
from blemish.detectors import trained_in_steps
from blemish.detectors.base import Clock, Detector, FitContext, FittedDetector, ShowProgress
from blemish.features.backbone import open_backbone
from blemish.features.device import find_device
from blemish.features.feature_stream import FeatureStream
from blemish.images import Recipe
from blemish.inspector import Inspector
from blemish.training.fit_budget import FitBudget
from blemish.training.hold_out import with_defects
from blemish.training.plan import Plan
from blemish.training.unseen_scores import score_images


def open_features(detector: Detector, recipe: Recipe, cache: Path | None) -> FeatureStream:
    """The features that the detector reads, computed where it is trained."""
    return FeatureStream(
        open_backbone(detector.backbone),
        detector.layers,
        recipe,
        folder=cache,
        device=find_device() if trained_in_steps(detector) else "cpu",
    )


@dataclass(frozen=True, eq=False)
class Fits:
    """What the fits of one training have in common.

    `data` holds the known defects, `warm_start` is the model that a fit begins with, and `folder`
    is where it leaves what it can be resumed with.
    """

    data: Dataset
    detector: Detector
    features: FeatureStream
    plan: Plan
    warm_start: bytes | None
    budget: FitBudget
    folder: Path
    progress: ShowProgress | None

    def fit(self, good: Dataset, name: str = "fit") -> FittedDetector:
        """The detector fitted to these good rows, and to known defects where it learns from them.

        Raises BudgetExceeded.
        """
        context = FitContext(
            self.features,
            self.plan.seed,
            Clock(self.budget.seconds()),
            self.progress,
            self.folder / name,
            self.warm_start,
        )
        fitted = self.detector.fit(with_defects(self.data, good, self.plan.detector), context)
        self.budget.made(fitted)
        return fitted

    def inspector(self, fitted: FittedDetector) -> Inspector:
        """An inspector that scores, and decides nothing yet."""
        return Inspector(fitted.graph, self.features.recipe)

    def scores(self, inspector: Inspector, rows: Dataset) -> Iterator[HeldOut]:
        """The scores of good rows that were not learnt from. Raises BudgetExceeded."""
        return score_images(inspector, rows, self.budget.clock, self.progress)

    def score_unseen(self, good: Dataset, left_out: Dataset, name: str) -> Iterator[HeldOut]:
        """The scores of the rows `left_out` by a model of the `good` ones."""
        return self.scores(self.inspector(self.fit(good, name)), left_out)
