"""Write a set of simulated parts in five views, in the layout of Real-IAD.

Folders, names, codes and JSON are those of Real-IAD (CVPR 2024) in its size of 512 pixels; parts of
one batch are one category.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from blemish.errors import BlemishError
from blemish.simulator.folder import claim, seed_of, write_bytes
from blemish.simulator.part import SIDE, VIEWS, Part, simulate_part
from blemish.util.files import filling
from blemish.util.progress import Progress, ShowProgress

# Real-IAD's codes for the kinds of defects that its parts have, too.
CODES = {
    "pinhole": "AK",
    "mechanical_deformation": "BX",
    "scratch": "HS",
    "fibre": "YW",
    "inclusion": "YW",
    "dot": "ZW",
}
IMAGES, JSONS = f"realiad_{SIDE}", "realiad_jsons"
_TIME = "20250101000000"  # Real-IAD's names end in a time; here there was no camera
_FEWEST = 5


@dataclass(frozen=True)
class PartSet:
    """So many parts of each batch: three of five train, one tests as good, one has a defect."""

    parts: int = 50
    batches: int = 1
    seed: int = 0

    def check(self) -> None:
        """Raise BlemishError for what cannot be drawn."""
        for what, least in (("parts", _FEWEST), ("batches", 1), ("seed", 0)):
            if getattr(self, what) < least:
                raise BlemishError(
                    f"--{what} is {getattr(self, what)}; it must be at least {least}"
                )


@dataclass(frozen=True)
class PartSetSummary:
    """How many parts there are, and in how many views a defect shows."""

    train: int
    good: int
    defective: int
    defective_views: int


@dataclass(frozen=True)
class _Member:
    """One part of the set; `kind` is None for a good one."""

    batch: int
    number: int
    split: str
    kind: str | None

    @property
    def category(self) -> str:
        return f"panel{self.batch + 1}"

    @property
    def inside(self) -> str:
        """Its folder, below that of its category."""
        folder = "OK" if self.kind is None else f"NG/{CODES[self.kind]}"
        return f"{folder}/S{self.number:04}"

    def stem(self, view: int) -> str:
        code = "OK" if self.kind is None else f"NG_{CODES[self.kind]}"
        return f"{self.category}_{self.number:04}_{code}_C{view + 1}_{_TIME}"


def write_parts(
    folder: Path, what: PartSet, *, progress: ShowProgress | None = None
) -> PartSetSummary:
    """Draw what is not drawn yet, then write the JSON of every category.

    A part's folder is written at once, so that a part that is there is done. As in Real-IAD, a view
    of a defective part in which the defect cannot be seen is an OK entry without a mask.
    Raises BlemishError for settings that cannot be, DatasetError for a folder of something else.
    """
    what.check()
    claim(folder, {**asdict(what), "views": VIEWS})
    members = _members(what)
    for done, member in enumerate(members):
        if progress:
            progress(Progress("drawing parts", done, len(members)))
        place = folder / IMAGES / member.category / member.inside
        if not place.is_dir():
            _write(place, member, _drawn(what, member))
    if progress:
        progress(Progress("drawing parts", len(members), len(members)))
    entries = [entry for member in members for entry in _entries(folder, member)]
    for batch in range(what.batches):
        _write_json(folder, f"panel{batch + 1}", members, entries)
    return PartSetSummary(
        train=sum(member.split == "train" for member in members),
        good=sum(member.split == "test" and member.kind is None for member in members),
        defective=sum(member.kind is not None for member in members),
        defective_views=sum(entry["mask_path"] is not None for entry in entries),
    )


def _members(what: PartSet) -> list[_Member]:
    """All parts; the kinds of defects take turns."""
    kinds = sorted(CODES)
    return [
        _Member(
            batch,
            number + 1,
            "train" if number % 5 < 3 else "test",
            kinds[number // 5 % len(kinds)] if number % 5 == 4 else None,
        )
        for batch in range(what.batches)
        for number in range(what.parts)
    ]


def _drawn(what: PartSet, member: _Member) -> Part:
    design = seed_of(what.seed, 11, member.batch)
    return simulate_part(design, seed_of(what.seed, 12, member.batch, member.number), member.kind)


def _write(place: Path, member: _Member, part: Part) -> None:
    """Write the views of a part, and the masks that are not empty."""
    with filling(place) as folder:
        for view in range(VIEWS):
            image = cv2.imencode(".jpg", part.views[view], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
            (folder / f"{member.stem(view)}.jpg").write_bytes(image.tobytes())
            if part.masks[view].any():
                mask = cv2.imencode(".png", part.masks[view] * np.uint8(255))[1]
                (folder / f"{member.stem(view)}.png").write_bytes(mask.tobytes())


def _entries(folder: Path, member: _Member) -> list[dict[str, str | None]]:
    entries: list[dict[str, str | None]] = []
    for view in range(VIEWS):
        path = f"{member.inside}/{member.stem(view)}"
        masked = (folder / IMAGES / member.category / f"{path}.png").is_file()
        entries.append(
            {
                "category": member.category,
                "anomaly_class": CODES[member.kind] if masked and member.kind else "OK",
                "image_path": f"{path}.jpg",
                "mask_path": f"{path}.png" if masked else None,
            }
        )
    return entries


def _write_json(
    folder: Path, category: str, members: list[_Member], entries: list[dict[str, str | None]]
) -> None:
    splits: dict[str, list[dict[str, str | None]]] = {"train": [], "test": []}
    for number, entry in enumerate(entries):
        if entry["category"] == category:
            splits[members[number // VIEWS].split].append(entry)
    document = {"meta": {"prefix": f"{category}/", "normal_class": "OK"}, **splits}
    text = json.dumps(document, indent=1) + "\n"
    write_bytes(folder / JSONS / f"{category}.json", text.encode("utf-8"))
