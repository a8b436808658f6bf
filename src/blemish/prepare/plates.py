"""The plates of a recipe: which files they are, their pixels, and where patches may lie on them."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.dataset.label_words import name_some
from blemish.errors import DatasetError
from blemish.images import depth, read_image
from blemish.images.listing import SUFFIXES, image_files
from blemish.prepare.patch_recipe import PatchRecipe
from blemish.prepare.region_of_interest import Places, RegionOfInterest
from blemish.util.array_files import map_array
from blemish.util.files import digest_regular, inside, replacing
from blemish.util.names import wrong_name

SPLITS = ("train", "test")
UNPACKED = "plates"  # their folder, in that of unfinished work


@dataclass(frozen=True)
class PlateFile:
    """A plate on disk; its name is that of the file, without the suffix."""

    path: Path
    split: str
    sha256: str

    @property
    def name(self) -> str:
        """What tables, masks and patches call it."""
        return self.path.stem


@dataclass(frozen=True, eq=False)
class Plate:
    """A plate whose pixels are at hand, and where patches may lie on it.

    The pixels are uint8 or uint16, [H, W] or [H, W, 3]: an array, or a .npy file with one, which is
    mapped for as long as it is used. `top` is the highest value that they can have.
    """

    name: str
    held: npt.NDArray[Any] | Path
    top: int
    region: RegionOfInterest
    places: Places

    def pixels(self) -> npt.NDArray[Any]:
        """The plate's pixels, read only."""
        if isinstance(self.held, np.ndarray):
            return self.held
        if self.held not in _mapped:
            _mapped[self.held] = map_pixels(self.held)
        return _mapped[self.held]


_mapped: dict[Path, npt.NDArray[Any]] = {}


def map_pixels(held: Path) -> npt.NDArray[Any]:
    """Unpacked pixels, read only. Raises DatasetError for a file that was damaged since."""
    pixels = map_array(held, "unpacked plate", "remove it, and the same command goes on.")
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim not in (2, 3):
        raise DatasetError(f"{held} is no unpacked plate; remove it, and the same command goes on.")
    return pixels


def unmap_plates() -> None:
    """Let go of the files of plates, and of the memory that their pixels took."""
    _mapped.clear()


def plate_files(recipe: PatchRecipe) -> dict[str, list[PlateFile]]:
    """The plates of each split, by name.

    Raises DatasetError where a split that the recipe names has none, where two plates have one name
    or one content, and ImageError where they differ in depth or cannot be read.
    """
    found = {}
    for split in SPLITS:
        patterns: tuple[str, ...] = getattr(recipe.plates, split)
        paths = sorted({path for pattern in patterns for path in _matching(recipe, pattern)})
        if patterns and not paths:
            raise DatasetError(
                f"{recipe.file} names no plate that exists for {split} ({', '.join(patterns)}); "
                "give files, folders or patterns relative to the recipe."
            )
        found[split] = [PlateFile(path, split, file_sha256(path)) for path in paths]
    everything = [plate for plates in found.values() for plate in plates]
    for trait, what in (("name", "name"), ("sha256", "content")):
        _refuse_twice(everything, trait, what)
    _refuse_mixed_depth(everything)
    return found


def read_plate(plate: PlateFile, recipe: PatchRecipe) -> npt.NDArray[Any]:
    """A plate's pixels; grey where the recipe says so.

    Raises DatasetError for one that is smaller than a patch, ImageError as reading does.
    """
    pixels = read_image(plate.path)
    if pixels.ndim == 3 and recipe.plates.grey:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    size = recipe.patches.size
    if min(pixels.shape[:2]) < size:
        raise DatasetError(
            f"the plate {plate.path} is {pixels.shape[1]} x {pixels.shape[0]} pixels, smaller than "
            f"a patch of {size}; leave it out, or set a smaller size under [patches]."
        )
    return pixels


def refuse_mixed_colours(shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise DatasetError where some plates, by name, are grey and some have colours."""
    grey = [name for name, shape in shapes.items() if len(shape) == 2]
    coloured = [name for name, shape in shapes.items() if len(shape) == 3]
    if grey and coloured:
        raise DatasetError(
            f"the plates differ in colour: {name_some(grey)} grey, {name_some(coloured)} in RGB; "
            "set grey = true under [plates], or save all of them in one way."
        )


def highest_value(pixels: npt.NDArray[Any]) -> int:
    """255, or in 16 bits the lowest power of two above all values, less one: 4095 for 12 bits."""
    return 255 if pixels.dtype == np.uint8 else max(255, (1 << int(pixels.max()).bit_length()) - 1)


def unpack(plate: PlateFile, recipe: PatchRecipe, folder: Path) -> Path:
    """The plate's pixels as a .npy file below `folder`, which several processes can map."""
    target = inside(folder, f"{plate.name}-{plate.sha256[:16]}.npy")
    if not target.exists():
        pixels = np.ascontiguousarray(read_plate(plate, recipe))
        with replacing(target) as file:
            # Unlike np.save, which does not say that the disk is full.
            header = np.lib.format.header_data_from_array_1_0(pixels)
            np.lib.format.write_array_header_1_0(file, header)
            file.write(pixels.data)
    return target


def _matching(recipe: PatchRecipe, pattern: str) -> Sequence[Path]:
    place = recipe.path(pattern)
    if wrong := wrong_name(place):
        raise DatasetError(wrong)
    if place.is_dir():
        return image_files(place)
    if place.exists():
        return [place]
    found = glob.glob(str(place), recursive=True)  # noqa: PTH207 (a pattern may be absolute)
    paths = [Path(name) for name in found if name.lower().endswith(SUFFIXES)]
    if wrong := next(filter(None, map(wrong_name, paths)), None):
        raise DatasetError(wrong)
    return paths


def file_sha256(path: Path) -> str:
    """The digest of a file's bytes. Raises DatasetError where it cannot be read."""
    try:
        return digest_regular(path).hex()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error


def _refuse_twice(plates: Sequence[PlateFile], trait: str, what: str) -> None:
    first: dict[str, PlateFile] = {}
    for plate in plates:
        other = first.setdefault(getattr(plate, trait), plate)
        if other is not plate:
            mixed = "" if other.split == plate.split else ", one to train and one to test on"
            raise DatasetError(
                f"the plates {other.path} and {plate.path} have the same {what}{mixed}; "
                f"{'rename' if what == 'name' else 'leave out'} one of them."
            )


def _refuse_mixed_depth(plates: Sequence[PlateFile]) -> None:
    first: dict[str, Path] = {}
    for plate in plates:
        first.setdefault(depth(plate.path), plate.path)
    if "float32" in first:
        raise DatasetError(
            f"the plate {first['float32']} holds float pixels; save it in 8 or 16 bits."
        )
    if len(first) > 1:
        kinds = ", ".join(f"{path} is {kind}" for kind, path in sorted(first.items()))
        raise DatasetError(f"the plates differ in depth: {kinds}; save all of them in one depth.")
