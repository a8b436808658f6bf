"""Draw docs/images/patches.png: patches of a stream in three modalities, and one real defect's.

python scripts/make_patches_picture.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import h5py
import numpy as np
import numpy.typing as npt
from PIL import Image

from blemish.prepare.defect_patches import prepare_defects
from blemish.prepare.patch_recipe import open_recipe
from blemish.prepare.supervised_stream import prepare_stream
from blemish.simulator.plate_set import PlateSet, write_plates

Pixels = npt.NDArray[np.uint8]

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "patches.png"
MODALITIES = {"dark_field": "LSM-1", "transmission": "LSM-2", "bright_field": "ASM"}
RECIPE = """
modality = "{modality}"
seed = 3
[plates]
train = ["plates/train"]
[generator]
name = "random_walk"
preset = "{preset}"
[defects]
table = "plates/defects.csv"
masks = "plates/masks"
"""
COLUMNS, SIDE, GAP, CAPTION = 7, 180, 8, 26
PAPER, INK, OUTLINE = (255, 255, 255), (80, 80, 80), (255, 40, 160)


def patches(folder: Path, preset: str, *, defects: bool) -> list[Pixels]:
    """A few patches of the stream, or of the first real defect, with their masks outlined."""
    plates = PlateSet(preset, 1500, 2000, plates=1, test_plates=0, defects=6, seed=5)
    write_plates(folder / "plates", plates)
    file = folder / "recipe.toml"
    file.write_text(RECIPE.format(modality=MODALITIES[preset], preset=preset), encoding="utf-8")
    out = folder / "patches.h5"
    if defects:
        prepare_defects(open_recipe(file), out, each=COLUMNS)
    else:
        prepare_stream(open_recipe(file), out, count=COLUMNS)
    with h5py.File(out) as content:
        images, masks = (content[name][:COLUMNS] for name in ("syn_stream", "ground_truth"))
    return [outlined(image, mask) for image, mask in zip(images, masks, strict=True)]


def outlined(image: Pixels, mask: Pixels) -> Pixels:
    """A patch in RGB with a line around what its mask marks."""
    rgb = cv2.cvtColor(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), 8)
    large = cv2.dilate(cv2.resize(mask, (SIDE, SIDE)), np.ones((9, 9), np.uint8))
    lines, _ = cv2.findContours(
        (large > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return np.asarray(cv2.drawContours(rgb, lines, -1, OUTLINE, 1), np.uint8)


def sheet(rows: list[tuple[str, list[Pixels]]]) -> Pixels:
    """All rows on paper, each below its caption."""
    height = GAP + len(rows) * (SIDE + CAPTION)
    paper = np.full((height, GAP + COLUMNS * (SIDE + GAP), 3), PAPER, np.uint8)
    for number, (words, row) in enumerate(rows):
        top = number * (SIDE + CAPTION) + CAPTION
        cv2.putText(
            *(paper, words, (GAP, top - 7), cv2.FONT_HERSHEY_DUPLEX, 0.5, INK, 1, cv2.LINE_AA)
        )
        for column, patch in enumerate(row):
            left = GAP + column * (SIDE + GAP)
            paper[top : top + SIDE, left : left + SIDE] = patch
    return paper


def main() -> None:
    rows = []
    for preset in MODALITIES:
        with tempfile.TemporaryDirectory() as folder:
            shown = patches(Path(folder), preset, defects=False)
        rows.append((f"stream, {preset.replace('_', ' ')}", shown))
    with tempfile.TemporaryDirectory() as folder:
        shown = patches(Path(folder), "dark_field", defects=True)
    rows.append(("one of the plate's own defects (prepare defects), dark field", shown))
    Image.fromarray(sheet(rows)).quantize(128).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
