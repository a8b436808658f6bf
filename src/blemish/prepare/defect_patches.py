"""Patches of real defects: augmented crops around each known one.

Near the plate's border the square is shifted inwards, never padded. The file is one of ISP-AD's
kind, with `syn_stream` and `ground_truth`; beside the stream of its modality both open as one set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blemish.errors import DatasetError
from blemish.prepare.known_defects import DefectMask, read_known_defects
from blemish.prepare.patch_augmentation import (
    Box,
    Spot,
    Transform,
    cut,
    draw_turn,
    lit,
    plain,
    turned,
)
from blemish.prepare.patch_recipe import Augmentation, GridSettings, PatchRecipe
from blemish.prepare.plate_opener import attributes, inputs_of, open_plates
from blemish.prepare.plates import UNPACKED, Plate, plate_files
from blemish.prepare.region_of_interest import Mask
from blemish.prepare.stream_file import Item, Names, write_stream
from blemish.prepare.work_folder import work_folder
from blemish.util.progress import ShowProgress

TRIES = 20


@dataclass(frozen=True)
class DefectPatchSummary:
    """What was written to `path`: so many patches of so many defects, and how many of each kind."""

    path: Path
    patches: int
    defects: dict[str, int]


@dataclass(frozen=True, eq=False)
class DefectPatches:
    """Makes the patches of known defects, `each` of one defect after the other.

    `defects` are a plate's number, the defect, and its kind's number. The first patch of each is
    not augmented.
    """

    plates: Sequence[Plate]
    defects: Sequence[tuple[int, DefectMask, int]]
    each: int
    size: int
    crop: int
    augmentation: Augmentation
    enough: GridSettings
    seed: int
    shape: tuple[int, ...]
    dtype: str

    def __call__(self, number: int) -> Item:
        """The patch of that number."""
        rng = np.random.default_rng([self.seed, number])
        mark = number // self.each
        index, defect, kind = self.defects[mark]
        plate = self.plates[index]
        pixels = plate.pixels()
        crop = square((defect.known.x, defect.known.y), self.crop, pixels.shape)
        spot = self._spot(defect, crop, rng if number % self.each else None)
        image = cut(pixels, spot, self.size)
        if number % self.each:
            image = lit(image, self.augmentation, plate.top, rng)
        mask = _mask(defect, spot, self.size)
        return Item(image, mask, index, spot.transform, kind, mark)

    def _spot(self, defect: DefectMask, crop: Box, rng: np.random.Generator | None) -> Spot:
        """A turned square inside the crop, with the defect in it; else a plain one."""
        for _ in range(TRIES if rng is not None else 0):
            assert rng is not None
            turn = draw_turn(self.augmentation, rng)
            if turn is None:
                break
            spot = inside(turn, (defect.known.x, defect.known.y), self.size, crop)
            if spot is not None and self._holds(spot, defect):
                return spot
        top, left, _, _ = square((defect.known.x, defect.known.y), self.size, crop[2:], crop[:2])
        return plain(top, left, self.size)

    def _holds(self, spot: Spot, defect: DefectMask) -> bool:
        if not defect.area:
            x, y = np.linalg.solve(
                spot.transform[:, :2],
                np.array([defect.known.x, defect.known.y]) - spot.transform[:, 2],
            )
            return bool(0 <= x < self.size and 0 <= y < self.size)
        least = min(self.enough.least_share * defect.area, self.enough.least_pixels)
        return int(_mask(defect, spot, self.size).sum()) >= least


def square(
    middle: tuple[float, float], size: int, end: tuple[int, ...], start: tuple[int, int] = (0, 0)
) -> Box:
    """The square around the middle (x, y), shifted into the rows and columns from start to end.

    Where it is larger than these, it is all of them.
    """
    edges = []
    for place, first, last in zip(middle[::-1], start, end[:2], strict=True):
        side = min(size, last - first)
        low = min(max(first, round(place - (side - 1) / 2)), last - side)
        edges.append((low, low + side))
    (top, bottom), (left, right) = edges
    return top, left, bottom, right


def inside(
    turn: Transform,
    middle: tuple[float, float],
    size: int,
    crop: Box,
) -> Spot | None:
    """The turned square in the middle (x, y), shifted so that all its pixels lie in the crop."""
    spot = turned(turn, middle, size)
    top, left, bottom, right = spot.box
    if bottom - top > crop[2] - crop[0] or right - left > crop[3] - crop[1]:
        return None
    down = max(0, crop[0] - top) - max(0, bottom - crop[2])
    across = max(0, crop[1] - left) - max(0, right - crop[3])
    return turned(turn, (middle[0] + across, middle[1] + down), size)


def prepare_defects(
    recipe: PatchRecipe,
    out: Path,
    *,
    each: int | None = None,
    workers: int = 1,
    progress: ShowProgress | None = None,
) -> DefectPatchSummary:
    """Write patches of the known defects on a recipe's training plates to an HDF5 file.

    Raises DatasetError where no defect is known, and as `prepare_stream` does.
    """
    times = recipe.defects.each if each is None else each
    if times < 1:
        raise DatasetError(f"{times} patches of each defect are none; give 1 or more.")
    files = plate_files(recipe)
    known = read_known_defects(recipe, files)
    train = files["train"]
    facts = {**inputs_of("defects", recipe, train), "each": times}
    with work_folder(out, facts) as folder:
        plates = open_plates(train, recipe, None, folder / UNPACKED, progress)
        kinds = known.kinds(recipe.grid.by)
        found = [
            (index, defect, kinds.index(getattr(defect.known, recipe.grid.by)))
            for index, plate in enumerate(plates)
            for defect in known.masks_on(plate.name, plate.region.shape, points=True)
        ]
        if not found:
            raise DatasetError(
                f"{recipe.file} knows no defect on its training plates; name a table or masks of "
                "them under [defects]."
            )
        pixels, size = plates[0].pixels(), recipe.patches.size
        maker = DefectPatches(
            *(plates, found, times, size, recipe.defects.crop, recipe.augmentation, recipe.grid),
            recipe.seed,
            (size, size, *pixels.shape[2:]),
            pixels.dtype.name,
        )
        names = Names([plate.name for plate in plates], kinds)
        number = times * len(found)
        write_stream(
            *(maker, number, out, folder, names, attributes(recipe)),
            workers=workers,
            progress=progress,
        )
        counts = {kind: sum(k == i for _, _, k in found) for i, kind in enumerate(kinds)}
        return DefectPatchSummary(
            out, number, {kind: count for kind, count in counts.items() if count}
        )


def _mask(defect: DefectMask, spot: Spot, size: int) -> Mask:
    """Where the defect is in the patch."""
    top, left, bottom, right = spot.box
    here = defect.within(spot.box).astype(np.uint8)
    moved = Spot(
        spot.transform - [[0, 0, left], [0, 0, top]], (0, 0, bottom - top, right - left), spot.plain
    )
    return cut(here, moved, size, nearest=True).astype(bool)
