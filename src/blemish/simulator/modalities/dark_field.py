"""Laser line scan in dark field: light that structures throw aside, bright on a dark ground.

After LSM-1 of ISP-AD (arXiv 2503.04997). The light comes from the side along the scan, so edges
across it shine most. The strengths are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blemish.simulator.random_fields import Drift, Floats, Mask, PlateWindow, blurred
from blemish.simulator.surface import Surface, slopes


@dataclass(frozen=True, eq=False)
class Scanner:
    """The laser's line: its brightness along the line, in time, and slowly over the plate."""

    columns: Floats  # gain of every pixel of the line, [1, W]
    lines: Floats  # gain of every line, [H, 1]
    drift: Drift
    gain: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, height: int, width: int) -> Scanner:
        """The state of one scan."""
        return cls(
            1 + 0.012 * rng.standard_normal((1, width), dtype=np.float32),
            1 + 0.01 * rng.standard_normal((height, 1), dtype=np.float32),
            Drift.drawn(rng, height, width, 1500),
            float(rng.uniform(0.92, 1.08)),
        )

    def see(self, surface: Surface, window: PlateWindow) -> Floats:
        """The grey values without noise, float32 [h, w]."""
        down, across = slopes(surface.relief)
        towards = np.clip(down, 0, None) + np.float32(0.35) * np.abs(down)
        edges = towards + np.float32(0.3) * np.abs(across)
        edges = edges / (1 + np.float32(0.22) * edges)  # steep edges do not shine without end
        light = np.float32(5) + 235 * surface.scatter + 11 * surface.sparkle + 27 * edges
        light *= np.float32(self.gain) * (1 + np.float32(0.03) * self.drift.at(window))
        return blurred(np.clip(light, 0, 420), 0.65)

    def noisy(self, seen: Floats, window: PlateWindow, rng: np.random.Generator) -> Floats:
        """Speckle, streaks, the camera's noise, and dust, which is permitted."""
        noise = rng.standard_normal(window.shape, dtype=np.float32)
        dust = np.clip(noise - np.float32(3.7), 0, None) * 40
        speckle = blurred(noise + dust, 0.55)
        rows, columns = slice(window.top, None), slice(window.left, None)
        gains = self.lines[rows][: window.height] * self.columns[:, columns][:, : window.width]
        shown = seen * gains * (1 + np.float32(0.09) * speckle)
        return np.asarray(shown + np.float32(1.6) * noise + 2 * np.clip(speckle, 0, None))

    def hidden(self, window: PlateWindow) -> Mask | None:
        """Nothing is."""
        return None
