"""What a training came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from blemish.calibration.part_calibration import PartCalibration
from blemish.calibration.promise import Calibration
from blemish.model.card import Card, ModelComparison


@dataclass(frozen=True)
class Trained:
    """A model that was written: its file, its card, and the seconds it took.

    `not_kept` counts pictures of defects that were learnt and that the model has no room for;
    `previous` is where the model that this one replaced is kept.
    """

    path: Path
    card: Card
    seconds: float
    not_kept: int = 0
    previous: Path | None = None

    @property
    def calibration(self) -> Calibration:
        """The threshold on parts, over all categories."""
        return self.card.calibration.limit

    @property
    def categories(self) -> Mapping[str, PartCalibration]:
        """The thresholds of single categories, where there are several."""
        return self.card.calibration.categories

    @property
    def provisional(self) -> bool:
        """Whether the promise is not proven, over all or for one of several categories."""
        entries = self.categories.values()
        return self.calibration.provisional or any(entry.provisional for entry in entries)

    @property
    def comparison(self) -> ModelComparison | None:
        """Before and after a warm start."""
        return self.card.comparison

    @property
    def unfinished(self) -> str | None:
        """How far a training came that the budget cut short, in words; else None."""
        fit = self.card.fit
        if fit.get("steps") == fit.get("steps_planned"):
            return None
        return f"{fit['steps']:,} of {fit['steps_planned']:,} steps"
