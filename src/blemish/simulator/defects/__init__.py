"""What goes wrong with a plate, one file each: its name is the kind, and adding one is enough.

A module holds `GROUP`, "points" or "area" as ISP-AD (arXiv 2503.04997) divides them, and
`draw(print, place, room, rng)`, which gives the `Damage` of one defect around a place (row, column)
in a box of at most `room` pixels a side, or None where the place does not suit. A defect changes
ink, relief or matter, never grey values: how it looks follows from the modality.

The parameters are ours. They were fixed before anything was trained on simulated plates, and they
are not to be tuned by what a detector finds.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Protocol, cast

import numpy as np

from blemish.errors import BlemishError
from blemish.simulator.printing import Print
from blemish.simulator.surface import Damage

Place = tuple[int, int]


class Defect(Protocol):
    """What the module of a defect offers."""

    GROUP: str

    @staticmethod
    def draw(print_: Print, place: Place, room: int, rng: np.random.Generator) -> Damage | None:
        """One defect around a place; None where the place does not suit."""


def names() -> list[str]:
    """Every kind there is a file for."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def defect(kind: str) -> Defect:
    """A kind's module; BlemishError for a kind that does not exist."""
    if kind not in names():
        raise BlemishError(f"there is no defect {kind!r}; there are: {', '.join(names())}")
    return cast(Defect, importlib.import_module(f"{__name__}.{kind}"))


def group(kind: str) -> str:
    """Whether a kind is one of "points" or of "area"."""
    return defect(kind).GROUP
