"""An experiment with real defects: the data, a supervised detector, the number of draws."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from blemish.benchmark.outside_files import label_in, settings_in
from blemish.benchmark.protocol import pairs
from blemish.benchmark.runs import Job, Pairs, Run
from blemish.benchmark.sources import DataLocation, open_category, open_location
from blemish.dataset import Dataset
from blemish.dataset.label_words import name_some
from blemish.detectors import DETECTORS, detector_names, learns_from_defects, open_detector
from blemish.errors import BlemishError, DatasetError

K_FOLD = "k_fold"


@dataclass(frozen=True)
class SupervisedDetector:
    """A detector that learns from defects, with its settings as `KEY=VALUE` texts.

    `tile` is the side of its tiles in original pixels (None: its usual one; 0: whole pictures).
    """

    detector: str
    preset: str | None = None
    settings: Pairs = ()
    tile: int | None = None

    def check(self) -> None:
        """Raise BlemishError for one that learns from good parts alone, or does not exist."""
        if DETECTORS.has(self.detector) and not learns_from_defects(self.detector):
            able = ", ".join(name for name in detector_names() if learns_from_defects(name))
            raise BlemishError(
                f"{self.detector} does not learn from defects, so that their number makes no "
                f"difference to it; these do: {able}"
            )
        open_detector(self.detector, dict(self.settings), preset=self.preset)


@dataclass(frozen=True)
class Experiment:
    """The data of one category, their location, and the detector that is trained on them.

    Each of the `draws` has a seed of its own, from `seed` on, which draws folds and real defects
    and trains with it.
    """

    data: Dataset
    location: DataLocation
    learner: SupervisedDetector
    draws: int = 3
    seed: int = 0

    @property
    def seeds(self) -> range:
        """The seed of each draw."""
        return range(self.seed, self.seed + self.draws)

    def job(self, name: str, split: str, settings: Pairs, seed: int) -> Job:
        """One training and its test; `name` is what the split is called."""
        category, learner = self.data.categories[0], self.learner
        run = Run(
            protocol="defects",
            data=self.data.name,
            category=category,
            variant=name,
            split=split,
            split_settings=tuple(sorted(settings)),
            detector=label_in(DETECTORS, learner.detector, Path()),
            preset=learner.preset,
            settings=pairs(settings_in(dict(learner.settings), Path())),
            size=None,
            resize="squash",
            tile=learner.tile,
            seed=seed,
            fingerprint=open_category(self.location, category)[1],
        )
        return Job.of(run, self.location)

    def folds(self, name: str, k: int, settings: Pairs, seed: int) -> list[Job]:
        """A job for each of `k` folds, so that every part is tested once."""
        return [
            self.job(name, K_FOLD, (("k", str(k)), ("fold", str(fold)), *settings), seed)
            for fold in range(1, k + 1)
        ]


def experiment_of(
    location: DataLocation,
    category: str | None,
    learner: SupervisedDetector,
    *,
    draws: int = 3,
    seed: int = 0,
) -> Experiment:
    """The experiment on one category of the data at a location.

    Raises BlemishError for a detector that does not learn from defects, and DatasetError for
    several categories and for data without good parts or without real defective ones.
    """
    learner.check()
    if draws < 1:
        raise BlemishError(f"--draws {draws} must be 1 or more")
    data = open_location(location)
    if category is None and len(data.categories) > 1:
        raise DatasetError(
            f"{data.root} holds {len(data.categories)} categories ({name_some(data.categories)}): "
            "choose one with --category"
        )
    data = open_category(location, category or data.categories[0])[0] if len(data) else data
    for label, rows in (("good", data.good()), ("defective", data.real())):
        if not len(rows):
            also = "; synthetic ones do not count" * (label == "defective")
            raise DatasetError(
                f"{data.root} has no {label} part: what real defects are worth is told by good and "
                f"defective parts that are tested{also}"
            )
    return Experiment(data, location, learner, draws, seed)


def kinds_of(data: Dataset) -> dict[str, tuple[str, ...]]:
    """The kinds of real defect that each defective part shows, in sorted order."""
    rows = data.real().table.group_by("part").agg(pl.col("defect").drop_nulls().unique().sort())
    return {part: tuple(kinds) for part, kinds in rows.sort("part").iter_rows()}
