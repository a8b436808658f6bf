"""One simulated plate: design, print, defects and scan from two seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blemish.errors import BlemishError
from blemish.simulator.defect_placement import PlacedDefect, drawn_kinds, place_defects
from blemish.simulator.design import draw_design
from blemish.simulator.modalities import scanner
from blemish.simulator.printing import print_plate
from blemish.simulator.random_fields import Mask, Pixels
from blemish.simulator.scan import scan_plate

SMALLEST_SIDE = 256  # pixels: a plate holds at least one patch
LARGEST_SIDE = 32_000  # pixels: OpenCV warps nothing larger


@dataclass(frozen=True, eq=False)
class SimulatedPlate:
    """A scan uint8 [H, W], its mask bool [H, W] and its defects, whose boxes are in pixels."""

    image: Pixels
    mask: Mask
    defects: list[PlacedDefect]


def check_size(height: int, width: int) -> None:
    """Raise BlemishError for a plate that is smaller than a patch or larger than can be drawn."""
    if min(height, width) < SMALLEST_SIDE:
        raise BlemishError(
            f"a plate of {width} x {height} is smaller than a patch; "
            f"give at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels"
        )
    if max(height, width) > LARGEST_SIDE:
        raise BlemishError(
            f"a plate of {width} x {height} is too large; give at most {LARGEST_SIDE} pixels a side"
        )


def simulate_plate(
    design_seed: int,
    plate_seed: int,
    modality: str,
    height: int,
    width: int,
    defects: int | Sequence[str] = (),
) -> SimulatedPlate:
    """A plate of a batch's design under a modality, with so many defects or these kinds of them.

    The same seeds, size and defects give the same bytes, whatever the number of threads. Without
    defects the same seeds give the same print and noise, so that the difference is the defects:
    farther than NEAR pixels from the mask it is at most BOUND grey levels (`placing`).
    Raises BlemishError for an unknown modality or kind, a side below 256 or beyond 32,000 pixels,
    and more defects than can be placed.
    """
    check_size(height, width)
    rngs = [np.random.default_rng([plate_seed, part]) for part in range(3)]
    scan = scanner(modality, rngs[0], height, width)
    printed = print_plate(draw_design(design_seed, height, width), rngs[1])
    kinds = drawn_kinds(defects, rngs[2]) if isinstance(defects, int) else defects
    damages, placed = place_defects(printed, scan, kinds, rngs[2])
    mask = np.zeros((height, width), np.bool_)
    for found in placed:
        mask[found.window.inside(printed.whole)] |= found.mask
    return SimulatedPlate(scan_plate(printed, scan, damages, plate_seed), mask, placed)
