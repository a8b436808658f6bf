"""Draw docs/images/simulator.png: simulated plates and defects under the three modalities.

python scripts/make_simulator_picture.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from blemish.simulator import PlacedDefect, SimulatedPlate, simulate_plate

Pixels = npt.NDArray[np.uint8]

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "simulator.png"
HEIGHT, WIDTH = 3000, 4000
SIDE, WIDE = 300, 400  # of a picture, and of an overview
GAP, CAPTION = 10, 30
PAPER, INK = 255, 80
GREYS = 64  # in the file: fewer are seen, more cost


@dataclass(frozen=True)
class Row:
    """A modality, the seeds of its plate, a crop's corner, and two kinds of defects to show."""

    modality: str
    design: int
    seed: int
    crop: tuple[int, int]
    point: str
    area: str


ROWS = (
    Row("dark_field", 21, 1, (880, 340), "fibre", "grid_defect"),
    Row("transmission", 21, 7, (880, 340), "pinhole", "squeegee_stroke"),
    Row("bright_field", 21, 10, (880, 340), "inclusion", "pattern_misalignment"),
)


def drawn(row: Row) -> list[tuple[Pixels, str]]:
    """The pictures of a row with their captions."""
    plate = simulate_plate(row.design, row.seed, row.modality, HEIGHT, WIDTH, [row.point, row.area])
    top, left = row.crop
    crop = plate.image[top : top + 256, left : left + 256]
    overview = cv2.resize(plate.image, (WIDE, SIDE), interpolation=cv2.INTER_AREA)
    shown: list[tuple[npt.NDArray[np.generic], str]] = [
        (overview, f"{row.modality}, {WIDTH} x {HEIGHT}"),
        (cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), "a patch of 256 x 256"),
    ]
    shown += [(around(plate, found), found.kind) for found in plate.defects]
    return [(np.asarray(picture, np.uint8), words) for picture, words in shown]


def around(plate: SimulatedPlate, found: PlacedDefect) -> Pixels:
    """A defect with some of the plate around it, brackets at the corners of its box."""
    box = found.window
    half = max(64, int(0.72 * max(box.shape)))
    row, column = (int(place) for place in found.centre)
    row, column = np.clip(row, half, HEIGHT - half), np.clip(column, half, WIDTH - half)
    part = plate.image[row - half : row + half, column - half : column + half]
    way = cv2.INTER_CUBIC if 2 * half < SIDE else cv2.INTER_AREA
    picture = cv2.resize(part, (SIDE, SIDE), interpolation=way)
    scale = SIDE / (2 * half)
    low = np.array([box.left - column + half, box.top - row + half]) * scale - 5
    high = low + np.array([box.width, box.height]) * scale + 10
    for x, right in ((low[0], 1), (high[0], -1)):
        for y, down in ((low[1], 1), (high[1], -1)):
            corner = (round(x), round(y))
            cv2.line(picture, corner, (round(x + 9 * right), round(y)), 255, 1)
            cv2.line(picture, corner, (round(x), round(y + 9 * down)), 255, 1)
    return np.asarray(picture, np.uint8)


def sheet(rows: list[list[tuple[Pixels, str]]]) -> Pixels:
    """All rows on paper, grey."""
    width = GAP + sum(picture.shape[1] + GAP for picture, _ in rows[0])
    paper = np.full((GAP + len(rows) * (SIDE + CAPTION), width), PAPER, np.uint8)
    for number, row in enumerate(rows):
        top, left = GAP + number * (SIDE + CAPTION), GAP
        for picture, words in row:
            paper[top : top + SIDE, left : left + picture.shape[1]] = picture
            place = (left + 1, top + SIDE + 20)
            font = cv2.FONT_HERSHEY_DUPLEX
            cv2.putText(paper, words.replace("_", " "), place, font, 0.5, INK, 1, cv2.LINE_AA)
            left += picture.shape[1] + GAP
    return paper


def main() -> None:
    picture = sheet([drawn(row) for row in ROWS])
    step = 255 / (GREYS - 1)
    few = (np.rint(picture / step) * step).astype(np.uint8)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(few).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
