"""A mechanical deformation: a dent in the foil, or a bump, sometimes with a crease."""

from __future__ import annotations

import numpy as np

from blemish.simulator.defects import Place
from blemish.simulator.printing import Print
from blemish.simulator.random_fields import PlateWindow, blurred
from blemish.simulator.shapes import around, curl, lump, stroke
from blemish.simulator.surface import Damage

GROUP = "points"


def draw(print_: Print, place: Place, room: int, rng: np.random.Generator) -> Damage | None:
    """6 to 22 pixels in radius; stretched foil turns a little milky."""
    radius = rng.uniform(6, 22)
    size = 2 * int(3.6 * radius) + 21
    inside = lump(rng, size, radius, 0.15)
    distance = np.clip(1 - inside / radius, 0, None)  # 0 in the middle, 1 at the edge
    bowl = np.exp(-((1.25 * distance) ** 2)).astype(np.float32)
    wall = np.exp(-(((distance - 1) / 0.4) ** 2)).astype(np.float32)
    depth = rng.choice([-1, 1]) * rng.uniform(0.7, 2.0) * radius
    height = np.float32(depth) * (bowl - np.float32(0.25) * wall)
    milky = bowl * np.float32(rng.uniform(0.5, 1)) + np.float32(0.5) * wall
    extent = np.clip(bowl * 2, 0, 1)
    if rng.random() < 0.4:
        path, shape = around(curl(rng, 2.2 * radius, 0.02, 0.98), 0)
        path += (np.array([size, size]) - shape) / 2
        crease = blurred(stroke(path, (size, size), 1.6), 0.8)
        height += crease * np.float32(np.sign(depth) * rng.uniform(2, 5))
        milky += crease
        extent = np.maximum(extent, np.clip(2 * crease, 0, 1))
    return Damage(
        PlateWindow(place[0] - size // 2, place[1] - size // 2, size, size),
        extent=extent.astype(np.float32),
        height=height,
        density=milky * np.float32(rng.uniform(0.05, 0.16)),
        scatter=milky * np.float32(rng.uniform(0.02, 0.08)),
    )
