"""A squeegee stroke: a worn or dirty blade leaves a long streak of too much or too little ink."""

from __future__ import annotations

import numpy as np

from blemish.simulator.defects import Place
from blemish.simulator.design import BACKING, GROUND, LAYERS, PATTERN
from blemish.simulator.printing import Print
from blemish.simulator.random_fields import PlateWindow
from blemish.simulator.surface import Damage

GROUP = "area"


def draw(print_: Print, place: Place, room: int, rng: np.random.Generator) -> Damage | None:
    """200 to 600 pixels along the stroke (the rows), 14 to 60 wide; only where there is ink."""
    length = min(int(rng.uniform(200, 600)), room)
    width = int(rng.uniform(14, 60))
    window = PlateWindow(place[0] - length // 2, place[1] - width // 2, length, width)
    if print_.share(window, GROUND) < 0.75:
        return None
    across = np.linspace(-1, 1, width, dtype=np.float32)[None]
    along = np.linspace(0, 1, length, dtype=np.float32)[:, None]
    streaks = np.convolve(rng.standard_normal(width + 4), [0.25, 0.5, 0.5, 0.5, 0.25], "valid")
    profile = np.clip(1 - across**2, 0, 1) * (0.65 + 0.6 * streaks[None])
    fade = np.clip(np.minimum(along / 0.15, (1 - along) / 0.3), 0, 1)
    unsteady = np.interp(along.ravel(), np.linspace(0, 1, 12), rng.uniform(0.6, 1.2, 12))[:, None]
    field = (profile * fade * unsteady).astype(np.float32)
    strength = rng.uniform(0.4, 0.75) * (-1 if rng.random() < 0.7 else 1)
    ink = np.ones((len(LAYERS), length, width), np.float32)
    for layer in (PATTERN, GROUND, BACKING):
        ink[layer] = np.clip(1 + np.float32(strength) * field, 0.1, 2)
    extent = np.clip((1 - across**2) * 3, 0, 1) * np.clip(fade * 3, 0, 1)
    return Damage(window, extent=extent.astype(np.float32), ink=ink)
