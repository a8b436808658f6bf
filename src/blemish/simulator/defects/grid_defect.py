"""A grid defect: a clogged or torn mesh prints its own lattice instead of an even layer."""

from __future__ import annotations

import numpy as np

from blemish.simulator.defects import Place
from blemish.simulator.design import BACKING, GROUND, LAYERS, PATTERN
from blemish.simulator.printing import Print
from blemish.simulator.random_fields import PlateWindow, blurred, wave
from blemish.simulator.shapes import lump, soft
from blemish.simulator.surface import Damage

GROUP = "area"


def draw(print_: Print, place: Place, room: int, rng: np.random.Generator) -> Damage | None:
    """60 to 260 pixels across, its lattice 7 to 15 pixels wide; only where there is ink."""
    size = min(int(rng.uniform(80, 280)), room)
    window = PlateWindow(place[0] - size // 2, place[1] - size // 2, size, size)
    if print_.share(window, GROUND) < 0.8:
        return None
    inside = lump(rng, size, 0.3 * size, 0.12)
    clouds = blurred(rng.standard_normal((size, size), dtype=np.float32), 6) * 20
    edge = np.clip(np.minimum(*np.mgrid[:size, :size]), 0, None)
    edge = np.minimum(edge, edge[::-1, ::-1]).astype(np.float32)
    ragged = soft(inside + 6 * clouds, 14) * np.clip(edge / 8, 0, 1)
    pitch, angle = rng.uniform(7, 15), rng.uniform(-0.15, 0.15)
    threads = [wave(window, pitch, angle), wave(window, pitch, angle + np.pi / 2)]
    lattice = np.clip(np.maximum(*threads) * 2.2 - 0.9, 0, 1)
    missing = ragged * lattice * np.float32(rng.uniform(0.4, 0.85))
    ink = np.ones((len(LAYERS), size, size), np.float32)
    for layer in (PATTERN, GROUND, BACKING):
        ink[layer] -= missing
    return Damage(window, extent=ragged.astype(np.float32), ink=ink)
