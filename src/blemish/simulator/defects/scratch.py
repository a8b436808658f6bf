"""A scratch: an almost straight groove of uneven pressure that takes ink away and throws light."""

from __future__ import annotations

import numpy as np

from blemish.simulator.defects import Place
from blemish.simulator.design import LAYERS
from blemish.simulator.printing import Print
from blemish.simulator.random_fields import PlateWindow, blurred
from blemish.simulator.shapes import around, curl, stroke
from blemish.simulator.surface import Damage

GROUP = "points"
_MARGIN = 10


def draw(print_: Print, place: Place, room: int, rng: np.random.Generator) -> Damage | None:
    """50 to 300 pixels long, about a pixel wide, 2 to 7 µm deep, with shoulders."""
    length = min(np.exp(rng.uniform(np.log(50), np.log(300))), room - 2 * _MARGIN - 4)
    path, shape = around(curl(rng, length, rng.uniform(0.0005, 0.004), 0.995), _MARGIN)
    pressure = np.interp(
        np.arange(len(path)), np.linspace(0, len(path), 9), rng.uniform(0.15, 1.2, 9)
    ) * np.clip(np.arange(len(path))[::-1] / (0.3 * len(path)), 0.25, 1)
    groove = blurred(stroke(path, shape, rng.uniform(0.9, 1.7) * np.clip(pressure, 0, 1)), 0.45)
    wide = blurred(groove, 1.5)
    deep, taken = rng.uniform(2, 7), rng.uniform(0.25, 0.9)
    ink = np.broadcast_to(1 - np.float32(taken) * groove, (len(LAYERS), *shape))
    return Damage(
        PlateWindow(place[0] - shape[0] // 2, place[1] - shape[1] // 2, *shape),
        extent=np.clip(wide * 2.2, 0, 1),
        ink=ink.astype(np.float32),
        height=np.float32(deep) * (np.float32(1.3) * wide - groove),
        cover=groove * np.float32(rng.uniform(0.1, 0.4)),
        tone=0.6,
        scatter=groove * np.float32(rng.uniform(0.15, 0.5)),
    )
