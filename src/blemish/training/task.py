"""One training: what it learns from, and the steps from there to a model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from blemish.calibration.part_calibration import calibrate_parts
from blemish.dataset import Dataset, ensure_sound
from blemish.dataset.mask_findings import findings_of
from blemish.detectors import DETECTORS, learns_from_defects
from blemish.detectors.base import Clock, Detector, ShowProgress
from blemish.errors import DatasetError
from blemish.images import Recipe
from blemish.model.card import Card
from blemish.model.golden import golden_members
from blemish.training.card_entries import describe, make_card
from blemish.training.copies import Copies, NearCopies, with_copies
from blemish.training.fit_budget import FitBudget
from blemish.training.fits import Fits, open_features
from blemish.training.hold_out import check_categories, refuse_tested, with_defects
from blemish.training.latency import LATENCY_IMAGES, measure_latency
from blemish.training.plan import Plan
from blemish.training.replay_buffer import keep, members, not_extracted
from blemish.training.resume_folder import resume_key
from blemish.training.start import Start
from blemish.training.unseen_scores import cross_fit_scores, learn_view_scales, need_views

log = logging.getLogger("blemish")


@dataclass(frozen=True, eq=False)
class FittedModel:
    """What an artifact is made of: the graph, its card, and the further members by name.

    `finished` is False where the budget cut the training short; `not_kept` counts pictures of
    defects that were learnt and that the model has no room for.
    """

    graph: bytes
    card: Card
    members: Mapping[str, bytes]
    finished: bool = True
    not_kept: int = 0


@dataclass(frozen=True, eq=False)
class Division:
    """Which rows of a data set do what.

    `usable` are those that may be used, without `copies`; `good` those of them to learn from, and
    `held_out` those of other parts that set the threshold, of which `near_copies` tells.
    """

    usable: Dataset
    good: Dataset
    held_out: Dataset
    copies: Copies
    near_copies: NearCopies


@dataclass(frozen=True, eq=False)
class TrainingTask:
    """A training that can begin; `usable` are the rows of `data` that may be used."""

    data: Dataset
    usable: Dataset
    plan: Plan
    start: Start
    detector: Detector
    recipe: Recipe

    @classmethod
    def of(cls, data: Dataset, plan: Plan, start: Start) -> TrainingTask:
        """The training of `data`. Raises DatasetError where it cannot be trained on."""
        plan = replace(plan, detector=DETECTORS.label(plan.detector))
        detector = start.detector_for(plan)
        check_categories(data, plan.detector)
        ensure_sound(data, allow_defects=learns_from_defects(plan.detector))
        usable = start.usable(data)
        refuse_tested(usable, plan.detector)
        return cls(data, usable, plan, start, detector, start.recipe_for(data, plan))

    @property
    def key(self) -> str:
        """What a resumed training must have in common with the one that it goes on with."""
        return resume_key(self.data.fingerprint(), self.detector, self.plan, self.start.key)

    def divide(self, clock: Clock, progress: ShowProgress | None) -> Division:
        """Look at all good pictures, leave out copies, and hold parts out.

        Raises BudgetExceeded, ImageError for an image that cannot be read, and DatasetError for too
        few parts.
        """
        plan, usable = self.plan, self.usable
        good = usable.where(pl.col("split") != "test").good()
        copies = Copies.among(good, cache=plan.cache, clock=clock, progress=progress)
        copies.tell(good)
        usable = copies.without(usable)
        if len(good.split("validation")) and not len(usable.split("validation").good()):
            raise DatasetError(
                f"{good.root}: each good part of the validation split is a copy of one that is "
                "learnt from; put parts there that the model does not see, or leave out the split"
            )
        learnt, held = self.start.hold_out(usable, plan, good, copies)
        if plan.view_scales:
            need_views(learnt, plan.cross_fit)
        unseen = (learnt.take([]), learnt) if plan.cross_fit else (learnt, held)
        near = NearCopies.among(*unseen, copies, progress)
        return Division(usable, learnt, held, copies.without_looks(), near)

    def run(self, folder: Path, clock: Clock, progress: ShowProgress | None) -> FittedModel:
        """Divide, fit, score, calibrate; `folder` holds what a stopped run leaves for the next one.

        Raises BudgetExceeded, ImageError for an image that cannot be read, and as `divide`.
        """
        clock.check("reading the data set")
        plan, start, division = self.plan, self.start, self.divide(clock, progress)
        good, held_out = division.good, division.held_out
        usable = start.with_more_defects(division.usable, folder / "taught")
        learnt = with_defects(usable, good, plan.detector)
        new_defects = not_extracted(learnt.real(), folder / "taught")
        kept, not_kept = keep(start.kept, new_defects, self.recipe)
        taught = learnt.with_table(pl.concat([learnt.synthetic().table, new_defects.table]))
        for finding in findings_of(taught):
            log.warning("%s", finding.message)

        features = open_features(self.detector, self.recipe, plan.cache)
        to_score = LATENCY_IMAGES + len(held_out) + 2 * len(start.test_rows(usable))
        budget = FitBudget.of(clock, plan.fits, self.detector, features, good.images[0], to_score)
        fits = Fits(
            usable, self.detector, features, plan, start.warm_start, budget, folder, progress
        )
        scores = cross_fit_scores(good, plan.cross_fit, plan.seed, fits.score_unseen)
        scales = None
        if plan.view_scales:
            scales = learn_view_scales(good, plan.seed, folder, fits.score_unseen)
        fitted = fits.fit(good)

        inspector = fits.inspector(fitted)
        scores += fits.scores(inspector, held_out)
        calibration = calibrate_parts(scores, plan.promise, plan.method)
        calibration = with_copies(calibration, division.copies, division.near_copies)

        latency, shape = measure_latency(inspector, good.images)
        golden, golden_score = golden_members(
            self.recipe, lambda pixels: inspector.look_at(pixels).score, shape
        )
        pictures, entries = members(kept)
        card = make_card(
            self.detector,
            features,
            plan,
            fitted,
            data=describe(self.data, learnt, held_out, plan, division.copies),
            calibration=calibration,
            views=scales,
            defects=entries,
            latency=latency,
            golden_score=golden_score,
        )
        card = start.complete_card(
            card,
            fitted.graph,
            data=self.data,
            usable=usable,
            learnt=new_defects,
            progress=progress,
        )
        return FittedModel(fitted.graph, card, {**golden, **pictures}, budget.finished, not_kept)
