"""A pattern misalignment: one layer lies several pixels beside its place over a whole area."""

from __future__ import annotations

import cv2
import numpy as np

from blemish.simulator.defects import Place
from blemish.simulator.design import BACKING, GRAPHICS, PATTERN
from blemish.simulator.printing import Print
from blemish.simulator.random_fields import Floats, PlateWindow, blurred
from blemish.simulator.surface import Damage

GROUP = "area"
_STRUCTURE = 45  # deviation of a layer's coverage (of 255) below which nothing can be displaced


def draw(print_: Print, place: Place, room: int, rng: np.random.Generator) -> Damage | None:
    """120 to 380 pixels a side, moved by 3 to 8 pixels; only where a layer has structure."""
    height, width = (min(int(rng.uniform(120, 380)), room) for _ in range(2))
    window = PlateWindow(place[0] - height // 2, place[1] - width // 2, height, width)
    if print_.whole.shared(window) != window:
        return None
    covered = print_.covered(window)
    inner = covered[:, height // 4 : -height // 4, width // 4 : -width // 4]
    layers = [k for k in (PATTERN, GRAPHICS, BACKING) if inner[k].std() > _STRUCTURE]
    if not layers:
        return None
    layer = layers[int(rng.integers(len(layers)))]
    angle, way = rng.uniform(0, 2 * np.pi), rng.uniform(3, 8)
    share = _share(height, width, rng)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    rows += share * np.float32(way * np.sin(angle))
    columns += share * np.float32(way * np.cos(angle))
    displaced = covered.copy()
    displaced[layer] = cv2.remap(
        covered[layer], columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return Damage(window, extent=share, coverage=displaced)


def _share(height: int, width: int, rng: np.random.Generator) -> Floats:
    """Of the whole displacement, [h, w]: 1 in a turned oval, 0 at the edge of the box."""
    canvas = np.zeros((height, width), np.float32)
    axes = (int(width * 0.36), int(height * 0.36))
    middle = (width // 2, height // 2)
    cv2.ellipse(canvas, middle, axes, float(rng.uniform(-12, 12)), 0, 360, 1.0, -1)
    fade = 0.045 * min(height, width)
    share = blurred(canvas, fade)
    share[[0, -1]] = 0
    share[:, [0, -1]] = 0
    return share
