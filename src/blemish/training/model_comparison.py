"""What a model decides before and after it was taught more, on the same test parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from blemish.calibration.views import Decision, decide
from blemish.dataset import Dataset
from blemish.dataset.words import name_some
from blemish.detectors.base import Clock, ShowProgress
from blemish.inspector import Inspector
from blemish.metrics.paired import mcnemar
from blemish.training.unseen_scores import score_images


def compare(
    before: Inspector,
    after: Inspector,
    test: Dataset,
    progress: ShowProgress | None = None,
) -> dict[str, Any]:
    """The decisions of two models, each at its own threshold, on the labelled parts of `test`.

    An escape is a defective part that is not rejected, a false reject a good one that is. Parts
    that are `incomplete`, for lack of a view, are judged by the views that there are. `p` is of the
    exact two-sided McNemar test. Ready for JSON.
    """
    test = test.where(pl.col("label").is_not_null())
    kinds = _kinds(test)
    defective = [part for part in test.parts if part in kinds]
    good = [part for part in test.parts if part not in kinds]
    found: dict[str, Any] = {
        "parts": len(test.parts),
        "good": len(good),
        "defective": len(defective),
    }
    if not len(test):
        return found
    first = _decisions(before, test, progress, "test images by the model before")
    second = _decisions(after, test, progress, "test images by the model after")
    pair = (first, second)
    found["escapes"] = _changes(*([p for p in defective if d[p] != "reject"] for d in pair))
    found["false_rejects"] = _changes(*([p for p in good if d[p] == "reject"] for d in pair))
    found["kinds"] = {
        kind: {
            "parts": len(of_kind := [part for part in defective if kind in kinds[part]]),
            "escapes": [sum(d[part] != "reject" for part in of_kind) for d in pair],
        }
        for kind in sorted({kind for of_part in kinds.values() for kind in of_part})
    }
    found["incomplete"] = sum("incomplete" in (d[part] for d in pair) for part in first)
    return found


def sentences(found: dict[str, Any], taken_out: Sequence[str], root: object) -> list[str]:
    """The comparison in words; `taken_out` are the parts of the test of `root` that are taught."""
    lines = []
    if found["parts"]:
        lines.append(
            f"On the same {found['parts']} test parts: {_escapes(found)}; {_false_rejects(found)}."
        )
        if found["kinds"]:
            each = [
                f"{kind} {of['escapes'][0]} -> {of['escapes'][1]} of {of['parts']}"
                for kind, of in found["kinds"].items()
            ]
            lines.append(f"Escapes by kind of defect: {', '.join(each)}.")
        if new := found["escapes"]["new"]:
            lines.append(f"New escapes: {name_some(new, 10)}.")
        if number := found["incomplete"]:
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
    if len(taken_out) == 1:
        lines.append("1 test part was taken out: the model has learnt from it.")
    elif taken_out:
        lines.append(f"{len(taken_out)} test parts were taken out: the model has learnt from them.")
    return lines


def _escapes(found: dict[str, Any]) -> str:
    if not found["defective"]:
        return "none of them is defective, so that nothing is known of escapes"
    changes = found["escapes"]
    new, of = len(changes["new"]), f"of {found['defective']} defective parts"
    if not changes["before"]:
        text = f"no escape before, {new} now, {of}"
    else:
        recovered = f"recovers {len(changes['gone'])} of {changes['before']} escapes"
        text = f"{recovered}, {new} new {'one' if new == 1 else 'ones'}"
    return f"{text} (exact McNemar p = {changes['p']:.2g})"


def _false_rejects(found: dict[str, Any]) -> str:
    if not found["good"]:
        return "none of them is good, so that nothing is known of false rejects"
    changes = found["false_rejects"]
    return (
        f"false rejects {changes['before']} -> {changes['after']} of {found['good']} good parts "
        f"(p = {changes['p']:.2g})"
    )


def _changes(before: Sequence[str], after: Sequence[str]) -> dict[str, Any]:
    """Two lists of wrongly decided parts: their numbers, what has gone and come, and p."""
    gone = [part for part in before if part not in set(after)]
    new = [part for part in after if part not in set(before)]
    return {
        "before": len(before),
        "after": len(after),
        "gone": gone,
        "new": new,
        "p": mcnemar(len(gone), len(new)),
    }


def _kinds(test: Dataset) -> dict[str, list[str]]:
    """The kinds of defect of every defective part, sorted."""
    rows = test.defective().table.with_columns(pl.col("defect").fill_null("unknown"))
    found = rows.group_by("part").agg(pl.col("defect").unique().sort())
    return dict(found.iter_rows())


def _decisions(
    inspector: Inspector, test: Dataset, progress: ShowProgress | None, what: str
) -> dict[str, Decision]:
    views: dict[str, dict[str, float]] = {}
    for image in score_images(inspector, test, Clock(None), progress, what):
        of_part, view = views.setdefault(image.part, {}), image.view or ""
        of_part[view] = max(image.score, of_part.get(view, -math.inf))
    threshold, required = inspector.threshold, inspector.required_views
    return {part: decide(scores, threshold, required) for part, scores in views.items()}
