"""The hold-out: which good parts are learnt from, and which others set the threshold."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection

import polars as pl

from blemish.calibration.promise import Promise, parts_needed
from blemish.dataset import Dataset, hold_out
from blemish.dataset.label_words import name_some
from blemish.detectors import detector_names, learns_from_defects, learns_several_categories
from blemish.errors import DatasetError
from blemish.features.cache import image_key

log = logging.getLogger("blemish")

LEAST_HELD_OUT = 0.2


def check_categories(data: Dataset, detector: str) -> None:
    """Refuse several categories, unless that detector learns one model for all of them."""
    several = len(data.categories) > 1
    if several and not learns_several_categories(detector):
        able = [name for name in detector_names() if learns_several_categories(name)]
        way_out = f", or take a detector that learns several at once ({', '.join(able)})"
        raise DatasetError(
            f"{data.root} holds {len(data.categories)} categories ({name_some(data.categories)}), "
            f"and {detector} learns one: choose it with --category{way_out * bool(able)}"
        )


def with_defects(data: Dataset, learnt: Dataset, detector: str) -> Dataset:
    """The good rows to learn from, and the known defects of training where a detector takes them.

    A defect on a part that is not learnt from, such as one that sets the threshold, is left out.
    """
    if not learns_from_defects(detector):
        return learnt
    defects = data.split("train").defective()
    known = data.split("train").good().parts + data.split("validation").parts
    elsewhere = pl.col("part").is_in(list(set(known) - set(learnt.parts)))
    return data.with_table(pl.concat([learnt.table, defects.where(~elsewhere).table]))


def refuse_tested(data: Dataset, detector: str) -> None:
    """Refuse to teach a defect of which the test holds the same picture under another name."""
    if not learns_from_defects(detector):
        return
    taught, tested = data.split("train").defective(), data.split("test")
    keys = {image_key(image) for image in tested.images} if len(taught) else set()
    both = [
        name
        for name, image in zip(taught.table["image"], taught.images, strict=True)
        if image_key(image) in keys
    ]
    if both:
        raise DatasetError(
            f"{data.root}: {name_some(both)} are to be learnt from, and the test holds the same "
            "pictures; leave them out of one of the two"
        )


def hold_out_parts(
    data: Dataset,
    promise: Promise,
    *,
    share: float | None = None,
    cross_fit: int = 0,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """The good rows to learn from, and the good rows, of other parts, that set the threshold.

    Every category is divided by itself and is on both sides. A validation split in the data is used
    whole. Else `share` is held out (None: as much as the promise needs, if that is at most half,
    and never less than a fifth). With `cross_fit` the second table is empty. Raises DatasetError
    for a category with too few good parts, or on one side only.
    """
    good, validation = data.split("train").good(), data.split("validation").good()
    if cross_fit:
        both = data.with_table(good.table.vstack(validation.table))
        _need_parts(both, 2)
        return both, both.take([])
    if len(validation):
        _need_both_sides(good, validation)
        return good, validation
    _need_parts(good, 3)
    sides = [
        hold_out(of_one, share or _share(len(of_one.parts), len(good.parts), promise), seed)
        for of_one in map(good.category, good.categories)
    ]
    learnt, held = (pl.concat(side.table for side in pair) for pair in zip(*sides, strict=True))
    return data.with_table(learnt), data.with_table(held)


def hold_out_again(
    data: Dataset,
    promise: Promise,
    *,
    seen: Collection[str],
    before: Collection[str],
    share: float | None = None,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """As `hold_out_parts`, for a warm start: the parts it has `seen` never set its threshold.

    Those of `before`, which set it so far, do so again; new parts fill up to the share. Raises
    DatasetError where there is no unseen part.
    """
    good, validation = data.split("train").good(), data.split("validation").good()
    known = pl.col("part").is_in(list(seen))
    if len(validation):
        held, wanted = validation.where(~known), len(validation.parts)
        both = data.with_table(pl.concat([good.table, validation.table]))
    else:
        wanted = len(hold_out_parts(data, promise, share=share, seed=seed)[1].parts)
        unseen, both = good.where(~known), good
        was_held = pl.col("part").is_in(list(before))
        held, others = unseen.where(was_held), unseen.where(~was_held)
        missing = wanted - len(held.parts)
        if missing >= len(others.parts):
            held = unseen
        elif missing > 0:
            more = hold_out(others, missing / len(others.parts), seed)[1]
            held = data.with_table(pl.concat([held.table, more.table]))
    if not len(held):
        raise DatasetError(
            f"{data.root}: the model has learnt from every good part, and none is left that could "
            "set the threshold; add pictures of good parts that it has not seen"
        )
    if len(held.parts) < wanted:
        log.warning(
            "only %d good parts that the model has not learnt from are left to set the threshold, "
            "of %d that would: add some for a better promise",
            len(held.parts),
            wanted,
        )
    return both.where(~pl.col("part").is_in(held.parts)), held


def _share(parts: int, all_parts: int, promise: Promise) -> float:
    """The share to hold out of a category: what its own promise needs, else that over all."""
    needed = parts_needed(promise.max_fpr, promise.confidence)
    of_all = math.ceil(parts * needed / all_parts)
    enough = [share for share in (needed / parts, of_all / parts) if share <= 0.5]
    return max([LEAST_HELD_OUT, *enough[:1]])


def _need_parts(good: Dataset, least: int) -> None:
    """Refuse to learn from fewer good parts, of any category, than a threshold takes."""
    names = good.categories
    for name in names or [""]:
        parts = len(good.category(name).parts) if name else 0
        if parts < least:
            of = f" of category {name!r}" if len(names) > 1 else ""
            raise DatasetError(
                f"{good.root} has {parts} good part(s){of} to learn from (copies count once); at "
                f"least {least} are needed, of which one sets the threshold, better 50 or more"
            )


def _need_both_sides(good: Dataset, validation: Dataset) -> None:
    """Refuse a validation split without a category that is learnt, or with one that is not."""
    learnt, checked = set(good.categories), set(validation.categories)
    if len(learnt | checked) > 1 and learnt != checked:
        name = min(learnt ^ checked)
        side = "train" if name in checked else "validation"
        raise DatasetError(
            f"{good.root} has no good part of category {name!r} in its {side} split; every "
            "category needs good parts in both, or leave out the validation split"
        )
