"""A training that begins with its data alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from blemish.dataset import Dataset
from blemish.detectors import open_detector
from blemish.detectors.base import Detector, ShowProgress
from blemish.images import Recipe
from blemish.model.card import Card
from blemish.training.copies import Copies
from blemish.training.hold_out import hold_out_parts
from blemish.training.plan import Plan, make_recipe
from blemish.training.replay_buffer import KeptDefect


@dataclass(frozen=True)
class FreshStart:
    """No model before: all of the data may be used, and the plan says the rest."""

    key: ClassVar[Sequence[str]] = ()
    files: ClassVar[Sequence[Path]] = ()
    kept: ClassVar[Sequence[KeptDefect]] = ()
    already: ClassVar[int] = 0
    warm_start: ClassVar[bytes | None] = None

    def detector_for(self, plan: Plan) -> Detector:
        """The plan's detector."""
        return open_detector(plan.detector, plan.settings, preset=plan.preset)

    def recipe_for(self, data: Dataset, plan: Plan) -> Recipe:
        """The preprocessing of the plan, with one window for what is not of the test."""
        return make_recipe(plan, data.split("train").images + data.split("validation").images)

    def usable(self, data: Dataset) -> Dataset:
        """All of it."""
        return data

    def hold_out(
        self, data: Dataset, plan: Plan, good: Dataset, copies: Copies
    ) -> tuple[Dataset, Dataset]:
        """The good rows to learn from, and those of other parts that set the threshold."""
        return hold_out_parts(
            data, plan.promise, share=plan.hold_out, cross_fit=plan.cross_fit, seed=plan.seed
        )

    def with_more_defects(self, data: Dataset, folder: Path) -> Dataset:
        """The data as it is: it holds all defects that there are."""
        return data

    def test_rows(self, data: Dataset) -> Dataset:
        """None: there is nothing to compare with."""
        return data.take([])

    def complete_card(
        self,
        card: Card,
        graph: bytes,
        *,
        data: Dataset,
        usable: Dataset,
        learnt: Dataset,
        progress: ShowProgress | None = None,
    ) -> Card:
        """The card as it is."""
        return card


FRESH_START = FreshStart()
