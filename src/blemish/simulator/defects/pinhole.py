"""A pinhole: a tiny hole in the ink of some or all layers, its rim a little raised."""

from __future__ import annotations

import numpy as np

from blemish.simulator.defects import Place
from blemish.simulator.design import GROUND, LAYERS
from blemish.simulator.printing import Print
from blemish.simulator.random_fields import PlateWindow
from blemish.simulator.shapes import lump, soft
from blemish.simulator.surface import Damage

GROUP = "points"


def draw(print_: Print, place: Place, room: int, rng: np.random.Generator) -> Damage | None:
    """1 to 4 pixels in radius; it lets the lamp shine through. Only where there is ink."""
    radius = rng.uniform(1.3, 4.0)
    size = 2 * int(5 * radius) + 13
    window = PlateWindow(place[0] - size // 2, place[1] - size // 2, size, size)
    if print_.share(window, GROUND) < 0.94:
        return None
    inside = lump(rng, size, radius, 0.1)
    hole = soft(inside, 1.5) * np.float32(rng.uniform(0.75, 1.0))
    rim = np.exp(-(((inside + 1.2) / 1.0) ** 2)).astype(np.float32)
    ink = np.broadcast_to(1 - hole, (len(LAYERS), size, size)).copy()
    if rng.random() < 0.4:  # the lettering and the pattern in front lie whole
        ink[:GROUND] = 1
    return Damage(
        window,
        extent=soft(inside + 1, 1.5),
        ink=ink,
        height=rim * np.float32(rng.uniform(0.5, 2.5)),
    )
