"""Scan one plate: window by window from the print to grey values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from blemish.simulator.modalities import Scanner
from blemish.simulator.printing import MARGIN, Print
from blemish.simulator.random_fields import LARGEST, Floats, Pixels, PlateWindow
from blemish.simulator.surface import Damage, surface
from blemish.util.threads import default_threads, in_order

WIDEST = LARGEST - 2 * MARGIN  # pixels: no larger window can be drawn at once
TILE = 384  # pixels: a plate is drawn in squares of this size, which the caches hold


def scan_window(
    print_: Print, scanner: Scanner, window: PlateWindow, damages: list[Damage]
) -> Floats:
    """A window of a plate without noise, grey values float32 [h, w]; the window is in the plate.

    It may be at most WIDEST pixels high and wide.
    """
    around = window.grown(MARGIN)
    light = scanner.see(surface(print_, around, damages), around)
    return light[window.inside(around)]


def scan_plate(print_: Print, scanner: Scanner, damages: list[Damage], seed: int) -> Pixels:
    """The whole plate with noise, uint8 [H, W]; the same whatever the number of threads."""
    whole = print_.whole
    image = np.empty(whole.shape, np.uint8)

    def scan(window: PlateWindow) -> None:
        rng = np.random.default_rng([seed, 0x5CA4, window.top, window.left])
        grey = scanner.noisy(scan_window(print_, scanner, window, damages), window, rng)
        np.rint(grey, out=grey)
        image[window.inside(whole)] = np.clip(grey, 0, 255, out=grey)

    for _ in in_order(scan, tiles(whole), default_threads()):
        pass
    return image


def tiles(whole: PlateWindow) -> Iterator[PlateWindow]:
    """Squares that cover a plate."""
    for top in range(0, whole.height, TILE):
        for left in range(0, whole.width, TILE):
            high, wide = min(TILE, whole.height - top), min(TILE, whole.width - left)
            yield PlateWindow(top, left, high, wide)
