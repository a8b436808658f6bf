"""Fields of numbers over a plate that look the same wherever they are asked for.

A plate is drawn window by window; what varies over it is a function of the place alone, so that
windows meet without a seam and any of them can be drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

PERIOD = 1024  # pixels after which a texture repeats
LARGEST = 896  # pixels: no window is higher or wider


@dataclass(frozen=True)
class PlateWindow:
    """A rectangle of a plate in pixels; it may reach beyond the plate's edges."""

    top: int
    left: int
    height: int
    width: int

    def grown(self, margin: int) -> PlateWindow:
        """The window with that many pixels more on every side."""
        more = 2 * margin
        return PlateWindow(
            self.top - margin, self.left - margin, self.height + more, self.width + more
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def rows(self) -> Floats:
        """The row of every line, [height, 1]."""
        return np.arange(self.top, self.top + self.height, dtype=np.float32)[:, None]

    @property
    def columns(self) -> Floats:
        """The column of every pixel of a line, [1, width]."""
        return np.arange(self.left, self.left + self.width, dtype=np.float32)[None, :]

    def inside(self, outer: PlateWindow) -> tuple[slice, slice]:
        """Where this window lies in an array that covers `outer`, which must hold all of it."""
        top, left = self.top - outer.top, self.left - outer.left
        return slice(top, top + self.height), slice(left, left + self.width)

    def shared(self, other: PlateWindow) -> PlateWindow | None:
        """What both cover; None for nothing."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        height = min(self.top + self.height, other.top + other.height) - top
        width = min(self.left + self.width, other.left + other.width) - left
        return PlateWindow(top, left, height, width) if height > 0 and width > 0 else None


@dataclass(frozen=True, eq=False)
class Texture:
    """Values that repeat after PERIOD pixels both ways."""

    values: Floats  # repeated at the end, so that every window is a plain slice

    @classmethod
    def drawn(cls, rng: np.random.Generator, sigma: float) -> Texture:
        """Noise of mean 0 and deviation 1, its lumps of `sigma` pixels."""
        noise = rng.standard_normal((PERIOD, PERIOD), dtype=np.float32)
        reach = int(4 * sigma) + 1
        wrapped = np.pad(noise, reach, mode="wrap")
        smooth = blurred(wrapped, sigma)
        smooth = smooth[reach:-reach, reach:-reach]
        smooth = (smooth - smooth.mean()) / smooth.std()
        return cls(_repeated(smooth))

    @classmethod
    def mesh(cls, pitch: float, angle: float, strength: float) -> Texture:
        """Crossed threads about `pitch` pixels apart: two plane waves of that strength.

        Pitch and angle in radians are moved a little, so that the waves close after PERIOD.
        """
        down, across = (round(PERIOD / pitch * part) for part in (np.sin(angle), np.cos(angle)))
        whole = PlateWindow(0, 0, PERIOD, PERIOD)
        turn, near = np.arctan2(down, across), PERIOD / np.hypot(down, across)
        waves = wave(whole, near, turn) + wave(whole, near, turn + np.pi / 2)
        return cls(_repeated(np.float32(strength) * waves))

    def at(self, window: PlateWindow) -> Floats:
        """The values in a window, [height, width]; not to be written to."""
        top, left = window.top % PERIOD, window.left % PERIOD
        return self.values[top : top + window.height, left : left + window.width]


@dataclass(frozen=True, eq=False)
class Drift:
    """A slow wave of mean 0 and deviation about 1: cubic splines through random nodes."""

    nodes: Floats
    spacing: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, height: int, width: int, spacing: float) -> Drift:
        """Nodes every `spacing` pixels over a plate and around it."""
        shape = tuple(int(side / spacing) + 6 for side in (height, width))
        return cls(1.8 * rng.standard_normal(shape, dtype=np.float32), spacing)

    def at(self, window: PlateWindow) -> Floats:
        """The values in a window, [height, width]."""
        rows, first = _weights(window.rows.ravel() / self.spacing + 1, len(self.nodes))
        columns, left = _weights(window.columns.ravel() / self.spacing + 1, self.nodes.shape[1])
        near = self.nodes[first : first + rows.shape[1], left : left + columns.shape[1]]
        return np.asarray(rows @ (near @ columns.T), np.float32)


def _repeated(values: Floats) -> Floats:
    return np.asarray(np.pad(values, ((0, LARGEST), (0, LARGEST)), mode="wrap"), np.float32)


def _weights(places: Floats, count: int) -> tuple[Floats, int]:
    """Weights [places, nodes] of a cubic B-spline, and the first of those nodes."""
    places = np.clip(places, 1, count - 3 - 1e-3)
    first, last = int(places[0]) - 1, int(places[-1]) + 3
    distance = np.abs(places[:, None] - np.arange(first, last, dtype=np.float32)[None])
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, inner, outer).astype(np.float32), first


def wave(window: PlateWindow, pitch: float, angle: float, phase: float = 0.0) -> Floats:
    """A plane cosine wave of that pitch in pixels, its crests turned by `angle` radians."""
    down, across = (2 * np.pi / pitch * part for part in (np.sin(angle), np.cos(angle)))
    # In double precision: far from the origin single would lose the phase.
    rows = np.arange(window.top, window.top + window.height) * down + phase
    columns = np.arange(window.left, window.left + window.width) * across
    real = np.cos(rows).astype(np.float32)[:, None] * np.cos(columns).astype(np.float32)
    real -= np.sin(rows).astype(np.float32)[:, None] * np.sin(columns).astype(np.float32)
    return np.asarray(real, np.float32)


def blurred(values: Floats, sigma: float) -> Floats:
    """A field after a Gaussian blur of `sigma` pixels."""
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)
