"""A simulator of screen-printed foil plates, their scans and their defects.

For tests, demonstrations and scaling studies, after the description in ISP-AD (arXiv 2503.04997)
and called a simulator wherever its pictures are shown. It shares no code with `blemish.synthesis`:
synthetic defects to train on and simulated defects to test on come from different code.
"""

from __future__ import annotations

from blemish.simulator.defect_placement import PlacedDefect
from blemish.simulator.simulate import SimulatedPlate, simulate_plate

__all__ = ["PlacedDefect", "SimulatedPlate", "simulate_plate"]
