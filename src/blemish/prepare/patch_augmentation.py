"""One patch of a plate: its place, its affine augmentation, its brightness and contrast.

All geometry is one affine map from the patch to the plate, and only the pixels that it needs are
warped. They all lie on the plate: nothing is padded or mirrored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.prepare.patch_recipe import Augmentation
from blemish.prepare.region_of_interest import Places, RegionOfInterest, place_at

Pixels = npt.NDArray[Any]
Transform = npt.NDArray[np.float64]
Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels of the plate; bottom and right are exclusive."""

TRIES = 10


@dataclass(frozen=True, eq=False)
class Spot:
    """Where a patch comes from.

    `transform` is float64 [2, 3], from (x, y, 1) in the patch to (x, y) on the plate; `box` holds
    every pixel of the plate that it needs. `plain` patches are copies, pixel by pixel.
    """

    transform: Transform
    box: Box
    plain: bool


def draw_turn(settings: Augmentation, rng: np.random.Generator) -> Transform | None:
    """The linear part [2, 2] of an affine map from the patch to the plate; None for a plain one."""
    if rng.random() >= settings.share:
        return None
    angle = math.radians(rng.uniform(-settings.rotation_deg, settings.rotation_deg))
    shear = math.tan(math.radians(rng.uniform(-settings.shear_deg, settings.shear_deg)))
    scale = rng.uniform(*settings.scale)
    flip_x = -1.0 if settings.horizontal_flip and rng.random() < 0.5 else 1.0
    flip_y = -1.0 if settings.vertical_flip and rng.random() < 0.5 else 1.0
    cos, sin = math.cos(angle), math.sin(angle)
    rotation = np.array([[cos, -sin], [sin, cos]])
    turn = rotation @ np.array([[flip_x, shear * flip_y], [0.0, flip_y]]) / scale
    return np.asarray(turn)


def draw_spot(
    region: RegionOfInterest, places: Places, size: int, turn: Transform | None, rng: Any
) -> Spot:
    """A place for a turned square of `size` pixels, whose pixels all lie in the region.

    `places` are those of a plain square, at least one. Where no turned one fits in TRIES tries, the
    square is a plain one.
    """
    count = int(((places[:, 1] - places[:, 0]) * (places[:, 3] - places[:, 2])).sum())
    for _ in range(TRIES):
        top, left = place_at(places, int(rng.integers(count)))
        if turn is None:
            break
        spot = turned(turn, (left + (size - 1) / 2, top + (size - 1) / 2), size)
        if region.contains(*spot.box):
            return spot
    return plain(top, left, size)


def plain(top: int, left: int, size: int) -> Spot:
    """The square with its corner there."""
    transform = np.array([[1.0, 0.0, left], [0.0, 1.0, top]])
    return Spot(transform, (top, left, top + size, left + size), True)


def turned(turn: Transform, centre: tuple[float, float], size: int) -> Spot:
    """The turned square around the centre (x, y) on the plate."""
    shift = np.array(centre) - turn @ np.full(2, (size - 1) / 2)
    reach_x, reach_y = (np.abs(turn).sum(axis=1) * (size - 1) / 2).tolist()
    # A pixel more on each side: interpolation takes two, at places rounded to 1/32.
    left, top = math.floor(centre[0] - reach_x) - 1, math.floor(centre[1] - reach_y) - 1
    right, bottom = math.ceil(centre[0] + reach_x) + 2, math.ceil(centre[1] + reach_y) + 2
    return Spot(np.column_stack([turn, shift]), (top, left, bottom, right), False)


def cut(plate: Pixels, spot: Spot, size: int, *, nearest: bool = False) -> Pixels:
    """The patch at a spot, [size, size] or [size, size, 3] of the plate's type; a new array."""
    top, left, bottom, right = spot.box
    source = np.ascontiguousarray(plate[top:bottom, left:right])
    if spot.plain:
        return source if source.flags.owndata else source.copy()
    moved = spot.transform - [[0, 0, left], [0, 0, top]]
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(source, moved, (size, size), flags=how | cv2.WARP_INVERSE_MAP))


def lit(patch: Pixels, settings: Augmentation, top: int, rng: np.random.Generator) -> Pixels:
    """A patch with drawn brightness b and contrast c: b (m + c (I - m)), m being its mean.

    Values are clipped to 0 and `top`. Without either the patch itself is returned.
    """
    if settings.brightness is None and settings.contrast is None:
        return patch
    gain = rng.uniform(*settings.brightness) if settings.brightness else 1.0
    contrast = rng.uniform(*settings.contrast) if settings.contrast else 1.0
    slope, offset = gain * contrast, gain * (1 - contrast) * float(patch.mean())
    if patch.dtype == np.uint8:
        values = np.arange(256) * slope + offset
        table = np.rint(np.clip(values, 0, top)).astype(np.uint8)
        return np.asarray(cv2.LUT(patch, table))
    levels = patch.astype(np.float32) * np.float32(slope) + np.float32(offset)
    return np.asarray(np.rint(np.clip(levels, 0, top)), patch.dtype)
