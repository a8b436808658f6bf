"""A product that exists nowhere: a brushed steel plate with holes and print, as a camera sees it.

Every plate is drawn from a seed: its brushing, its place under the camera, the light and the noise
differ from plate to plate, as they do on a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

HEIGHT, WIDTH = 240, 320
FINE = 2  # a plate is drawn this many times larger, for smooth edges
SIZE = (HEIGHT * FINE, WIDTH * FINE)
TOP, LEFT, BOTTOM, RIGHT = 44, 52, 436, 588  # the edges of the plate, in fine pixels

_CORNER = 26
_HOLES = ((92, 100), (92, 540), (388, 100), (388, 540))
_SLOT = (334, 160, 474)  # row, first and last column
_STEEL, _INK, _DIRT = (
    np.array(colour, np.float32)
    for colour in ((0.985, 1.0, 1.02), (38, 52, 88), (0.62, 0.52, 0.40))
)
_BRIGHTNESS = 150


@dataclass(frozen=True, eq=False)
class SteelPlate:
    """A plate lying straight, in fine pixels, all float32 [H, W].

    `steel` is its brightness, about 0 to 255; `ink` and `dirt` say how much of it print and dirt
    cover, 0 to 1.
    """

    steel: Floats
    ink: Floats
    dirt: Floats


@dataclass(frozen=True)
class Shot:
    """How a plate lies under the camera, and the light: what differs between pictures."""

    shift: tuple[float, float]
    angle: float
    gain: float
    slope: tuple[float, float]
    seed: int

    @classmethod
    def drawn(cls, generator: np.random.Generator) -> Shot:
        """A place within 4 pixels and 0.9 degrees, and light within 8 %, mostly much closer."""

        def near(spread: float) -> float:
            return spread * float(np.clip(generator.standard_normal(), -2.5, 2.5))

        return cls(
            shift=(near(1.6), near(1.6)),
            angle=near(0.35),
            gain=1 + near(0.03),
            slope=(near(0.03), near(0.03)),
            seed=int(generator.integers(2**31)),
        )


def draw_plate(generator: np.random.Generator) -> SteelPlate:
    """A plate without a defect."""
    steel = _BRIGHTNESS + _brushing(generator) + _bevels()
    return SteelPlate(steel, printed(), np.zeros(SIZE, np.float32))


def photograph(plate: SteelPlate, shot: Shot) -> Pixels:
    """The plate on its belt as an RGB picture [HEIGHT, WIDTH, 3]."""
    planes = np.dstack([plate.steel, plate.ink, plate.dirt, solid(), _shadow()])
    steel, ink, dirt, body, shadow = np.moveaxis(_to_camera(planes, shot), 2, 0).copy()
    metal = steel[..., None] * _STEEL
    top = _cover(metal, _INK + 0.18 * (steel - _BRIGHTNESS)[..., None], ink)
    top = _cover(top, metal * _DIRT, dirt)
    generator = np.random.default_rng(shot.seed)
    belt = _belt(generator) * (1 - 0.55 * shadow)
    seen = _cover(np.repeat(belt[..., None], 3, axis=2), top, body) * _light(shot)[..., None]
    noise = generator.standard_normal(seen.shape, np.float32) * np.sqrt(1.5 + 0.018 * seen)
    picture: Pixels = np.rint(np.clip(seen + noise, 0, 255)).astype(np.uint8)
    return picture


def photograph_mask(mask: Mask, shot: Shot) -> Mask:
    """Where a mask [H, W] in fine pixels lies in the picture, bool [HEIGHT, WIDTH]."""
    return np.asarray(_to_camera(mask.astype(np.float32), shot) > 0.3)


@cache
def solid() -> Floats:
    """Where there is steel and no hole: 0 to 1 [H, W]."""
    canvas = np.zeros(SIZE, np.uint8)
    inner = (TOP + _CORNER, LEFT + _CORNER, BOTTOM - _CORNER, RIGHT - _CORNER)
    cv2.rectangle(canvas, (inner[1], TOP), (inner[3], BOTTOM), 255, -1)
    cv2.rectangle(canvas, (LEFT, inner[0]), (RIGHT, inner[2]), 255, -1)
    for row in (inner[0], inner[2]):
        for column in (inner[1], inner[3]):
            cv2.circle(canvas, (column, row), _CORNER, 255, -1, cv2.LINE_AA)
    for row, column in _HOLES:
        cv2.circle(canvas, (column, row), 17, 0, -1, cv2.LINE_AA)
    row, first, last = _SLOT
    cv2.line(canvas, (first, row), (last, row), 0, 30, cv2.LINE_AA)
    return shares(canvas)


@cache
def printed() -> Floats:
    """What is printed on every plate, 0 to 1 [H, W]: a name, a rating, a scale, a warning."""
    canvas = np.zeros(SIZE, np.uint8)

    def write(text: str, column: int, row: int, size: float, weight: int) -> None:
        font = cv2.FONT_HERSHEY_DUPLEX
        cv2.putText(canvas, text, (column, row), font, size, 255, weight, cv2.LINE_AA)

    write("BLEMISH", 152, 128, 2.1, 4)
    write("TYPE K7  24V  6A", 152, 176, 0.95, 2)
    write("IP 65", 420, 240, 1.0, 2)
    for index, column in enumerate(range(156, 396, 20)):
        length = 30 if index % 5 == 0 else 18
        cv2.line(canvas, (column, 262), (column, 262 - length), 255, 3, cv2.LINE_AA)
    cv2.line(canvas, (156, 262), (376, 262), 255, 3, cv2.LINE_AA)
    triangle = np.array([[450, 296], [474, 256], [498, 296]], np.int32)
    cv2.polylines(canvas, [triangle], True, 255, 4, cv2.LINE_AA)
    write("!", 468, 291, 0.8, 2)
    write("MADE BY NOBODY", 236, 402, 0.7, 2)
    return shares(cv2.GaussianBlur(canvas, (0, 0), 0.8))


def shares(canvas: npt.ArrayLike) -> Floats:
    """A canvas of 0 to 255 [H, W] as 0 to 1."""
    return np.asarray(canvas, np.float32) / np.float32(255)


@cache
def _bevels() -> Floats:
    """Every edge of steel: bright towards the light at the top left, dark away from it."""
    height = cv2.GaussianBlur(solid(), (0, 0), 3.0)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)
    return np.asarray(np.clip(55 * (slope_x + 1.6 * slope_y), -70, 75), np.float32)


@cache
def _shadow() -> Floats:
    """How dark the plate makes the belt around it, 0 to 1 [H, W]."""
    return np.asarray(cv2.GaussianBlur(np.roll(solid(), (8, 5), (0, 1)), (0, 0), 7), np.float32)


def _brushing(generator: np.random.Generator) -> Floats:
    """Fine streaks along the rows, a few broader ones, and a slow wave of brightness [H, W]."""

    def noise(rows: int, columns: int) -> Floats:
        return generator.standard_normal((rows, columns), np.float32)

    def stretched(small: Floats) -> Floats:
        return np.asarray(cv2.resize(small / small.std(), SIZE[::-1]), np.float32)

    fine = stretched(cv2.blur(noise(SIZE[0], 24), (3, 1)).astype(np.float32))
    return 8 * fine + 4.5 * stretched(noise(SIZE[0] // 6, 10)) + 2 * stretched(noise(4, 5))


def _belt(generator: np.random.Generator) -> Floats:
    """The dark conveyor belt in the camera's pixels [HEIGHT, WIDTH], elsewhere in each picture."""
    grain = generator.standard_normal((HEIGHT, WIDTH), np.float32)
    grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.8), np.float32)
    return np.asarray(34 + 2.5 * grain / grain.std(), np.float32)


def _light(shot: Shot) -> Floats:
    """The light on every pixel of the picture: a gain, a slope, and a fall towards the corners."""
    rows, columns = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j].astype(np.float32)
    slope = 1 + shot.slope[0] * columns + shot.slope[1] * rows
    return np.asarray(shot.gain * slope * (1 - 0.06 * (rows**2 + columns**2)), np.float32)


def _cover(under: Floats, over: Floats, share: Floats) -> Floats:
    """Colours [h, w, 3] over others, as far as `share` [h, w] says."""
    return under + (over - under) * share[..., None]


def _to_camera(fine: Floats, shot: Shot) -> Floats:
    """Blur fine planes [H, W, ...] as a lens does, turn and shift them, and shrink them."""
    turn = cv2.getRotationMatrix2D((SIZE[1] / 2, SIZE[0] / 2), shot.angle, 1.0)
    turn[:, 2] += np.array(shot.shift) * FINE
    turn = turn / FINE
    turn[:, 2] += 0.5 / FINE - 0.5  # pixel centres lie at half pixels in both grids
    blurred = cv2.GaussianBlur(fine, (0, 0), 1.3)
    moved = cv2.warpAffine(blurred, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
