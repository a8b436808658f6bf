"""The ways a plate is looked at, one file each: its name is the modality's, adding one is enough.

A module holds `Scanner`, a frozen dataclass whose `drawn(rng, height, width)` draws the state of
the light and the camera for one scan.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Protocol

import numpy as np

from blemish.errors import BlemishError
from blemish.simulator.fields import Floats, Mask, Window
from blemish.simulator.surface import Surface


class Scanner(Protocol):
    """Light and camera during one scan."""

    def see(self, surface: Surface, window: Window) -> Floats:
        """The grey values 0 to 255 of a window without noise, float32 [h, w]."""

    def noisy(self, seen: Floats, window: Window, rng: np.random.Generator) -> Floats:
        """The same with the noise of light and camera."""

    def hidden(self, window: Window) -> Mask | None:
        """Where the scan shows nothing, bool [h, w]; None for nowhere."""


def names() -> list[str]:
    """Every modality there is a file for."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def checked(modality: str) -> str:
    """The modality's name; BlemishError for one that does not exist."""
    if modality not in names():
        raise BlemishError(f"there is no modality {modality!r}; there are: {', '.join(names())}")
    return modality


def scanner(modality: str, rng: np.random.Generator, height: int, width: int) -> Scanner:
    """The light and camera of one scan; BlemishError for a modality that does not exist."""
    module = importlib.import_module(f"{__name__}.{checked(modality)}")
    drawn: Scanner = module.Scanner.drawn(rng, height, width)
    return drawn
