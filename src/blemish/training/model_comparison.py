"""What a model decides before and after it was taught more, on the same test parts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from blemish.calibration.part_calibration import HeldOut
from blemish.calibration.views import Decision, decide
from blemish.dataset import Dataset
from blemish.dataset.copies import copied_parts, equal_pictures
from blemish.dataset.label_words import name_some
from blemish.detectors.base import Clock, ShowProgress
from blemish.inspector import Inspector
from blemish.metrics.paired_test import mcnemar
from blemish.model.card import DefectKindChange, ErrorChange, ModelComparison
from blemish.training.unseen_scores import score_images


def compare(
    before: Inspector,
    after: Inspector,
    test: Dataset,
    progress: ShowProgress | None = None,
) -> ModelComparison:
    """The decisions of two models, each at its own threshold, on the labelled parts of `test`.

    An escape is a defective part that is not rejected, a false reject a good one that is. Parts
    that are `incomplete`, for lack of a view, are judged by the views that there are. Of parts that
    show the same pixels one is compared.
    """
    test = test.where(pl.col("label").is_not_null())
    what = "test images by the model before"
    scored = list(score_images(before, test, Clock(None), progress, what))
    numbers = equal_pictures(test.images, [image.score for image in scored])
    labelled = test.table.with_columns(view=pl.struct("label", "view"))
    copies = copied_parts(labelled, numbers)
    test = test.where(~pl.col("part").is_in(list(copies)))
    kinds = _kinds(test)
    defective = [part for part in test.parts if part in kinds]
    good = [part for part in test.parts if part not in kinds]
    found = ModelComparison(len(test.parts), len(good), len(defective), copies=len(copies))
    if not len(test):
        return found
    first = _decisions(before, (image for image in scored if image.part not in copies))
    what = "test images by the model after"
    second = _decisions(after, score_images(after, test, Clock(None), progress, what))
    pair = (first, second)
    of_kinds = {
        kind: [part for part in defective if kind in kinds[part]]
        for kind in sorted({kind for of_part in kinds.values() for kind in of_part})
    }
    return replace(
        found,
        escapes=_change(*([p for p in defective if d[p] != "reject"] for d in pair)),
        false_rejects=_change(*([p for p in good if d[p] == "reject"] for d in pair)),
        kinds={
            kind: DefectKindChange(len(parts), (_escaped(parts, first), _escaped(parts, second)))
            for kind, parts in of_kinds.items()
        },
        incomplete=sum("incomplete" in (d[part] for d in pair) for part in first),
    )


def _escaped(parts: Sequence[str], decisions: Mapping[str, Decision]) -> int:
    return sum(decisions[part] != "reject" for part in parts)


def sentences(found: ModelComparison, root: object) -> list[str]:
    """The comparison on test parts of the data set at `root`, in words."""
    lines, taken_out = [], found.taken_out
    if found.escapes is not None and found.false_rejects is not None:
        lines.append(
            f"On the same {found.parts} test parts: {_escapes(found.escapes, found.defective)}; "
            f"{_false_rejects(found.false_rejects, found.good)}."
        )
        if found.kinds:
            each = [
                f"{kind} {of.escapes[0]} -> {of.escapes[1]} of {of.parts}"
                for kind, of in found.kinds.items()
            ]
            lines.append(f"Escapes by kind of defect: {', '.join(each)}.")
        if new := found.escapes.new:
            lines.append(f"New escapes: {name_some(new, 10)}.")
        if number := found.incomplete:
            lack, them = ("lacks", "it") if number == 1 else ("lack", "them")
            lines.append(
                f"{number} of these parts {lack} a view, so that the line would not pass {them}; "
                "here only the views that there are count."
            )
    else:
        lines.append(
            f"Nothing could be compared: {root} has no labelled test part that the model has not "
            "learnt from. Put other parts into test/good and test/<defect>, and never teach them."
        )
    if number := found.copies:
        show = "s show" if number > 1 else " shows"
        lines.append(f"{number} more test part{show} the same pixels as another.")
    if len(taken_out) == 1:
        lines.append("1 test part was taken out: the model has learnt from it.")
    elif taken_out:
        lines.append(f"{len(taken_out)} test parts were taken out: the model has learnt from them.")
    return lines


def _escapes(change: ErrorChange, defective: int) -> str:
    if not defective:
        return "none of them is defective, so that nothing is known of escapes"
    new, of = len(change.new), f"of {defective} defective parts"
    if not change.before:
        text = f"no escape before, {new} now, {of}"
    else:
        recovered = f"recovers {len(change.gone)} of {change.before} escapes"
        text = f"{recovered}, {new} new {'one' if new == 1 else 'ones'}"
    return f"{text} (exact McNemar p = {change.p:.2g})"


def _false_rejects(change: ErrorChange, good: int) -> str:
    if not good:
        return "none of them is good, so that nothing is known of false rejects"
    return (
        f"false rejects {change.before} -> {change.after} of {good} good parts (p = {change.p:.2g})"
    )


def _change(before: Sequence[str], after: Sequence[str]) -> ErrorChange:
    """From two lists of wrongly decided parts."""
    gone = [part for part in before if part not in set(after)]
    new = [part for part in after if part not in set(before)]
    p = mcnemar(len(gone), len(new))
    return ErrorChange(len(before), len(after), tuple(gone), tuple(new), p)


def _kinds(test: Dataset) -> dict[str, list[str]]:
    """The kinds of defect of every defective part, sorted."""
    rows = test.defective().table.with_columns(pl.col("defect").fill_null("unknown"))
    found = rows.group_by("part").agg(pl.col("defect").unique().sort())
    return dict(found.iter_rows())


def _decisions(inspector: Inspector, scored: Iterable[HeldOut]) -> dict[str, Decision]:
    views: dict[str, dict[str, float]] = {}
    for image in scored:
        of_part, view = views.setdefault(image.part, {}), image.view or ""
        of_part[view] = max(image.score, of_part.get(view, -math.inf))
    threshold, required = inspector.threshold, inspector.required_views
    return {part: decide(scores, threshold, required) for part, scores in views.items()}
