"""The review list: a CSV file with a `decision` column, written for a person and read back.

Each row carries a check, a hash of what the list says of it, so that a row is known again after a
spreadsheet has changed separators, added a byte-order mark or turned a name into a date.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blemish.dataset.csv_file import read_delimited
from blemish.dataset.label_words import DEFECTIVE_WORDS, GOOD_WORDS, name_some
from blemish.errors import DatasetError
from blemish.util.files import replacing

log = logging.getLogger("blemish")

DECISIONS = ("keep", "good", "defective", "remove")
COLUMNS = (
    *("row", "check", "image", "part", "view", "label", "suggested", "confidence", "list", "why"),
    "decision",
)


@dataclass(frozen=True)
class Doubt:
    """One row to review: an image, its label, what the judges suggest, and why it is listed.

    `confidence` is the judges' probability of `suggested`; `listed` is "label", "mask" or "random".
    """

    image: str
    part: str
    view: str | None
    label: str
    suggested: str
    confidence: float
    listed: str
    why: str


def write_review(doubts: Sequence[Doubt], key: str, path: Path) -> None:
    """Write the list, best first; `key` names the data set and round that it belongs to.

    Raises ArtifactError when the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, doubt in enumerate(doubts, 1):
        confidence = f"{100 * doubt.confidence:.1f} %"
        words = (doubt.image, doubt.part, doubt.view or "", doubt.label, doubt.suggested)
        start = (f"row {number}", row_check(doubt, key))
        writer.writerow([*start, *words, confidence, doubt.listed, doubt.why, ""])
    with replacing(path) as file:
        file.write(text.getvalue().encode("utf-8"))


def row_check(doubt: Doubt, key: str) -> str:
    """What a row is known by; it begins with letters, so that no spreadsheet takes it for a number.

    12 hexadecimal digits of a sha256 over key, image, part and label.
    """
    text = "\n".join([key, doubt.image, doubt.part, doubt.label])
    return "id-" + hashlib.sha256(text.encode()).hexdigest()[:12]


def read_review(path: Path, doubts: Sequence[Doubt], key: str) -> dict[str, str]:
    """The decision ("keep", "good", "defective" or "remove") for each image that has one.

    Rows may be sorted, and rows without a decision may be gone; a name that a spreadsheet changed
    is noticed and told. Raises DatasetError for a file that is not of this list, unknown words,
    rows whose columns were moved apart, and one image with two decisions.
    """
    table = read_delimited(path)
    for column in ("check", "image", "decision"):
        if column not in table.columns:
            raise DatasetError(
                f"{path} has no column '{column}'; a review list has {', '.join(COLUMNS)}."
            )
    known = {row_check(doubt, key): doubt for doubt in doubts}
    images = {doubt.image for doubt in doubts}
    names = table["part"] if "part" in table.columns else table["image"]
    decided: dict[str, tuple[str, int]] = {}
    changed: list[str] = []
    found: set[str] = set()
    rows = zip(table["check"], table["image"], names, table["decision"], strict=True)
    for number, (check, image, part, word) in enumerate(rows, 2):
        doubt = known.get(check or "")
        if doubt is None:
            raise DatasetError(_foreign(path, number, check, image, images))
        found.add(doubt.image)
        if image != doubt.image and image in images:
            raise DatasetError(
                f"{path}, line {number}: the check is that of {doubt.image} but the image is "
                f"{image}; columns were sorted apart: fill in the list anew."
            )
        if image != doubt.image:
            changed.append(f"{doubt.image} reads {image or 'nothing'}")
        elif "part" in table.columns and part != doubt.part:
            changed.append(f"{doubt.part} reads {part or 'nothing'}")
        decision = _decision(word, path, number)
        if decision is None:
            continue
        before, line = decided.setdefault(doubt.image, (decision, number))
        if before != decision:
            raise DatasetError(
                f"{path}: {doubt.image} is '{before}' in line {line} and '{decision}' in line "
                f"{number}; keep one of the two."
            )
    _tell(path, changed, len(images - found))
    return {image: decision for image, (decision, _) in decided.items()}


def _decision(word: str | None, path: Path, line: int) -> str | None:
    """The decision that a word stands for; None for an empty cell."""
    if word is None:
        return None
    lower = word.lower()
    if lower in DECISIONS:
        return lower
    if lower in GOOD_WORDS[:3]:
        return "good"
    if lower in DEFECTIVE_WORDS[:7]:
        return "defective"
    near = difflib.get_close_matches(lower, DECISIONS, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise DatasetError(
        f"{path}, line {line}: '{word}' is no decision; write {', '.join(DECISIONS[:-1])} or "
        f"{DECISIONS[-1]}, or leave the cell empty.{hint}"
    )


def _foreign(path: Path, line: int, check: str | None, image: str | None, images: set[str]) -> str:
    if image in images:
        return (
            f"{path}, line {line}: the check '{check or ''}' of {image} is not that of this list; "
            "take it from the review list of this round."
        )
    return (
        f"{path}, line {line}: {image or 'a row without image'} is not in this review list; "
        "it is the list of another data set or round."
    )


def _tell(path: Path, changed: list[str], missing: int) -> None:
    if changed:
        log.warning(
            "%s: a spreadsheet changed names (%s); their rows were known by the check, and the "
            "names in the data set stay as they are",
            path,
            name_some(changed),
        )
    if missing:
        log.warning("%s lacks %d rows of the list; they count as undecided", path, missing)
