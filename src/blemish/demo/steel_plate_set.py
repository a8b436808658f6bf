"""Draw a whole data set of plates in the MVTec layout."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from blemish.demo.steel_plate_defects import DEFECTS
from blemish.demo.steel_plates import Shot, draw_plate, photograph, photograph_mask
from blemish.detectors.base import Progress, ShowProgress
from blemish.errors import DatasetError
from blemish.util.files import replacing

LICENCE = "Drawn by `blemish demo --synthetic`: no camera, no rights reserved (CC0 1.0)"
_QUALITY = 93


@dataclass(frozen=True)
class SplitSizes:
    """How many plates: to learn from, to set the threshold, good to test, and of each defect.

    320 good ones for the threshold are more than the 299 that prove 1 % at 95 %.
    """

    train: int = 130
    validation: int = 320
    good: int = 80
    of_each_defect: int = 20


def draw_plates(
    folder: Path, counts: SplitSizes | None = None, *, progress: ShowProgress | None = None
) -> Path:
    """Draw a set into `folder`, the same at every call, and return the folder.

    Raises DatasetError for a folder that holds something else.
    """
    note = folder / "LICENSE.txt"
    if folder.exists() and not note.is_file() and (folder.is_file() or any(folder.iterdir())):
        raise DatasetError(f"{folder} holds something else; give another folder with --out.")
    with replacing(note) as file:
        file.write(f"{LICENCE}\n".encode())
    names = _names(counts or SplitSizes())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = pool.map(lambda name: _draw(folder, *name), names)
        for done, _ in enumerate(jobs, 1):
            if progress:
                progress(Progress("drawing plates", done, len(names)))
    return folder


def _names(counts: SplitSizes) -> list[tuple[str, str, int]]:
    """Split, kind and number of every picture."""
    groups = [
        ("train", "good", counts.train),
        ("validation", "good", counts.validation),
        ("test", "good", counts.good),
        *(("test", defect, counts.of_each_defect) for defect in DEFECTS),
    ]
    return [(split, kind, number) for split, kind, count in groups for number in range(count)]


def _draw(folder: Path, split: str, kind: str, number: int) -> None:
    """Draw one plate and, if it has a defect, its mask; its name is its seed."""
    seed = hashlib.sha256(f"{split}/{kind}/{number}".encode()).digest()
    generator = np.random.default_rng(list(seed))
    plate, shot = draw_plate(generator), Shot.drawn(generator)
    if kind in DEFECTS:
        plate, mask = DEFECTS[kind](plate, generator)
        seen = photograph_mask(mask, shot).astype(np.uint8) * 255
        _write(folder / "ground_truth" / kind / f"{number:03d}_mask.png", seen)
    _write(folder / split / kind / f"{number:03d}.jpg", photograph(plate, shot))


def _write(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    settings = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if path.suffix == ".jpg" else []
    data = cv2.imencode(path.suffix, bgr, settings)[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())
