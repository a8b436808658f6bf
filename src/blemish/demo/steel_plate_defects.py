"""Four defects of a plate, each with its mask; from plain to so faint that a person looks twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from blemish.demo.steel_plates import SIZE, Floats, Mask, SteelPlate, printed, shares, solid

Draw = Callable[[SteelPlate, np.random.Generator], tuple[SteelPlate, Mask]]


def scratch(plate: SteelPlate, generator: np.random.Generator) -> tuple[SteelPlate, Mask]:
    """A bent line of bare, bright steel with a dark edge; it goes through print as well."""
    start = _place(generator, 40)
    heading = generator.uniform(0.25, 0.9) * np.pi  # across the brushing, not along it
    length = generator.uniform(70, 190)
    step = np.array([np.sin(heading), np.cos(heading)]) * length / 2
    bend = np.array([-step[1], step[0]]) * generator.uniform(-0.35, 0.35)
    t = np.linspace(0, 1, 24)[:, None]
    path = (1 - t) ** 2 * (start - step) + 2 * t * (1 - t) * (start + bend) + t**2 * (start + step)
    depth = generator.uniform(22, 70)
    core = _line(path, int(generator.integers(2, 4)))
    edge = _line(path + np.array([2.0, 1.5]), 2)
    # Pressure is not the same all along a scratch.
    uneven = cv2.resize(generator.uniform(0.6, 1, (6, 8)).astype(np.float32), SIZE[::-1])
    core, edge = core * uneven * solid(), edge * uneven * solid()
    steel = plate.steel + depth * core - 0.8 * depth * edge * (1 - core)
    return replace(plate, steel=steel, ink=plate.ink * (1 - 0.9 * core)), _grown(core > 0.2, 2)


def dent(plate: SteelPlate, generator: np.random.Generator) -> tuple[SteelPlate, Mask]:
    """A round hollow: dark on the side of the light, bright on the other."""
    row, column = _place(generator, 34)
    radius = generator.uniform(11, 22)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    rows, columns = (rows - row) / radius, (columns - column) / radius
    square = rows**2 + columns**2
    slope = (0.85 * rows + 0.5 * columns) * np.exp(-square)
    steel = plate.steel + generator.uniform(60, 150) * slope * solid()
    return replace(plate, steel=steel), np.asarray((square < 2.2) & (solid() > 0.5))


def missing_print(plate: SteelPlate, generator: np.random.Generator) -> tuple[SteelPlate, Mask]:
    """A place where the print did not take, or was wiped off."""
    inked = np.argwhere(printed() > 0.6)
    row, column = inked[generator.integers(len(inked))]
    axes = (int(generator.integers(22, 60)), int(generator.integers(12, 24)))
    canvas = np.zeros(SIZE, np.uint8)
    turn = float(generator.uniform(-15, 15))
    cv2.ellipse(canvas, (int(column), int(row)), axes, turn, 0, 360, 255, -1)
    soft = shares(cv2.GaussianBlur(canvas, (0, 0), 2.5))
    ragged = soft * np.clip(1.5 + 0.9 * _clouds(generator, 14), 0, 1)
    gone = ragged * generator.uniform(0.75, 1.0)
    lost = plate.ink * gone
    return replace(plate, ink=plate.ink - lost), _grown(lost > 0.3, 5)


def stain(plate: SteelPlate, generator: np.random.Generator) -> tuple[SteelPlate, Mask]:
    """A dried puddle of oil with a darker rim."""
    row, column = _place(generator, 30)
    radius = generator.uniform(16, 38)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    distance = np.hypot(rows - row, columns - column) / radius + 0.22 * _clouds(generator, 18)
    inside = 1 / (1 + np.exp(np.clip(14 * (distance - 1), -30, 30)))
    rim = np.exp(-(((distance - 0.92) / 0.1) ** 2))
    dirt = generator.uniform(0.25, 0.65) * (0.6 * inside + 0.4 * rim) * solid()
    return replace(plate, dirt=dirt.astype(np.float32)), np.asarray((inside * solid()) > 0.5)


DEFECTS: dict[str, Draw] = {
    "dent": dent,
    "missing_print": missing_print,
    "scratch": scratch,
    "stain": stain,
}


def _place(generator: np.random.Generator, margin: int) -> npt.NDArray[np.float64]:
    """A point (row, column) on steel, so far from every edge in fine pixels."""
    room = _room(margin)
    return np.asarray(room[generator.integers(len(room))], np.float64)


@cache
def _room(margin: int) -> npt.NDArray[np.int64]:
    """The points [k, 2] of steel at least `margin` fine pixels away from every edge."""
    near = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    return np.argwhere(cv2.erode(solid(), near) > 0.9)


def _line(path: npt.NDArray[np.float64], width: int) -> Floats:
    """A line through points (row, column), 1 on it and 0 elsewhere, with smooth edges."""
    canvas = np.zeros(SIZE, np.uint8)
    points = np.rint(path[:, ::-1] * 16).astype(np.int32)  # in sixteenths of a pixel
    cv2.polylines(canvas, [points], False, 255, width, cv2.LINE_AA, 4)
    return shares(canvas)


def _clouds(generator: np.random.Generator, size: float) -> Floats:
    """Smooth noise of mean 0 and deviation 1 with lumps of about `size` fine pixels."""
    nodes = generator.standard_normal((int(SIZE[0] / size), int(SIZE[1] / size)), np.float32)
    clouds = cv2.resize(nodes, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(clouds / clouds.std(), np.float32)


def _grown(mask: Mask, radius: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0
