"""What a training came to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blemish.calibration.promise import Calibration


@dataclass(frozen=True)
class Trained:
    """A model that was written: its file, its threshold, its card, and the seconds it took.

    `not_kept` counts pictures of defects that were learnt and that the model has no room for.
    """

    path: Path
    calibration: Calibration
    card: dict[str, Any]
    seconds: float
    not_kept: int = 0

    @property
    def categories(self) -> dict[str, dict[str, Any]]:
        """The card's entries on the thresholds of single categories, where there are several."""
        return dict(self.card["calibration"].get("categories", {}))

    @property
    def provisional(self) -> bool:
        """Whether the promise is not proven, over all or for one of several categories."""
        entries = self.categories.values()
        return self.calibration.provisional or any(entry["provisional"] for entry in entries)

    @property
    def comparison(self) -> dict[str, Any] | None:
        """Before and after, where the training went on from a model."""
        return self.card.get("comparison")

    @property
    def unfinished(self) -> str | None:
        """How far a training came that the budget cut short, in words; else None."""
        fit = self.card["fit"]
        if fit.get("steps") == fit.get("steps_planned"):
            return None
        return f"{fit['steps']:,} of {fit['steps_planned']:,} steps"
