"""An inclusion: a lump of dirt in the ink, with a dome of ink over it and thin ink around it."""

from __future__ import annotations

import numpy as np

from blemish.simulator.defects import Place
from blemish.simulator.design import LAYERS
from blemish.simulator.printing import Print
from blemish.simulator.random_fields import PlateWindow
from blemish.simulator.shapes import lump, soft
from blemish.simulator.surface import Damage

GROUP = "points"


def draw(print_: Print, place: Place, room: int, rng: np.random.Generator) -> Damage | None:
    """A lump of 2 to 7 pixels in radius, dark or bright, 4 to 14 µm high."""
    radius = rng.uniform(2.2, 6.5)
    size = 2 * int(6 * radius) + 15
    inside = lump(rng, size, radius, 0.22)
    core = soft(inside, 1.6)
    dome = np.exp(-((np.clip(-inside, 0, None) / (0.9 * radius)) ** 2)) * rng.uniform(4, 14)
    ring = np.exp(-(((inside + 0.9 * radius) / (0.7 * radius)) ** 2)) * rng.uniform(0.1, 0.45)
    dark = rng.random() < 0.6
    return Damage(
        PlateWindow(place[0] - size // 2, place[1] - size // 2, size, size),
        extent=soft(inside + 0.6 * radius, 0.5 * radius),
        ink=np.broadcast_to(1 - ring, (len(LAYERS), size, size)).astype(np.float32),
        height=dome.astype(np.float32),
        cover=core * np.float32(rng.uniform(0.5, 0.95)),
        tone=float(rng.uniform(0.04, 0.14) if dark else rng.uniform(0.5, 0.8)),
        density=core * np.float32(rng.uniform(0.25, 1.0)),
        scatter=core * np.float32(rng.uniform(0.03, 0.12) if dark else rng.uniform(0.2, 0.5)),
    )
