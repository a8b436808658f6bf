"""What goes wrong with a plate, one file each: its name is the kind, and adding one is enough.

A module holds `GROUP`, "points" or "area" as ISP-AD (arXiv 2503.04997) divides them, and
`draw(print, place, room, rng)`, which gives the `Damage` of one defect around a place (row, column)
in a box of at most `room` pixels a side, or None where the place does not suit. A defect changes
ink, relief or matter, never grey values: how it looks follows from the modality.

The parameters are ours. They were fixed before anything was trained on simulated plates, and they
are not to be tuned by what a detector finds.
"""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np

from blemish.discovery import Kind
from blemish.simulator.printing import Print
from blemish.simulator.surface import Damage

DEFECTS = Kind(__name__, "defect")

Place = tuple[int, int]


class Defect(Protocol):
    """What the module of a defect offers."""

    GROUP: str

    @staticmethod
    def draw(print_: Print, place: Place, room: int, rng: np.random.Generator) -> Damage | None:
        """One defect around a place; None where the place does not suit."""


def names() -> list[str]:
    """Every kind there is a file for."""
    return DEFECTS.names()


def defect(kind: str) -> Defect:
    """A kind's module; BlemishError for a kind that does not exist."""
    return cast(Defect, DEFECTS.module(kind))


def group(kind: str) -> str:
    """Whether a kind is one of "points" or of "area"."""
    return defect(kind).GROUP
