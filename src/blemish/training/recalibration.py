"""A threshold set anew on good parts that the model has not seen."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from blemish.calibration.part_calibration import calibrate_parts
from blemish.calibration.promise import Promise
from blemish.dataset import Dataset
from blemish.dataset.check import ensure_named
from blemish.dataset.label_words import name_some
from blemish.detectors.base import Clock, ShowProgress
from blemish.errors import CalibrationError
from blemish.inspector import Inspector
from blemish.model.artifact import open_artifact, write_artifact
from blemish.model.previous import keeping
from blemish.training.card_entries import counts, seen
from blemish.training.copies import Copies, NearCopies, with_copies
from blemish.training.trained import Trained
from blemish.training.unseen_scores import score_images


def recalibrate(
    model: Path,
    good: Dataset,
    promise: Promise,
    out: Path,
    *,
    progress: ShowProgress | None = None,
) -> Trained:
    """Set the threshold of a model anew, on good parts that it was not trained on.

    Where `out` is the model itself, the previous one is kept beside it.
    Raises CalibrationError when an image of `good` has a part that the model learnt from, or is one
    that it learnt from, and when `good` lacks a view without which the model passes no part.
    """
    clock = Clock(None)
    ensure_named(good)
    artifact = open_artifact(model)
    copies = Copies.among(good, progress=progress)
    if known := seen(artifact.card.data, good, copies.names):
        raise CalibrationError(
            f"{name_some(known)} of {good.root} were used to train {model}; "
            "the threshold needs good parts that the model has not seen"
        )
    if lacking := set(artifact.card.calibration.categories) - set(good.categories):
        raise CalibrationError(
            f"{good.root} has no good part of {name_some(sorted(lacking))}, and {model} has a "
            "threshold for each of its categories: give good parts of all of them"
        )
    copies.tell(good)
    good = copies.without(good)
    held = score_images(Inspector.of(artifact), good, clock, progress)
    near = NearCopies.among(good.take([]), good, copies, progress)
    calibration = with_copies(calibrate_parts(list(held), promise), copies, near)
    required = artifact.card.calibration.required_views
    if set(required) - set(calibration.required_views):
        raise CalibrationError(
            f"{good.root} must show parts from the views {', '.join(required)}, as {model} does: "
            "say which images are one part with --parts or --part-pattern"
        )
    card = replace(
        artifact.card,
        calibration=calibration,
        data=replace(artifact.card.data, held_out=counts(good), recalibrated_on=good.name),
        comparison=None,
    )
    same = out.exists() and out.samefile(model)
    with keeping(out) if same else contextlib.nullcontext() as kept:
        write_artifact(out, artifact.model, card, artifact.members)
    return Trained(out, card, clock.elapsed, previous=kept)
