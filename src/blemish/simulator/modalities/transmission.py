"""Line scan in transmission: a lamp behind the plate, which ink and matter darken.

After LSM-2 of ISP-AD (arXiv 2503.04997). Relief bends the light a little, as a weak lens does. The
strengths are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from blemish.simulator.random_fields import Drift, Floats, Mask, PlateWindow, blurred
from blemish.simulator.surface import Surface


@dataclass(frozen=True, eq=False)
class Scanner:
    """The lamp behind: its brightness along the line, and the camera's pixels."""

    columns: Floats  # gain of every pixel of the line, [1, W]
    drift: Drift
    exposure: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, height: int, width: int) -> Scanner:
        """The state of one scan."""
        place = np.linspace(-1, 1, width, dtype=np.float32)[None]
        pixels = 1 + 0.004 * rng.standard_normal((1, width), dtype=np.float32)
        return cls(
            pixels * (1 - 0.07 * place**2),
            Drift.drawn(rng, height, width, 1800),
            float(rng.uniform(0.94, 1.04)),
        )

    def see(self, surface: Surface, window: PlateWindow) -> Floats:
        """The grey values without noise, float32 [h, w]."""
        lens = cv2.Laplacian(blurred(surface.relief, 2.0), cv2.CV_32F)
        bent = 1 - np.clip(np.float32(0.3) * lens, -0.3, 0.3)
        # The camera's curve is steep in the dark, so that dense inks still show their structure.
        shown = np.power(surface.transmission, np.float32(0.48)) * bent
        glow = cv2.blur(shown, (15, 15))
        light = (np.float32(0.94) * shown + np.float32(0.06) * glow) * np.float32(self.exposure)
        light *= 228 * (1 + np.float32(0.015) * self.drift.at(window))
        return blurred(light, 0.75)

    def noisy(self, seen: Floats, window: PlateWindow, rng: np.random.Generator) -> Floats:
        """The lamp's uneven line and the camera's noise."""
        noise = rng.standard_normal(window.shape, dtype=np.float32)
        columns = self.columns[:, window.left : window.left + window.width]
        return np.asarray(6 + seen * columns + np.sqrt(1.2 + np.float32(0.022) * seen) * noise)

    def hidden(self, window: PlateWindow) -> Mask | None:
        """Nothing is."""
        return None
