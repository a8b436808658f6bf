"""The design of a batch: what every plate of it is meant to look like, layer by layer.

A plate is a transparent foil with panels side by side, printed from behind as panels for machines
are: lettering first, then a fine pattern, the ground colour, and an opaque black backing with
openings that a lamp shines through.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from inspect import getmembers, isfunction

import cv2
import numpy as np

from blemish.simulator import patterns
from blemish.simulator.random_fields import Floats, Pixels
from blemish.simulator.symbols import WORDS, paste, ruler, symbol, word

LAYERS = ("graphics", "pattern", "ground", "backing")  # from the front to the back
GRAPHICS, PATTERN, GROUND, BACKING = range(4)

_PATTERNS = [
    fill
    for name, fill in getmembers(patterns, isfunction)
    if fill.__module__ == patterns.__name__ and not name.startswith("_")
]
_KINDS = ("pattern", "grid", "lettering", "lettering", "symbols", "ruler", "gradient", "plain")


@dataclass(frozen=True)
class Ink:
    """One layer's ink: diffuse reflectance, optical density, light it scatters, height in µm.

    `flake` is the share of metal flakes that sparkle, `gloss` how mirror-like the layer shows.
    """

    reflectance: float
    density: float
    scatter: float
    height: float
    flake: float
    gloss: float


@dataclass(frozen=True, eq=False)
class Design:
    """Coverage of every layer, uint8 [layers, height, width], 255 is all ink; and the inks."""

    coverage: Pixels
    inks: tuple[Ink, ...]


@lru_cache(maxsize=1)  # plates of a batch are drawn one after the other
def draw_design(seed: int, height: int, width: int) -> Design:
    """The design of a seed at a size in pixels; not to be written to."""
    rng = np.random.default_rng([seed, 0xDE51])
    coverage = np.zeros((len(LAYERS), height, width), np.uint8)
    gap = int(rng.integers(26, 60))
    down, high = _divided(height, int(rng.integers(620, 1050)), gap)
    across, wide = _divided(width, int(rng.integers(900, 1500)), gap)
    panel = _panel(rng, high, wide)
    top = (height - down * (high + gap) + gap) // 2
    left = (width - across * (wide + gap) + gap) // 2
    for line in range(down):
        for place in range(across):
            row, column = top + line * (high + gap), left + place * (wide + gap)
            coverage[:, row : row + high, column : column + wide] = panel
            label = word(f"{line + 1}-{place + 1}", 14)
            paste(coverage[GRAPHICS], label, row + high + 6, column + 14)
    _register_marks(coverage, gap)
    coverage.flags.writeable = False
    return Design(coverage, _inks(rng))


def _divided(side: int, about: int, gap: int) -> tuple[int, int]:
    """How many panels fit along a side, and their size, which is near `about`."""
    free = side - 2 * gap
    count = max((free + gap) // (about + gap), 1)
    return count, (free + gap) // count - gap


def _inks(rng: np.random.Generator) -> tuple[Ink, ...]:
    """The inks of the layers from the front to the back; height in µm."""
    dark = rng.random() < 0.5
    flake = rng.choice([0.0, rng.uniform(0.4, 1.0)])
    shade = rng.uniform(0.04, 0.12) if dark else rng.uniform(0.5, 0.72)
    return (
        Ink(rng.uniform(0.78, 0.92), rng.uniform(0.3, 0.5), rng.uniform(0.5, 0.7), 10, 0, 0.5),
        Ink(shade, rng.uniform(0.3, 0.7), rng.uniform(0.05, 0.3) + 0.3 * shade, 6, 0, 0.8),
        Ink(rng.uniform(0.24, 0.5), rng.uniform(0.4, 0.8), rng.uniform(0.1, 0.22), 8, flake, 1.0),
        Ink(0.04, rng.uniform(1.5, 2.2), 0.01, 9, 0, 0.6),
    )


def _panel(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """One panel, uint8 [layers, height, width]: a background, and fields with content on it."""
    panel = np.zeros((len(LAYERS), height, width), np.uint8)
    panel[PATTERN] = _background(rng, height, width)
    for top, left, high, wide in _cells(rng, 14, 14, height - 28, width - 28):
        if min(high, wide) >= 48 and rng.random() < 0.62:
            _fill(panel[:, top + 4 : top + high - 4, left + 4 : left + wide - 4], rng)
    outline = _outline(rng, height, width)
    inner = cv2.erode(outline, np.ones((7, 7), np.uint8))
    panel[GROUND] = outline
    for layer in (GRAPHICS, PATTERN, BACKING):
        panel[layer] = np.minimum(panel[layer], inner)
    return panel


def _background(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Two patterns, or one and none, that meet along a curve across the panel."""
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    bend = rng.uniform(0.05, 0.3) * height * np.sin(columns / width * rng.uniform(2, 5) + 1)
    border = rng.uniform(0.3, 0.7) * height + bend + rng.uniform(-0.3, 0.3) * (columns - width / 2)
    above = np.clip(border - rows + 0.5, 0, 1)
    first, second = (_PATTERNS[int(rng.integers(len(_PATTERNS)))] for _ in range(2))
    share = above * first(rows, columns, rng)
    if rng.random() < 0.5:
        share += (1 - above) * second(rows, columns, rng)
    if rng.random() < 0.6:  # a line along the curve
        share = np.maximum(share, np.clip(3.5 - np.abs(border - rows), 0, 1))
    return _eight_bit(share.astype(np.float32))


def _outline(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """A rectangle with round corners and a few holes."""
    fine = np.zeros((height * 2, width * 2), np.uint8)
    radius = int(rng.integers(20, 90))
    cv2.rectangle(fine, (radius, 4), (2 * width - radius, 2 * height - 5), 255, -1)
    cv2.rectangle(fine, (4, radius), (2 * width - 5, 2 * height - radius), 255, -1)
    for row in (radius + 4, 2 * height - radius - 5):
        for column in (radius + 4, 2 * width - radius - 5):
            cv2.circle(fine, (column, row), radius, 255, -1)
    for _ in range(int(rng.integers(0, 3))):
        hole = (int(rng.uniform(0.1, 0.9) * 2 * width), int(rng.uniform(0.1, 0.9) * 2 * height))
        cv2.circle(fine, hole, int(rng.integers(30, 80)), 0, -1)
    return np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _cells(
    rng: np.random.Generator, top: int, left: int, height: int, width: int
) -> list[tuple[int, int, int, int]]:
    """A rectangle cut again and again into cells of about 150 to 450 pixels."""
    longest = max(height, width)
    if longest < 300 or (longest < 460 and rng.random() < 0.5):
        return [(top, left, height, width)]
    share = rng.uniform(0.35, 0.65)
    if height > width:
        cut = int(height * share)
        return [
            *_cells(rng, top, left, cut, width),
            *_cells(rng, top + cut, left, height - cut, width),
        ]
    cut = int(width * share)
    return [
        *_cells(rng, top, left, height, cut),
        *_cells(rng, top, left + cut, height, width - cut),
    ]


def _fill(cell: Pixels, rng: np.random.Generator) -> None:
    """Fill one cell of a panel, in place; some have a backing, some a frame."""
    height, width = cell.shape[1:]
    kind = str(rng.choice(_KINDS))
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    cell[PATTERN] = 0
    if kind == "pattern":
        fill = _PATTERNS[int(rng.integers(len(_PATTERNS)))]
        cell[PATTERN] = _eight_bit(fill(rows, columns, rng))
    elif kind == "gradient":
        cell[PATTERN] = _eight_bit(patterns.halftone(rows, columns, rng))
    elif kind == "grid":
        cell[GRAPHICS] = _grid(rng, height, width)
    elif kind in ("lettering", "symbols", "ruler"):
        _write(cell, kind, rng)
    if rng.random() < 0.45:
        inner = cell[BACKING][6:-6, 6:-6]
        inner[:] = 255
        lit = cell[GRAPHICS][6:-6, 6:-6]
        if kind in ("lettering", "symbols", "ruler"):  # the lamp shines through what is written
            lit = cv2.dilate(lit, np.ones((3, 3), np.uint8))
            np.minimum(inner, 255 - lit, out=inner)
    if rng.random() < 0.4:
        cv2.rectangle(cell[GRAPHICS], (3, 3), (width - 4, height - 4), 255, int(rng.integers(1, 4)))


def _grid(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Thin lines every few pixels both ways, every fifth one stronger; now and then dots."""
    pitch = int(rng.integers(14, 34))
    canvas = np.zeros((height, width), np.uint8)
    for side, index in ((height, 0), (width, 1)):
        for number, place in enumerate(range(8, side - 6, pitch)):
            thick = 2 + (number % 5 == 0)
            line = [slice(8, -8), slice(8, -8)]
            line[index] = slice(place, place + thick)
            canvas[tuple(line)] = 255
    if rng.random() < 0.5:
        for row in range(8, height - 8, pitch):
            for column in range(8, width - 8, pitch):
                cv2.circle(canvas, (column + 1, row + 1), max(pitch // 6, 2), 255, -1, cv2.LINE_AA)
    return canvas


def _write(cell: Pixels, kind: str, rng: np.random.Generator) -> None:
    """Rows of words, symbols or rulers."""
    height, width = cell.shape[1:]
    size = int(rng.integers(20, 58))
    row = 16
    while row + size < height - 10:
        column = 16 + int(rng.integers(0, 20))
        while column + size < width - 10:
            if kind == "lettering":
                stamp = word(str(rng.choice(WORDS)), size)
            elif kind == "symbols":
                stamp = symbol(rng, size)
            elif (length := width - 2 * column) > 0:
                stamp = ruler(rng, length, size)
            else:
                break
            if column + stamp.shape[1] > width - 8:
                break
            paste(cell[GRAPHICS], stamp, row, column)
            column += stamp.shape[1] + int(rng.integers(size // 2, 2 * size))
        row += size + int(rng.integers(size // 2, size * 2))
        size = int(np.clip(size * rng.uniform(0.6, 1.4), 14, 64))


def _register_marks(coverage: Pixels, gap: int) -> None:
    """A cross in a ring for every corner, all layers on top of each other."""
    height, width = coverage.shape[1:]
    reach = min(gap // 2, 11)
    mark = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
    cv2.line(mark, (0, reach), (2 * reach, reach), 255, 1)
    cv2.line(mark, (reach, 0), (reach, 2 * reach), 255, 1)
    cv2.circle(mark, (reach, reach), max(reach - 3, 2), 255, 1, cv2.LINE_AA)
    for row in (1, height - mark.shape[0] - 1):
        for column in (1, width - mark.shape[1] - 1):
            for layer in coverage:
                paste(layer, mark, row, column)


def _eight_bit(share: Floats) -> Pixels:
    return np.asarray(np.rint(share * np.float32(255)), np.uint8)
