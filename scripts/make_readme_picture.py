"""Draw docs/images/demo.png: plates of the drawn demonstration, their heat maps and verdicts.

python scripts/make_readme_picture.py
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from blemish.demo import Demo, drawn_plates, run_demo
from blemish.evaluation import PartResult
from blemish.images import read_rgb
from blemish.inspector import Inspector
from blemish.report.thumbnails import ColourScale, overlay

Pixels = npt.NDArray[np.uint8]

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "demo.png"
KINDS = ("good", "scratch", "dent", "missing_print", "stain")
SIZE = (280, 210)  # of one picture, columns and rows
GAP, CAPTION = 12, 40
PAPER, TEXT, PASSED, REJECTED = (255, 255, 255), (90, 90, 90), (70, 110, 40), (40, 40, 185)  # BGR
CONTOUR = (230, 210, 0)


@dataclass(frozen=True, eq=False)
class Column:
    """One plate of the strip, BGR [h, w, 3] each, and what is written below."""

    picture: Pixels
    heat: Pixels
    decision: str
    what: str


def column(demo: Demo, inspector: Inspector, kind: str) -> Column:
    """The plate of that kind with the middle score among those that were decided rightly."""
    part = middle(demo, kind)
    rgb = read_rgb(demo.evaluation.images[part.images[0]].image, inspector.recipe.window)
    look = inspector.look(rgb)
    level = inspector.calibration.map_threshold
    heat = overlay(rgb, look.map, ColourScale(0.5 * level, 2 * level))
    size = SIZE[0] * 2, SIZE[1] * 2  # outlines are drawn large, then shrunk
    heat = cv2.resize(heat, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    if part.decision == "reject":
        map_ = cv2.resize(look.map, size, interpolation=cv2.INTER_CUBIC)
        found = (map_ > min(level, 0.8 * look.peak)).astype(np.uint8)
        borders, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(heat, borders, -1, CONTOUR, 3, cv2.LINE_AA)
    return Column(
        small(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)),
        small(heat),
        f"{part.decision}  {part.score:.2f}",
        kind.replace("_", " "),
    )


def middle(demo: Demo, kind: str) -> PartResult:
    right = "pass" if kind == "good" else "reject"
    such = [
        part
        for part in demo.evaluation.parts
        if (part.defects or ("good",)) == (kind,) and part.decision == right
    ]
    return sorted(such, key=lambda part: part.score)[len(such) // 2]


def small(bgr: npt.NDArray[np.generic]) -> Pixels:
    shrunk = cv2.resize(np.asarray(bgr, np.uint8), SIZE, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.uint8)


def strip(columns: list[Column]) -> Pixels:
    """All columns side by side on paper, BGR."""
    width, height = SIZE
    size = (2 * height + 3 * GAP + CAPTION, len(columns) * (width + GAP) + GAP, 3)
    paper = np.full(size, PAPER, np.uint8)
    for index, shown in enumerate(columns):
        left = GAP + index * (width + GAP)
        paper[GAP : GAP + height, left : left + width] = shown.picture
        below = 2 * GAP + height
        paper[below : below + height, left : left + width] = shown.heat
        row = below + height + 30
        colour = PASSED if shown.decision.startswith("pass") else REJECTED
        write(paper, shown.decision, left + 2, row, colour)
        length = cv2.getTextSize(shown.what, cv2.FONT_HERSHEY_DUPLEX, 0.6, 1)[0][0]
        write(paper, shown.what, left + width - length - 2, row, TEXT)
    return paper


def write(paper: Pixels, text: str, left: int, row: int, colour: tuple[int, int, int]) -> None:
    cv2.putText(paper, text, (left, row), cv2.FONT_HERSHEY_DUPLEX, 0.6, colour, 1, cv2.LINE_AA)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo = run_demo(drawn_plates(folder / "data"), folder)
        inspector = Inspector.open(demo.trained.path)
        picture = strip([column(demo, inspector, kind) for kind in KINDS])
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    rgb = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    # A table of colours keeps noisy pictures small; this one gives the few hot pixels their share.
    rgb.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
