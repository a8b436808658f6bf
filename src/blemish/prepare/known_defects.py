"""Real defects that are known on plates: rows of a table, masks of whole plates, or both.

The table has the columns plate, and x and y, or left, top, width and height of a box, or all of
them; and maybe kind and group. What a mask shows inside a box is that defect; without a table each
piece of a mask is a defect, and without masks a box is one as a whole.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import polars as pl

from blemish.dataset.csv_file import read_delimited
from blemish.dataset.label_words import name_some
from blemish.dataset.mask_findings import EMPTY, MaskFindings
from blemish.errors import DatasetError
from blemish.images import image_files, look_at_mask, read_mask
from blemish.images.listing import SUFFIXES
from blemish.prepare.patch_augmentation import Box
from blemish.prepare.patch_recipe import PatchRecipe
from blemish.prepare.plates import PlateFile
from blemish.prepare.region_of_interest import Mask, RegionOfInterest
from blemish.prepare.region_segmentation import cells_under, dilated

log = logging.getLogger("blemish")

UNNAMED = "defect"


@dataclass(frozen=True)
class KnownDefect:
    """A defect as the table has it: its middle (x, y), and its box unless only that is known."""

    kind: str
    group: str
    x: float
    y: float
    box: Box | None


@dataclass(frozen=True, eq=False)
class DefectMask:
    """A defect and its pixels: bool [h, w], whose top left corner lies at (top, left)."""

    known: KnownDefect
    top: int
    left: int
    mask: Mask

    @property
    def area(self) -> int:
        """Its pixels."""
        return int(self.mask.sum())

    def within(self, box: Box) -> Mask:
        """Its pixels in a box of the plate, bool [height, width] of the box."""
        top, left, bottom, right = box
        inside = np.zeros((bottom - top, right - left), bool)
        rows = max(top, self.top), min(bottom, self.top + self.mask.shape[0])
        columns = max(left, self.left), min(right, self.left + self.mask.shape[1])
        if rows[0] < rows[1] and columns[0] < columns[1]:
            inside[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left] = (
                self.mask[
                    rows[0] - self.top : rows[1] - self.top,
                    columns[0] - self.left : columns[1] - self.left,
                ]
            )
        return inside


@dataclass(frozen=True)
class KnownDefects:
    """The known defects and the mask files, by plate's name; `table` is None without a table."""

    table: Mapping[str, Sequence[KnownDefect]] | None
    masks: Mapping[str, Path]

    def kinds(self, by: str) -> list[str]:
        """The groups, or the kinds, of the known defects."""
        if self.table is None:
            return [UNNAMED]
        return sorted(
            {getattr(defect, by) for defects in self.table.values() for defect in defects}
        )

    def masks_on(
        self, plate: str, shape: tuple[int, int], *, points: bool = False
    ) -> list[DefectMask]:
        """The defects of a plate of that shape that have any pixels.

        With `points` also those of which no more than a point is known; their masks are empty.
        Warns of a mask that is odd. Raises ImageError for one of another size, DatasetError for a
        defect outside the plate and, without `points`, for one without a box where the mask shows
        nothing.
        """
        mask = self._read_mask(plate, shape)
        if self.table is None:
            return [] if mask is None else _pieces(mask)
        found = [_mask_of(known, mask, shape, plate) for known in self.table.get(plate, ())]
        if not points and None in found:
            known = self.table[plate][found.index(None)]
            raise DatasetError(
                f"the defect at ({known.x:g}, {known.y:g}) on the plate {plate} has neither a box "
                "nor a mask there; add a box to its row."
            )
        pairs = zip(self.table.get(plate, ()), found, strict=True)
        placed = [_point(known) if shown is None else shown for known, shown in pairs]
        return [shown for shown in placed if points or shown.area]

    def _read_mask(self, plate: str, shape: tuple[int, int]) -> Mask | None:
        if plate not in self.masks:
            return None
        odd, reading = MaskFindings(), look_at_mask(self.masks[plate], shape)
        odd.add(self.masks[plate].name, reading)
        for finding in odd.findings():
            if finding.kind != EMPTY:  # a plate may well have no defect
                log.warning("%s", finding.message)
        return reading.marked

    def free_region(self, plate: str, region: RegionOfInterest, margin: int) -> RegionOfInterest:
        """The region of a plate less what lies within `margin` pixels of a known defect."""
        taken = np.zeros(region.cells.shape, bool)
        if plate in self.masks:
            taken |= cells_under(read_mask(self.masks[plate], region.shape), region)
        for known in (self.table or {}).get(plate, ()):
            if plate not in self.masks or known.box is None:
                top, left, bottom, right = known.box or _pixel(known)
                side = region.side
                rows = slice(max(0, top) // side, -(-bottom // side))
                taken[rows, max(0, left) // side : -(-right // side)] = True
        return region.without(dilated(taken, margin, region.side)) if taken.any() else region


def read_known_defects(
    recipe: PatchRecipe, plates: Mapping[str, Sequence[PlateFile]]
) -> KnownDefects:
    """The known defects that a recipe names; none where it names neither table nor masks.

    Raises DatasetError for a table that lacks columns, holds something that is no number, or names
    a plate that does not exist.
    """
    names = {plate.name for split in plates.values() for plate in split}
    masks: dict[str, Path] = {}
    if recipe.defects.masks is not None:
        for file in image_files(recipe.path(recipe.defects.masks)):
            masks[file.stem.removesuffix("_mask")] = file
    if recipe.defects.table is None:
        return KnownDefects(None, masks)
    return KnownDefects(_read_table(recipe.path(recipe.defects.table), names), masks)


def _read_table(file: Path, names: set[str]) -> dict[str, list[KnownDefect]]:
    frame = read_delimited(file)
    if not any(set(place) <= set(frame.columns) for place in (_POINT, _BOX)):
        raise DatasetError(
            f"{file} does not say where the defects are; it needs the columns plate, and "
            f"{' and '.join(_POINT)}, or {', '.join(_BOX)}."
        )
    if "plate" not in frame.columns:
        raise DatasetError(f"{file} has no column 'plate', the name of a plate's file.")
    absent = [pl.lit(None, pl.String).alias(c) for c in _OPTIONAL if c not in frame.columns]
    rows = frame.with_columns(absent).select("plate", *_OPTIONAL)
    plates = [_stem(name, names) for name in rows["plate"]]
    given = zip(rows["plate"], plates, strict=True)
    unknown = sorted({name or "(none)" for name, plate in given if plate not in names})
    if unknown:
        raise DatasetError(
            f"{file} names plates that do not exist ({len(unknown)}): {name_some(unknown)}; the "
            "recipe's plates are the names of its files, without the suffix."
        )
    found: dict[str, list[KnownDefect]] = {}
    values = zip(plates, rows.drop("plate").iter_rows(), strict=True)
    for number, (plate, (kind, group, *place)) in enumerate(values, 2):
        try:
            known = _known_defect(kind, group, place[:2], place[2:])
        except (ValueError, TypeError, OverflowError):
            raise DatasetError(
                f"{file}, row {number}: the defect has no place "
                f"({name_some([text or 'empty' for text in place], 6)}); correct or remove the "
                "row."
            ) from None
        found.setdefault(plate, []).append(known)
    return found


_POINT, _BOX = ("x", "y"), ("left", "top", "width", "height")
_OPTIONAL = ("kind", "group", *_POINT, *_BOX)


def _stem(name: str | None, plates: Set[str]) -> str:
    """The plate that a row names, with a suffix or not; blanks around it need not be its own."""
    words = [name or "", (name or "").strip()]
    stems = [word.rpartition(".") for word in words]
    words += [stem for stem, _, suffix in stems if f".{suffix.lower()}" in SUFFIXES]
    return next((word for word in words if word in plates), words[-1])


def _known_defect(
    kind: str | None,
    group: str | None,
    point: Sequence[str | None],
    edges: Sequence[str | None],
) -> KnownDefect:
    """A row's defect; ValueError where it has no place, or something that is no number."""
    kind, group = kind or group or UNNAMED, group or kind or UNNAMED
    x, y = (None if text is None else float(text) for text in point)
    box = None
    if None not in edges:
        left, top, width, height = (int(text or "") for text in edges)
        box = top, left, top + height, left + width
        if width < 1 or height < 1:
            raise ValueError(edges)
        if x is None or y is None:
            x, y = left + (width - 1) / 2, top + (height - 1) / 2
    if x is None or y is None or not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(point)
    return KnownDefect(kind, group, x, y, box)


def _pixel(known: KnownDefect) -> Box:
    row, column = round(known.y), round(known.x)
    return row, column, row + 1, column + 1


def _point(known: KnownDefect) -> DefectMask:
    return DefectMask(known, *_pixel(known)[:2], np.zeros((1, 1), bool))


def _mask_of(
    known: KnownDefect, mask: Mask | None, shape: tuple[int, int], plate: str
) -> DefectMask | None:
    """The defect's pixels; None where no more than a point is known."""
    if not (0 <= known.x < shape[1] and 0 <= known.y < shape[0]):
        raise DatasetError(
            f"the defect at ({known.x:g}, {known.y:g}) lies outside the plate {plate}, which is "
            f"{shape[1]} x {shape[0]} pixels; correct its row."
        )
    if known.box is not None:
        top, left = max(0, known.box[0]), max(0, known.box[1])
        bottom, right = min(known.box[2], shape[0]), min(known.box[3], shape[1])
        sides = max(0, bottom - top), max(0, right - left)
        inside = np.ones(sides, bool) if mask is None else mask[top:bottom, left:right]
        return DefectMask(known, top, left, inside)
    row, column, bottom, right = _pixel(known)
    for piece in [] if mask is None else _pieces(mask):
        if piece.within((row, column, bottom, right)).any():
            return DefectMask(known, piece.top, piece.left, piece.mask)
    return None


def _pieces(mask: Mask) -> list[DefectMask]:
    """The 8-connected pieces of a mask, each a defect of no known kind."""
    _, labels, boxes, middles = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    found = []
    for number, (left, top, width, height, _) in enumerate(boxes[1:].tolist(), 1):
        box = (top, left, top + height, left + width)
        x, y = middles[number].tolist()
        known = KnownDefect(UNNAMED, UNNAMED, x, y, box)
        inside = labels[top : top + height, left : left + width] == number
        found.append(DefectMask(known, top, left, inside))
    return found
