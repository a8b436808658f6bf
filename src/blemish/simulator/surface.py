"""What a printed foil is to light, at every pixel: the step between the press and the camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from blemish.simulator.printing import Print
from blemish.simulator.random_fields import Floats, Pixels, PlateWindow, blurred

_FOIL_REFLECTANCE, _FOIL_DENSITY = 0.035, 0.03
_HIDING = -2.6  # an intended thickness lets e to the power of this through
_LN10 = np.float32(np.log(10))


@dataclass(frozen=True, eq=False)
class Damage:
    """What a defect changes inside a window: float32 [h, w], or [layers, h, w] for ink.

    `coverage`, uint8, takes the place of what the stencils let through; `ink` multiplies the
    thickness of the layers, `more_ink` adds to it; `height` in µm adds to the relief; matter that
    does not belong there covers `cover` of a pixel with reflectance `tone`, adds an optical density
    of `density` and scatters `scatter`. None changes nothing. `extent` is 0 to 1, above 0 where
    there is anything of the defect.
    """

    window: PlateWindow
    extent: Floats
    coverage: Pixels | None = None
    ink: Floats | None = None
    more_ink: Floats | None = None
    height: Floats | None = None
    cover: Floats | None = None
    tone: float = 0.0
    density: Floats | None = None
    scatter: Floats | None = None


@dataclass(frozen=True, eq=False)
class Surface:
    """Optical properties float32 [h, w] of a window of a plate.

    `reflectance` is diffuse, 0 to 1; `transmission` 0 to 1; `scatter` is light thrown sideways by
    pigments and foreign matter; `relief` is the height in µm; `gloss` 0 to 1; `sparkle` are flakes
    of metal, mean 0.
    """

    reflectance: Floats
    transmission: Floats
    scatter: Floats
    relief: Floats
    gloss: Floats
    sparkle: Floats


def surface(print_: Print, window: PlateWindow, damages: list[Damage]) -> Surface:
    """The surface of a print in a window, with what defects do to it."""
    here = [(damage, shared) for damage in damages if (shared := window.shared(damage.window))]
    covered = print_.covered(window)
    for damage, shared in here:
        if damage.coverage is not None:
            covered = covered.copy()
            let_through = damage.coverage[:, *shared.inside(damage.window)]
            covered[:, *shared.inside(window)] = let_through
    ink = print_.inked(window, covered)
    for damage, shared in here:
        place, part = shared.inside(window), shared.inside(damage.window)
        if damage.ink is not None:
            ink[:, *place] *= damage.ink[:, *part]
        if damage.more_ink is not None:
            ink[:, *place] += damage.more_ink[:, *part]
    lit = _composed(print_, ink, window)
    for damage, shared in here:
        place, part = shared.inside(window), shared.inside(damage.window)
        if damage.cover is not None:
            clear = 1 - damage.cover[part]
            for values in (lit.reflectance, lit.scatter, lit.sparkle):
                values[place] *= clear
            lit.reflectance[place] += np.float32(damage.tone) * (1 - clear)
        if damage.density is not None:
            lit.transmission[place] *= np.exp(-_LN10 * damage.density[part])
        if damage.scatter is not None:
            lit.scatter[place] += damage.scatter[part]
        if damage.height is not None:
            lit.relief[place] += damage.height[part]
    return lit


def slopes(relief: Floats) -> tuple[Floats, Floats]:
    """How steep the relief is down the rows and along the columns, in µm a pixel."""
    smooth = blurred(relief, 0.8)
    down, across = np.zeros_like(smooth), np.zeros_like(smooth)
    down[1:-1] = (smooth[2:] - smooth[:-2]) * np.float32(0.5)
    across[:, 1:-1] = (smooth[:, 2:] - smooth[:, :-2]) * np.float32(0.5)
    return down, across


def _composed(print_: Print, ink: Floats, window: PlateWindow) -> Surface:
    """Layers seen through the foil: what lies in front hides what lies behind."""
    clear = np.ones(window.shape, np.float32)  # what still shines through from the front
    density = np.full(window.shape, _FOIL_DENSITY, np.float32)
    reflectance, scatter, relief, gloss, flake = (np.zeros_like(clear) for _ in range(5))
    for kind, thickness in zip(print_.inks, ink, strict=True):
        if not thickness.any():
            continue
        behind = np.exp(np.float32(_HIDING) * thickness)
        behind *= clear
        clear -= behind  # now what this layer shows
        for values, strength in (
            (reflectance, kind.reflectance),
            (scatter, kind.scatter),
            (gloss, kind.gloss),
            (flake, kind.flake),
        ):
            _add(values, strength, clear)
        _add(density, kind.density, thickness)
        _add(relief, kind.height, thickness)
        clear = behind
    _add(reflectance, _FOIL_REFLECTANCE, clear)
    gloss += clear
    flake *= print_.grain.at(window)
    density *= -_LN10
    return Surface(reflectance, np.exp(density, out=density), scatter, relief, gloss, flake)


def _add(values: Floats, strength: float, share: Floats) -> None:
    """Add a share of a property to it, in one pass."""
    if strength:
        cv2.scaleAdd(share, strength, values, dst=values)
