"""Area scan in bright field: diffuse light, and a zone of direct reflection that moves.

After ASM of ISP-AD (arXiv 2503.04997): the mirror image of the lamp wanders over the plate, and the
borders at both sides are masked, black with a ragged edge. The strengths are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blemish.simulator.random_fields import Drift, Floats, Mask, PlateWindow, blurred
from blemish.simulator.surface import Surface, slopes


@dataclass(frozen=True, eq=False)
class Scanner:
    """The lamp and its mirror image, and how far the masked borders reach."""

    centre: Floats  # the column of the reflection's middle in every row, [H, 1]
    halfwidth: float
    borders: Floats  # the first and last column shown in every row, [2, H, 1]
    drift: Drift
    gain: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, height: int, width: int) -> Scanner:
        """The state of one scan."""
        down = np.arange(height, dtype=np.float32)[:, None]
        wander = 0.12 * np.sin(
            down / rng.uniform(0.5, 1.2) / height * 2 * np.pi + rng.uniform(0, 6)
        )
        slant = rng.uniform(-0.25, 0.25) * (down / height - 0.5)
        centre = width * (rng.uniform(0.25, 0.75) + wander + slant)
        depth = np.stack([_ragged(rng, height, width) for _ in range(2)])
        depth[1] = width - depth[1]
        return cls(
            centre.astype(np.float32),
            float(width * rng.uniform(0.09, 0.16)),
            depth,
            Drift.drawn(rng, height, width, 900),
            float(rng.uniform(0.95, 1.05)),
        )

    def see(self, surface: Surface, window: PlateWindow) -> Floats:
        """The grey values without noise, float32 [h, w]."""
        rows = np.clip(window.rows.ravel().astype(int), 0, len(self.centre) - 1)
        away = (window.columns - self.centre[rows]) / np.float32(self.halfwidth)
        away *= away
        zone = 1 / (1 + away * away)
        down, across = slopes(surface.relief)
        tilt = down + np.float32(0.6) * across
        # In the zone a slope turns the mirror image away; outside it turns the lamp's flank in.
        steep = down * down + across * across
        mirrored = surface.gloss * zone / (1 + np.float32(0.5) * steep)
        flank = surface.gloss * np.clip(tilt, -4, 4) * (np.float32(6.5) + 6 * zone)
        # A gentle curve that lifts what is dark.
        diffuse = (
            168 * surface.reflectance * (np.float32(1.4) - np.float32(0.4) * surface.reflectance)
        )
        light = diffuse * (1 + np.float32(0.12) * zone) + 82 * mirrored + flank
        light += surface.sparkle * (4 + 7 * zone)
        light *= np.float32(self.gain) * (1 + np.float32(0.03) * self.drift.at(window))
        return blurred(14 + light, 0.8)

    def noisy(self, seen: Floats, window: PlateWindow, rng: np.random.Generator) -> Floats:
        """The camera's noise; what is masked stays black."""
        noise = rng.standard_normal(window.shape, dtype=np.float32)
        shown = seen + np.sqrt(1.5 + np.float32(0.03) * np.clip(seen, 0, None)) * noise
        shown[self.hidden(window)] = 0
        return np.asarray(shown)

    def hidden(self, window: PlateWindow) -> Mask:
        """The borders at both sides."""
        rows = np.clip(window.rows.ravel().astype(int), 0, len(self.centre) - 1)
        first, last = self.borders[:, rows]
        return np.asarray((window.columns < first) | (window.columns >= last))


def _ragged(rng: np.random.Generator, height: int, width: int) -> Floats:
    """How deep a border reaches in every row, [H, 1]: steps, a slow wave, and torn rows."""
    depth = width * rng.uniform(0.015, 0.035)
    steps = np.repeat(rng.normal(0, 0.12, height // 48 + 1), 48)[:height]
    torn = rng.normal(0, 0.05, height) * (rng.random(height) < 0.35)
    wave = 0.15 * np.sin(np.arange(height) / height * rng.uniform(6, 14) + rng.uniform(0, 6))
    return np.asarray(np.rint(depth * (1 + steps + torn + wave))[:, None], np.float32)
