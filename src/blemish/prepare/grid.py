"""The unsupervised set: patches of a sliding window, in the layout of MVTec AD.

Good patches of the training plates train. Patches of the test plates are good, or show a known
defect and get its mask. `parts.csv` says which plate each is from: patches of one plate belong
together.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.dataset.file_names import kind_folders
from blemish.dataset.layouts.mvtec import GOOD, MASKS
from blemish.dataset.parts import FILE_NAME
from blemish.errors import ArtifactError, DatasetError
from blemish.prepare.known_defects import DefectMask, KnownDefects, read_known_defects
from blemish.prepare.patch_augmentation import Box
from blemish.prepare.patch_recipe import GridSettings, PatchRecipe
from blemish.prepare.plate_opener import inputs_of, no_place, region_of
from blemish.prepare.plates import PlateFile, plate_files, read_plate, refuse_mixed_colours
from blemish.prepare.region_of_interest import Mask
from blemish.prepare.work_folder import work_folder
from blemish.util import typed_json
from blemish.util.files import inside, is_disk_full, replacing
from blemish.util.progress import Progress, ShowProgress
from blemish.util.text_files import read_json
from blemish.util.threads import in_order


@dataclass(frozen=True)
class GridSummary:
    """What was written to `path`: patches by folder, and those that were left out.

    `train_left_out` touch a known defect; `test_left_out` hold too little of one to be sure.
    """

    path: Path
    plates: int
    patches: Mapping[str, int]
    train_left_out: int
    test_left_out: int


@dataclass(frozen=True, eq=False)
class _GridPatch:
    """A patch to be written: its box, its folder, and its mask if it shows a defect."""

    box: Box
    folder: str
    mask: Mask | None


def prepare_grid(
    recipe: PatchRecipe, out: Path, *, threads: int = 1, progress: ShowProgress | None = None
) -> GridSummary:
    """Write the patches of a recipe's plates into a new folder, whole or not at all.

    It goes on where an earlier call stopped. Raises DatasetError for plates that cannot be used,
    and ArtifactError when the disk is full.
    """
    files = plate_files(recipe)
    known = read_known_defects(recipe, files)
    plates = [plate for split in files.values() for plate in split]
    with work_folder(out, inputs_of("grid", recipe, plates)) as work:
        content, finished = work / "content", work / "finished"
        kinds = kind_folders(known.kinds(recipe.grid.by))
        try:
            for done, plate in enumerate(plates, 1):
                note = inside(finished, f"{plate.name}.json")
                if not note.exists():
                    told = _write_plate(plate, recipe, known, kinds, content, threads)
                    with replacing(note) as file:
                        file.write(json.dumps(told).encode())
                if progress:
                    progress(Progress("cutting plates", done, len(plates)))
            notes = {
                plate.name: _read_note(inside(finished, f"{plate.name}.json")) for plate in plates
            }
            refuse_mixed_colours({name: tuple(note["shape"]) for name, note in notes.items()})
            _write_parts(notes, content)
        except OSError as error:
            if not is_disk_full(error):
                raise
            raise ArtifactError(
                f"the disk is full, and {out} is not finished; free some space, and the same "
                "command goes on"
            ) from error
        content.rename(out)
        shutil.rmtree(work, ignore_errors=True)
        return _summary(out, notes.values())


def kind_of(
    shown: Sequence[DefectMask], box: Box, settings: GridSettings
) -> tuple[DefectMask | None, Mask] | None:
    """The defect that a box of a plate shows most of, or None for none, and all defects' pixels.

    None where it holds pixels of defects, but of no defect enough.
    """
    mask = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
    best, most = None, 0
    for one in shown:
        inside = one.within(box)
        pixels = int(inside.sum())
        mask |= inside
        enough = min(settings.least_share * one.area, settings.least_pixels)
        if pixels > most and pixels >= enough:
            best, most = one, pixels
    if best is None and mask.any():
        return None
    return best, mask


@dataclass(frozen=True)
class PlateNote:
    """What is kept of a finished plate: its pixels' shape, its patches, how many were left out."""

    split: str
    shape: list[int]
    files: list[str]
    left_out: int


def _write_plate(
    plate: PlateFile,
    recipe: PatchRecipe,
    known: KnownDefects,
    kinds: Mapping[str, str],
    content: Path,
    threads: int,
) -> dict[str, Any]:
    """Write all patches of a plate; which files, and how many windows were left out."""
    pixels = read_plate(plate, recipe)
    size, stride = recipe.patches.size, recipe.patches.stride
    region = region_of(plate, pixels, recipe)
    corners = region.windows(size, stride)
    if not corners:
        raise no_place(plate.path, recipe)
    boxes = [(top, left, top + size, left + size) for top, left in corners]
    if plate.split == "train":
        free = known.free_region(plate.name, region, recipe.defects.margin)
        windows = [
            _GridPatch(box, f"train/{GOOD[0]}", None) for box in boxes if free.contains(*box)
        ]
    else:
        shown = known.masks_on(plate.name, region.shape)
        windows = list(_test_windows(boxes, shown, kinds, recipe.grid))
    for folder in {window.folder for window in windows}:
        inside(content, folder).mkdir(parents=True, exist_ok=True)
        if not folder.endswith(f"/{GOOD[0]}"):
            inside(content, folder.replace("test", MASKS, 1)).mkdir(parents=True, exist_ok=True)
    names = list(in_order(partial(_write, plate.name, pixels, content), windows, threads))
    return {
        "split": plate.split,
        "shape": list(pixels.shape),
        "files": names,
        "left_out": len(boxes) - len(windows),
    }


def _test_windows(
    boxes: Iterable[Box],
    shown: Sequence[DefectMask],
    kinds: Mapping[str, str],
    settings: GridSettings,
) -> Iterable[_GridPatch]:
    for box in boxes:
        found = kind_of(shown, box, settings)
        if found is not None:
            defect, mask = found
            kind = GOOD[0] if defect is None else kinds[getattr(defect.known, settings.by)]
            yield _GridPatch(box, f"test/{kind}", None if defect is None else mask)


def _write(plate: str, pixels: npt.NDArray[Any], content: Path, window: _GridPatch) -> str:
    """Write one patch and its mask; the patch's file, relative to the set."""
    top, left, bottom, right = window.box
    stem = f"{plate}_{top:05}_{left:05}"
    name = f"{window.folder}/{stem}.png"
    _write_png(inside(content, name), pixels[top:bottom, left:right])
    if window.mask is not None:
        mask = f"{window.folder.replace('test', MASKS, 1)}/{stem}_mask.png"
        _write_png(inside(content, mask), window.mask.astype(np.uint8) * 255)
    return name


def _write_png(path: Path, pixels: npt.NDArray[Any]) -> None:
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(bgr))[1].tobytes())


def _read_note(file: Path) -> dict[str, Any]:
    """What was written of a finished plate."""
    way_out = "remove its folder, and begin anew."
    note = read_json(file, "note of a finished plate", way_out)
    try:
        found = typed_json.read(PlateNote, note)
    except ValueError as error:
        raise DatasetError(f"{file} is no note of a finished plate ({error}); {way_out}") from error
    return dataclasses.asdict(found)


def _write_parts(notes: Mapping[str, Mapping[str, Any]], content: Path) -> None:
    pairs = [(file, name) for name, note in notes.items() for file in note["files"]]
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in pair) for pair in pairs]
    if not lines:
        raise DatasetError("no patch is left: every one touches a known defect.")
    with replacing(content / FILE_NAME) as file:
        file.write("\n".join(["file,part", *lines, ""]).encode("utf-8"))


def _summary(out: Path, notes: Iterable[Mapping[str, Any]]) -> GridSummary:
    folders: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    plates = 0
    for note in notes:
        plates += 1
        folders.update(name.rpartition("/")[0] for name in note["files"])
        left_out[note["split"]] += note["left_out"]
    return GridSummary(
        out, plates, dict(sorted(folders.items())), left_out["train"], left_out["test"]
    )
