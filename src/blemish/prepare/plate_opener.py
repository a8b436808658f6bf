"""Open the plates of a recipe to cut patches; the inputs that decide a set made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

import blemish
from blemish.errors import DatasetError
from blemish.images import image_files
from blemish.prepare.known_defects import KnownDefects
from blemish.prepare.patch_recipe import PatchRecipe
from blemish.prepare.plates import (
    Plate,
    PlateFile,
    file_sha256,
    highest_value,
    map_pixels,
    refuse_mixed_colours,
    unpack,
)
from blemish.prepare.region_of_interest import RegionOfInterest
from blemish.prepare.region_segmentation import find_region, mask_for
from blemish.util.progress import Progress, ShowProgress


def inputs_of(what: str, recipe: PatchRecipe, plates: Sequence[PlateFile]) -> dict[str, Any]:
    """The inputs that decide a set: recipe, plates and files with digests, as JSON values."""
    named = (recipe.defects.table, recipe.defects.masks, recipe.region.mask)
    files = [file for name in named if name is not None for file in image_paths(recipe.path(name))]
    words = recipe.words()
    words["stream"] = None  # the first items of a longer stream are those of a shorter one
    return {
        "what": what,
        "recipe": words,
        "plates": [[plate.name, plate.split, plate.sha256] for plate in plates],
        "files": [[file.name, file_sha256(file)] for file in files],
    }


def region_of(plate: PlateFile, pixels: npt.NDArray[Any], recipe: PatchRecipe) -> RegionOfInterest:
    """The region of interest of a plate. Raises as `find_region` and `mask_for` do."""
    masks = recipe.region.mask if recipe.region.method == "mask" else None
    mask = None if masks is None else mask_for(plate.name, recipe.path(masks))
    return find_region(plate.name, pixels, recipe.region, mask)


def open_plates(
    files: Sequence[PlateFile],
    recipe: PatchRecipe,
    known: KnownDefects | None,
    folder: Path,
    progress: ShowProgress | None = None,
) -> list[Plate]:
    """Plates with their regions, off known defects; their pixels are unpacked below `folder`.

    Without `known` the region is the whole plate. Raises DatasetError for a plate on which no patch
    fits, and where grey and RGB are mixed.
    """
    plates, shapes = [], {}
    for done, file in enumerate(files, 1):
        held = unpack(file, recipe, folder)
        pixels = map_pixels(held)
        shapes[file.name] = pixels.shape
        region = RegionOfInterest.whole((pixels.shape[0], pixels.shape[1]))
        if known is not None:
            region = known.free_region(
                file.name, region_of(file, pixels, recipe), recipe.defects.margin
            )
        places = region.places(recipe.patches.size)
        if not len(places):
            raise no_place(file.path, recipe)
        plates.append(Plate(file.name, held, highest_value(pixels), region, places))
        if progress:
            progress(Progress("opening plates", done, len(files)))
    refuse_mixed_colours(shapes)
    return plates


def no_place(path: Path, recipe: PatchRecipe) -> DatasetError:
    """The error for a plate whose region is too small or too ragged."""
    return DatasetError(
        f"no patch of {recipe.patches.size} pixels fits into the region of interest of {path}; "
        "make the region larger under [region] in the recipe, or the patch smaller, or leave the "
        "plate out."
    )


def image_paths(place: Path) -> list[Path]:
    """The images in a folder, or the file itself."""
    return image_files(place) if place.is_dir() else [place]


def attributes(recipe: PatchRecipe) -> dict[str, Any]:
    """What a file says of how it was made."""
    return {
        "seed": recipe.seed,
        "recipe": json.dumps(recipe.words()),
        "blemish": blemish.__version__,
    }
