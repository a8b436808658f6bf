"""Put the page together: its words, its data for the histogram, its gallery and its tables."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from blemish.calibration.part_calibration import PartCalibration
from blemish.calibration.promise import Calibration
from blemish.evaluation.copies import copies_sentence
from blemish.metrics.decision import Confusion, confusion
from blemish.model.card import DataCounts, DataEntry, LearntDefects
from blemish.report.gallery import gallery
from blemish.report.tables import (
    categories_table,
    decision_table,
    ranking_table,
    settings_tables,
    views_table,
)
from blemish.report.words import agreement, counted, percentage, rates_sentence, text
from blemish.util.files import replacing

if TYPE_CHECKING:
    from blemish.evaluation import Evaluation, PartResult

COLOURS = 6  # kinds of defect with a colour of their own in the histogram
UNREADABLE_SHOWN = 100  # files that could not be read
OTHER, SEVERAL = "other kinds", "several kinds"


def write_report(evaluation: Evaluation, folder: Path) -> Path:
    """Write `report.html` into `folder` (made if absent), whole or not at all; returns its path.

    One file that loads nothing from elsewhere. Raises CalibrationError when the card states no
    threshold, ArtifactError when the file cannot be written, ImageError when an image of the
    gallery is gone.
    """
    page = render(evaluation)
    path = folder / "report.html"
    with replacing(path) as file:
        file.write(page.encode())
    return path


def render(evaluation: Evaluation) -> str:
    """The whole page as HTML text. Raises as `write_report` does, but writes nothing."""
    calibration = evaluation.card.calibration.limit
    threshold = calibration.threshold
    decided = [part for part in evaluation.parts if part.decision != "incomplete"]
    counts = _counts(decided, threshold)
    name = str((evaluation.figures.get("data") or {}).get("name") or "Evaluation")
    level = evaluation.card.calibration.map_threshold
    return Template(_asset("page.html")).substitute(
        css=_asset("page.css"),
        rates_js=_asset("rates.js"),
        page_js=_asset("page.js"),
        gallery_js=_asset("gallery.js"),
        data=_json_for_script(_chart_data(evaluation, decided, calibration)),
        title=text(name),
        model=text(_model_line(evaluation)),
        verdict=text(rates_sentence(counts)),
        incomplete=_incomplete_note(len(evaluation.parts) - len(decided))
        + _unreadable_note(evaluation.figures)
        + _findings_note(evaluation.figures)
        + _copies_note(evaluation.figures),
        promise=_promise(calibration, counts, evaluation.card.calibration),
        split=_split(evaluation, calibration),
        gallery=gallery(evaluation, threshold, level),
        ranking=ranking_table(evaluation.figures),
        decision=decision_table(evaluation.figures),
        speed=text(_speed(evaluation.figures)),
        categories=categories_table(evaluation.figures),
        views=views_table(evaluation.figures),
        settings=settings_tables(evaluation.card.to_json()),
    )


def _asset(name: str) -> str:
    return (resources.files("blemish.report") / name).read_text(encoding="utf-8")


def _counts(parts: Sequence[PartResult], threshold: float) -> Confusion:
    labels = [part.label == "defective" for part in parts]
    return confusion([part.score for part in parts], labels, threshold)


def _chart_data(
    evaluation: Evaluation, parts: Sequence[PartResult], calibration: Calibration
) -> dict[str, Any]:
    """Scores and kinds for page.js.

    `good` are scores; `defective` are [score, index into colours, indices into kinds].
    """
    defective = [part for part in parts if part.label == "defective"]
    kinds_of = [part.defects or ("defective",) for part in defective]
    frequent = Counter(kind for kinds in kinds_of for kind in kinds).most_common()
    kinds = [kind for kind, _ in frequent]
    own = kinds if len(kinds) <= COLOURS else kinds[: COLOURS - 1]
    colours = [*own, OTHER, SEVERAL]

    def colour(of_part: tuple[str, ...]) -> int:
        if len(of_part) > 1:
            return len(own) + 1
        return own.index(of_part[0]) if of_part[0] in own else len(own)

    oracle = (evaluation.figures.get("oracle_f1") or {}).get("threshold")
    return {
        "good": [part.score for part in parts if part.label == "good"],
        "defective": [
            [part.score, colour(of_part), [kinds.index(kind) for kind in of_part]]
            for part, of_part in zip(defective, kinds_of, strict=True)
        ],
        "kinds": kinds,
        "colours": colours,
        "threshold": calibration.threshold,
        "oracle": oracle if oracle is not None and math.isfinite(oracle) else None,
        "provisional": calibration.provisional,
    }


def _json_for_script(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _model_line(evaluation: Evaluation) -> str:
    card = evaluation.card
    words = [card.detector.name, card.backbone.name]
    if model := evaluation.figures.get("model"):
        words.append(f"model {model[:12]}")
    return " \u00b7 ".join(words)


def _incomplete_note(n: int) -> str:
    if n == 0:
        return ""
    lack = "lacks a view that the model needs and is" if n == 1 else "lack a view and are"
    return (
        f'<p class="warning">{text(counted(n, "part"))} {lack} neither passed nor rejected; no '
        "figure by part counts them.</p>"
    )


def _findings_note(figures: dict[str, Any]) -> str:
    """What is odd about the masks, a line each."""
    found = figures.get("findings", [])
    return "".join(f'<p class="warning">{text(finding["message"])}</p>' for finding in found)


def _unreadable_note(figures: dict[str, Any]) -> str:
    """Which files could not be read, and why: the first `UNREADABLE_SHOWN` of them."""
    images, masks = figures.get("unreadable", []), figures.get("unreadable_masks", [])
    reasons = [lost["reason"] for lost in (*images, *masks)]
    if not reasons:
        return ""
    parts = counted(figures["decision"].get("unreadable", 0), "part")
    said = (
        f"{counted(len(images), 'image')} and {counted(len(masks), 'mask')} could not be read and "
        f"count in no figure. For it {parts} could not be decided on: not passed, and in no rate."
    )
    shown = [*reasons[:UNREADABLE_SHOWN]]
    if (more := len(reasons) - len(shown)) > 0:
        shown.append(counted(more, "more file"))
    rows = "".join(f"<li>{text(reason)}</li>" for reason in shown)
    return f'<div class="warning"><p>{text(said)}</p><ul>{rows}</ul></div>'


def _copies_note(figures: dict[str, Any]) -> str:
    if "copies" not in figures:
        return ""
    return f'<p class="warning">{text(copies_sentence(figures["copies"]))}.</p>'


def _promise(calibration: Calibration, counts: Confusion, set_on: PartCalibration) -> str:
    paragraphs = [f"<p>{text(calibration.sentence())}</p>"]
    if near := set_on.near_copies_sentence():
        paragraphs.append(f'<p class="warning">{text(near)}</p>')
    said = agreement(calibration, counts)
    if said:
        warns = ' class="warning"' if "contradicts" in said else ""
        paragraphs.append(f"<p{warns}>{text(said)}</p>")
    return "".join(paragraphs)


def _split(evaluation: Evaluation, calibration: Calibration) -> str:
    """Where the images of the model and of this test came from, as rows of a table."""
    data = evaluation.card.data
    good = sum(part.label == "good" for part in evaluation.parts)
    defective = len(evaluation.parts) - good
    rows = [
        ("Learnt from", _images_and_parts(data.trained_on), "good" + _known_defects(data)),
        (
            "Threshold set on",
            counted(calibration.good_parts, "good part"),
            f"whole parts that it did not learn from ({data.held_out_by})"
            if calibration.method == "held-out"
            else calibration.method,
        ),
        (
            "Tested on",
            f"{counted(good, 'good part')}, {defective:,} defective",
            f"{counted(len(evaluation.images), 'image')}; the threshold was fixed before",
        ),
        (
            "Promise asked for",
            f"at most {percentage(calibration.promise.max_fpr)} % rejected",
            f"with {percentage(calibration.promise.confidence)} % confidence",
        ),
    ]
    return "".join(
        f'<tr><th scope="row">{text(what)}</th><td>{text(amount)}'
        f'<br><span class="small">{text(how)}</span></td></tr>'
        for what, amount, how in rows
        if amount
    )


def _known_defects(data: DataEntry) -> str:
    """What was learnt beside good parts, if anything."""
    taught = data.taught
    return f"; and {_images_and_parts(taught)} with defects" if taught and taught.images else ""


def _images_and_parts(entry: DataCounts | LearntDefects) -> str:
    images, parts = entry.images, entry.parts
    return counted(images, "image") + ("" if images == parts else f" of {counted(parts, 'part')}")


def _speed(figures: dict[str, Any]) -> str:
    if not figures.get("images_per_second"):
        return ""
    rate, seconds = figures["images_per_second"], figures.get("seconds") or 0
    return f"{rate:.3g} images per second inspected; {seconds:.0f} s for the whole evaluation."
