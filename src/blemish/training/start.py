"""What a training begins with: its data alone, or a model to go on from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from blemish.dataset import Dataset
from blemish.detectors.base import Detector, ShowProgress
from blemish.images import Recipe
from blemish.model.card import Card
from blemish.training.copies import Copies
from blemish.training.plan import Plan
from blemish.training.replay_buffer import KeptDefect


class Start(Protocol):
    """What differs between a fresh training and a warm start."""

    @property
    def key(self) -> Sequence[str]:
        """What the trained model depends on, beside data, detector and plan."""

    @property
    def files(self) -> Sequence[Path]:
        """Files that are still needed, so that no model may be written over them."""

    @property
    def kept(self) -> Sequence[KeptDefect]:
        """The replay buffer: pictures of defects that the model so far keeps."""

    @property
    def already(self) -> int:
        """How many of the pictures of defects that were given it had been taught before."""

    @property
    def warm_start(self) -> bytes | None:
        """The model whose weights the detector's `fit` begins with."""

    def detector_for(self, plan: Plan) -> Detector:
        """The detector that is fitted."""

    def recipe_for(self, data: Dataset, plan: Plan) -> Recipe:
        """The preprocessing."""

    def usable(self, data: Dataset) -> Dataset:
        """The rows that may be used, in training or to compare models. Raises DatasetError."""

    def hold_out(
        self, data: Dataset, plan: Plan, good: Dataset, copies: Copies
    ) -> tuple[Dataset, Dataset]:
        """The good rows to learn from, and those of other parts that set the threshold.

        `data` has no copies; `good` are its good rows with them.
        """

    def with_more_defects(self, data: Dataset, folder: Path) -> Dataset:
        """`data` with the defects to learn beside its own; `folder` is for their pictures."""

    def test_rows(self, data: Dataset) -> Dataset:
        """The rows on which the model is compared with the one before."""

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
        """The card of the model `graph`, with what is to be told of the model before.

        `usable` are the rows of `data` that could be used, `learnt` those of real defects that are
        not from the replay buffer.
        """
