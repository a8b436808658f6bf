"""Points and lines drawn by a random walk with momentum, added to the image.

The idea is that of Haselmann and Gruber (ICMLA 2017), whose equations and settings are not public:
this parametrisation is ours. A point walks with momentum rho, and its width does a walk of its own.
Each step stamps a soft disc; the strength, a multiple of the local noise, drifts along the path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.synthesis._ranges import (
    Range,
    log_uniform,
    refuse_no_number,
    refuse_no_range,
    refuse_no_share,
    uniform,
)
from blemish.synthesis.base import Pixels, Synthetic
from blemish.synthesis.visible import (
    Floats,
    Greys,
    PixelChange,
    around,
    bound,
    first_visible,
    noise_of,
)
from blemish.util.settings import setting

PRESETS: dict[str, dict[str, Any]] = {
    # What sticks out scatters light into the dark.
    "dark_field": {"brighter": 0.95, "bipolar": 0.05, "elongated": 0.5},
    # Pinholes let light through, inclusions and fibres hold it back; nothing casts a shadow.
    "transmission": {"brighter": 0.5, "bipolar": 0.0, "elongated": 0.3},
    # Dirt takes the light away, and a dent throws it to the side.
    "bright_field": {"brighter": 0.25, "bipolar": 0.3, "elongated": 0.4},
    "punctual": {"elongated": 0.0},
    "elongated": {"elongated": 1.0},
    # With so much momentum a line hardly bends.
    "scratch": {
        "elongated": 1.0,
        "bipolar": 0.3,
        "elongated_momentum": (0.985, 0.998),
        "elongated_speed": (0.2, 0.6),
        "elongated_width": (0.5, 1.0),
        "widths": (0.4, 1.5),
    },
}

_MARGIN = 40  # pixels between the start of a path and the border, in an image large enough
_STARTS = 16  # points that are looked at for one on the part
_DRIFT = 0.9  # how much of its strength a step keeps from the one before
_EDGE = (0.35, 0.9)  # a stamp's Gaussian below the first is nothing, above the second full strength
_REACH = math.sqrt(-2 * math.log(_EDGE[0]))  # the radius of a stamp, in widths


@dataclass(frozen=True)
class RandomWalk:
    """Settings of the random walk; a range is LOW,HIGH.

    Attributes:
        elongated: Share of lines among the defects; the others are points.
        brighter: Share of bright ones.
        bipolar: Share of those with a bright and a dark side, as dents have.
        strength: Range of the strength, in units of the local noise, or of three grey levels where
            that is more.
        drift: By what share the strength drifts along the path.
        blurred: Share of those that are softened by a lens.
        blur: Range of the sigma of that lens.
        scale: Enlarges everything.
        punctual_steps: Range of the number of a point's steps.
        punctual_momentum: Range of the share of a point's step that is that of the step before.
        punctual_speed: Range of the length of a point's steps.
        punctual_width: Range of the width of a point's stamps at first.
        elongated_steps: Range of the number of a line's steps.
        elongated_momentum: Range of the share of a line's step that is that of the step before.
        elongated_speed: Range of the length of a line's steps.
        elongated_width: Range of the width of a line's stamps at first.
        widths: Range that no stamp's width leaves.
        background: Range of grey values where the part is not, and no path starts; none where it is
            everywhere.
    """

    elongated: float = setting(0.4, unit="share")
    brighter: float = setting(0.5, unit="share")
    bipolar: float = setting(0.15, unit="share")
    strength: Range = setting((3.0, 12.0), unit="units of the noise")
    drift: float = setting(0.25, unit="share")
    blurred: float = setting(0.5, unit="share")
    blur: Range = setting((0.5, 1.0), unit="pixels")
    scale: float = setting(1.0, unit="factor")
    punctual_steps: Range = setting((3, 29), unit="steps")
    punctual_momentum: Range = setting((0.0, 0.6), unit="share")
    punctual_speed: Range = setting((0.4, 1.0), unit="pixels")
    punctual_width: Range = setting((0.8, 3.0), unit="pixels")
    elongated_steps: Range = setting((20, 160), unit="steps")
    elongated_momentum: Range = setting((0.85, 0.98), unit="share")
    elongated_speed: Range = setting((0.3, 0.8), unit="pixels")
    elongated_width: Range = setting((0.5, 1.6), unit="pixels")
    widths: Range = setting((0.4, 4.0), unit="pixels")
    background: Range | None = setting(None, unit="grey values")

    def __post_init__(self) -> None:
        """Refuse settings that make no sense."""
        refuse_no_share(self, "elongated", "brighter", "bipolar", "blurred", "drift")
        refuse_no_number(self, "scale", least=0.1, most=100)
        refuse_no_range(self, "punctual_momentum", "elongated_momentum", least=0, most=0.999)
        refuse_no_range(self, "punctual_steps", "elongated_steps", least=1, most=2000)
        refuse_no_range(self, "strength", "blur", most=1000)
        refuse_no_range(self, "punctual_speed", "elongated_speed", most=10)
        refuse_no_range(self, "punctual_width", "elongated_width", "widths", least=0.1, most=20)
        if self.background is not None:
            refuse_no_range(self, "background", least=0, most=65535)

    def __call__(self, image: Pixels, rng: np.random.Generator) -> Synthetic:
        """A copy of the image, uint8 or uint16 [H, W] or [H, W, 3], with one point or line.

        Outside the mask no pixel changes by more than three grey levels, or the local noise where
        that is more. Raises ImageError for an array of another kind.
        """
        return first_visible(image, lambda greys: self._draw(image, greys, rng))

    def _draw(self, image: Pixels, greys: Greys, rng: np.random.Generator) -> PixelChange | None:
        start = self._start(image, rng)
        if start is None:
            return None
        path, widths = self._walk(start, image.shape[:2], rng)
        softness = uniform(rng, self.blur) if rng.random() < self.blurred else 0.0
        bipolar = rng.random() < self.bipolar
        radius = math.ceil(_REACH * float(widths.max()))
        room = radius + math.ceil(3 * softness) + (radius if bipolar else 0)
        top, left = (max(0, int(low) - room) for low in path.min(axis=0))
        bottom, right = (
            min(side, int(high) + room + 2)
            for side, high in zip(image.shape[:2], path.max(axis=0), strict=True)
        )
        window = image[top:bottom, left:right].astype(np.float32)
        noise = noise_of(around(image, top, left, bottom, right))
        strengths = 1 + self.drift * _drift(len(path), rng)
        layer = _stamped(path - (top, left), widths, strengths, radius, window.shape[:2])
        if bipolar:
            layer = _two_sided(layer, float(widths.mean()), rng)
        if softness:
            layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), softness), np.float32)
        layer *= _uneven(layer.shape, rng)
        size = log_uniform(rng, self.strength) * bound(noise, greys)
        size = size if rng.random() < self.brighter else -size
        if window.ndim == 3:
            tint = rng.uniform(0.85, 1, 3).astype(np.float32)
            return PixelChange(top, left, window + size * layer[..., None] * tint, noise)
        return PixelChange(top, left, window + np.float32(size) * layer, noise)

    def _start(self, image: Pixels, rng: np.random.Generator) -> tuple[float, float] | None:
        """A point (row, column) on the part, off the border; None where none was found."""
        margins = np.minimum(_MARGIN, np.array(image.shape[:2]) // 4)
        for row, column in rng.uniform(margins, image.shape[:2] - margins, (_STARTS, 2)).tolist():
            if self.background is None:
                return row, column
            near = image[max(0, int(row) - 2) : int(row) + 3, max(0, int(column) - 2) :][:, :5]
            if not self.background[0] <= near.mean() <= self.background[1]:
                return row, column
        return None

    def _walk(
        self, start: tuple[float, float], shape: tuple[int, ...], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Points (row, column) of a path less than a pixel apart, and the width at each."""
        kind = "elongated" if rng.random() < self.elongated else "punctual"
        limits: Range = getattr(self, f"{kind}_steps")
        draw = log_uniform if kind == "elongated" else uniform
        steps = max(2, round(draw(rng, limits)))
        rho = uniform(rng, getattr(self, f"{kind}_momentum"))
        push = math.sqrt(1 - rho * rho) * uniform(rng, getattr(self, f"{kind}_speed"))
        width = uniform(rng, getattr(self, f"{kind}_width"))
        row, column = start
        heading = rng.uniform(0, 2 * math.pi)
        down, across = math.sin(heading), math.cos(heading)
        found = [(row, column, width)]
        for push_down, push_across, swell in rng.standard_normal((steps - 1, 3)).tolist():
            down, across = rho * down + push * push_down, rho * across + push * push_across
            row, column = row + self.scale * down, column + self.scale * across
            if not (0 <= row <= shape[0] - 1 and 0 <= column <= shape[1] - 1):
                break
            width = min(max(width * math.exp(0.1 * swell), self.widths[0]), self.widths[1])
            found.append((row, column, width))
        dense = _dense(np.array(found), 0.7 * self.scale)
        return dense[:, :2], dense[:, 2] * self.scale


def _dense(points: npt.NDArray[np.float64], gap: float) -> npt.NDArray[np.float64]:
    """More points [k, 3] on the same path, so that no two neighbours are further apart."""
    lengths = np.hypot(*np.diff(points[:, :2], axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    if not along[-1]:
        return points
    places = np.linspace(0, along[-1], max(2, math.ceil(along[-1] / gap) + 1))
    return np.stack([np.interp(places, along, column) for column in points.T], axis=1)


def _drift(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """An autoregressive series of mean 0 and deviation 1."""
    value, values = float(rng.standard_normal()), []
    push = math.sqrt(1 - _DRIFT**2)
    for step in rng.standard_normal(count).tolist():
        value = _DRIFT * value + push * step
        values.append(value)
    return np.array(values)


def _stamped(
    path: npt.NDArray[np.float64],
    widths: npt.NDArray[np.float64],
    strengths: npt.NDArray[np.float64],
    radius: int,
    shape: tuple[int, ...],
) -> Floats:
    """A canvas with a soft disc at each point of the path; where discs overlap the largest one."""
    start = np.floor(path).astype(np.int64) - radius
    offsets = np.arange(2 * radius + 2)
    squares = ((start[:, :, None] + offsets - path[:, :, None]) / widths[:, None, None]) ** 2
    squares = squares.astype(np.float32)
    gauss = np.exp(-0.5 * squares)
    soft = gauss[:, 0, :, None] * gauss[:, 1, None, :]
    low, high = _EDGE
    share = np.clip((soft - low) / (high - low), 0, 1)
    discs = share * share * (3 - 2 * share) * strengths.astype(np.float32)[:, None, None]
    # The canvas has room for discs that reach over the border.
    wide = (shape[0] + 2 * len(offsets), shape[1] + 2 * len(offsets))
    rows = start[:, 0, None, None] + offsets[:, None] + len(offsets)
    columns = start[:, 1, None, None] + offsets + len(offsets)
    canvas = np.zeros(wide[0] * wide[1], np.float32)
    np.maximum.at(canvas, (rows * wide[1] + columns).ravel(), discs.ravel())
    edge = len(offsets)
    return canvas.reshape(wide)[edge : edge + shape[0], edge : edge + shape[1]].copy()


def _two_sided(layer: Floats, thickness: float, rng: np.random.Generator) -> Floats:
    """The layer less a copy of itself, shifted away from the light."""
    light = rng.uniform(0, 2 * math.pi)
    shift = 1.5 * max(thickness, 0.8) * np.array([math.cos(light), math.sin(light)])
    moving = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    height, width = layer.shape
    moved = cv2.warpAffine(layer, moving, (width, height))
    return np.asarray(layer - moved, np.float32)


def _uneven(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Smooth noise around 1."""
    lumps = rng.standard_normal(shape, np.float32)
    return np.asarray(1 + 0.6 * cv2.GaussianBlur(lumps, (0, 0), 1.2), np.float32)
