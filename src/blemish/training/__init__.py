"""From a data set to a model: hold-out, fit, scores, calibration, artifact."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from blemish.artifact import write_artifact
from blemish.calibration.held_out import calibrate_parts
from blemish.dataset import Dataset, ensure_sound
from blemish.detectors import learns_from_defects
from blemish.detectors.base import Clock, ShowProgress
from blemish.errors import ArtifactError
from blemish.golden import golden_members
from blemish.training.card import describe, make_card
from blemish.training.fit_budget import FitBudget
from blemish.training.fits import Fits, open_features
from blemish.training.fresh_start import FRESH_START
from blemish.training.hold_out import check_categories, refuse_tested, with_defects
from blemish.training.latency import LATENCY_IMAGES, measure_latency
from blemish.training.plan import DEFAULT_DETECTOR, Plan
from blemish.training.recalibration import recalibrate
from blemish.training.replay_buffer import keep, members, not_extracted
from blemish.training.resume_folder import resume_folder, resume_key
from blemish.training.start import Start
from blemish.training.trained import Trained
from blemish.training.unseen_scores import cross_fit_scores, learn_view_scales, need_views

__all__ = ["DEFAULT_DETECTOR", "FRESH_START", "Plan", "Start", "Trained", "recalibrate", "train"]


def train(
    data: Dataset,
    path: Path,
    plan: Plan,
    *,
    start: Start = FRESH_START,
    budget: float | None = None,
    resume: bool = False,
    progress: ShowProgress | None = None,
) -> Trained:
    """Learn from the good parts of `data`, set the threshold on held-out ones, write the model.

    A warm start goes on with a model, whose plan `plan` must be, and compares the two models on the
    test parts that neither has learnt from.

    When `budget` seconds are over, a network that is trained in steps is taken as far as it came;
    anything else raises BudgetExceeded. What was done stays in the folder `PATH.resume`, and the
    same call with `resume` ends at the model of an uninterrupted one. Raises DatasetError for data
    that cannot be trained on.
    """
    clock = Clock(budget)
    _check_place(path, start.files)
    detector = start.detector_for(plan)
    usable, good, held_out = _hold_out(data, plan, start)
    recipe = start.recipe_for(data, plan)
    key = resume_key(data.fingerprint(), detector, plan, start.key)
    with resume_folder(path, key, resume) as folder:
        clock.check("reading the data set")
        usable = start.with_more_defects(usable, folder / "taught")
        learnt = with_defects(usable, good, plan.detector)
        new_defects = not_extracted(learnt.real(), folder / "taught")
        kept, not_kept = keep(start.kept, new_defects, recipe)

        features = open_features(detector, recipe, plan.cache)
        to_score = LATENCY_IMAGES + len(held_out) + 2 * len(start.test_rows(usable))
        shares = FitBudget.of(clock, plan.fits, detector, features, good.images[0], to_score)
        fits = Fits(usable, detector, features, plan, start.fit_arguments, shares, folder, progress)
        scores = cross_fit_scores(good, plan.cross_fit, plan.seed, fits.score_unseen)
        scales = None
        if plan.view_scales:
            scales = learn_view_scales(good, plan.seed, folder, fits.score_unseen)
        fitted = fits.fit(good)

        inspector = fits.inspector(fitted)
        scores += fits.scores(inspector, held_out)
        calibration = calibrate_parts(scores, plan.promise, plan.method)

        latency, shape = measure_latency(inspector, good.images)
        golden, golden_score = golden_members(inspector, shape)
        pictures, entries = members(kept)
        card = make_card(
            detector,
            features,
            plan,
            fitted,
            data=describe(data, learnt, held_out, plan),
            calibration=calibration,
            views=scales,
            defects=entries,
            latency=latency,
            golden_score=golden_score,
        )
        card = start.complete_card(
            card, fitted.graph, data=data, usable=usable, learnt=new_defects, progress=progress
        )
        write_artifact(path, fitted.graph, card, {**golden, **pictures})
        if shares.finished:
            shutil.rmtree(folder)
    return Trained(path, card, clock.elapsed, not_kept)


def _hold_out(data: Dataset, plan: Plan, start: Start) -> tuple[Dataset, Dataset, Dataset]:
    """The rows that may be used; of them the good ones to learn from, and those held out.

    Raises DatasetError for data that cannot be trained on.
    """
    check_categories(data, plan.detector)
    ensure_sound(data, allow_defects=learns_from_defects(plan.detector))
    usable = start.usable(data)
    good, held_out = start.hold_out(usable, plan)
    if plan.view_scales:
        need_views(good, plan.cross_fit)
    refuse_tested(usable, plan.detector)
    return usable, good, held_out


def _check_place(path: Path, needed: Sequence[Path]) -> None:
    if path.is_dir():
        raise ArtifactError(f"{path} is a folder; name a file for the model, with -o MODEL.blemish")
    if path.exists() and any(path.samefile(file) for file in needed):
        raise ArtifactError(
            f"{path} is the model to go on from, which is still needed; write the new one to "
            "another file, with -o"
        )
