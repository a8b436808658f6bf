"""Scans of drawn plates, and recipes for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import numpy.typing as npt
from plates import save

from blemish.images.hdf5_file import close_files

Pixels = npt.NDArray[np.uint8]
SHAPE = (240, 320)
SIZE = 64  # of a patch
PLATE = (20, 30, 220, 290)  # top, left, bottom, right of the plate in the scan

RECIPE = """
modality = "LSM-1"
[plates]
train = ["train/*.png"]
[patches]
size = 64
stride = 40
[region]
margin = 4
[stream]
count = 300
"""


def plate_at(shape: tuple[int, int] = SHAPE) -> npt.NDArray[np.bool_]:
    """Where the plate lies in a scan."""
    mask = np.zeros(shape, bool)
    top, left, bottom, right = PLATE
    mask[top:bottom, left:right] = True
    return mask


def scan(seed: int, shape: tuple[int, int] = SHAPE) -> Pixels:
    """A grey plate with bright print, on a black table."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    print_ = (np.sin(columns / 5 + seed) > 0.4) & (np.sin(rows / 7) > -0.2)
    grey = np.where(plate_at(shape), 70 + 80 * print_, 6)
    return np.clip(grey + rng.normal(0, 3, shape), 0, 255).astype(np.uint8)


def with_spot(pixels: Pixels, y: int, x: int, radius: int) -> tuple[Pixels, Pixels]:
    """The plate with a white spot, and its mask."""
    mask = cv2.circle(np.zeros(pixels.shape[:2], np.uint8), (x, y), radius, 255, -1)
    return np.where(mask > 0, np.uint8(255), pixels), np.asarray(mask, np.uint8)


def save_scans(root: Path, split: str, seeds: Sequence[int]) -> None:
    for seed in seeds:
        save(root / split / f"{split}_{seed}.png", scan(seed))


def recipe_at(root: Path, text: str = "", *, base: str = RECIPE) -> Path:
    """`recipe.toml` in `root`: the usual one, and more tables."""
    root.mkdir(parents=True, exist_ok=True)
    file = root / "recipe.toml"
    file.write_text(base + text, encoding="utf-8")
    return file


def stacks(file: Path) -> dict[str, Any]:
    """Everything that an HDF5 file holds."""
    close_files()
    found: dict[str, Any] = {}
    with h5py.File(file, "r") as content:
        content.visititems(
            lambda name, held: found.update({name: held[()]}) if hasattr(held, "shape") else None
        )
    return found
