"""A fibre: a thin curled hair caught in the ink, which bulges over it."""

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
    """40 to 200 pixels long, 1 to 2 wide, half transparent, dark or bright."""
    length = np.exp(rng.uniform(np.log(40), np.log(200)))
    path, shape = around(curl(rng, length, rng.uniform(0.02, 0.075), 0.965), _MARGIN)
    width = rng.uniform(1.0, 2.1)
    taper = np.clip(np.minimum(np.arange(len(path)), np.arange(len(path))[::-1]) / 6, 0.4, 1)
    line = blurred(stroke(path, shape, width * taper), 0.5)
    ridge = blurred(stroke(path, shape, 2.2 * width * taper), 1.1)
    dark = rng.random() < 0.5
    thin = 1 - np.float32(rng.uniform(0.05, 0.3)) * blurred(line, 1.2)
    return Damage(
        PlateWindow(place[0] - shape[0] // 2, place[1] - shape[1] // 2, *shape),
        extent=np.clip(ridge * 1.6, 0, 1),
        ink=np.broadcast_to(thin, (len(LAYERS), *shape)).astype(np.float32),
        height=ridge * np.float32(rng.uniform(1.5, 6)),
        cover=line * np.float32(rng.uniform(0.3, 0.75)),
        tone=float(rng.uniform(0.04, 0.12) if dark else rng.uniform(0.55, 0.8)),
        density=line * np.float32(rng.uniform(0.12, 0.4)),
        scatter=line * np.float32(rng.uniform(0.15, 0.5)),
    )
