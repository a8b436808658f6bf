"""A dot: a splash of ink where none belongs, with a few small drops beside it."""

from __future__ import annotations

import numpy as np

from blemish.simulator.defects import Place
from blemish.simulator.design import GRAPHICS, LAYERS, PATTERN
from blemish.simulator.printing import Print
from blemish.simulator.random_fields import PlateWindow
from blemish.simulator.shapes import lump, soft
from blemish.simulator.surface import Damage

GROUP = "points"


def draw(print_: Print, place: Place, room: int, rng: np.random.Generator) -> Damage | None:
    """2 to 7 pixels in radius, in the ink of the lettering or of the pattern."""
    radius = rng.uniform(2.0, 6.5)
    size = 2 * int(7 * radius) + 17
    inside = lump(rng, size, radius, 0.13)
    for _ in range(int(rng.integers(0, 4))):
        shift = rng.normal(0, 2.1 * radius, 2).clip(-3.5 * radius, 3.5 * radius).astype(int)
        drop = lump(rng, size, rng.uniform(0.6, 0.35 * radius + 0.7), 0.1)
        inside = np.maximum(inside, np.roll(drop, tuple(shift.tolist()), (0, 1)))
    ink = np.zeros((len(LAYERS), size, size), np.float32)
    layer = GRAPHICS if rng.random() < 0.6 else PATTERN
    ink[layer] = soft(inside, 1.5) * np.float32(rng.uniform(0.6, 1.1))
    return Damage(
        PlateWindow(place[0] - size // 2, place[1] - size // 2, size, size),
        extent=soft(inside + 1, 1.5),
        more_ink=ink,
    )
