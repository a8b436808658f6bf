"""The ways a plate is looked at, one file each: its name is the modality's, adding one is enough.

A module holds `Scanner`, a frozen dataclass whose `drawn(rng, height, width)` draws the state of
the light and the camera for one scan.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from blemish.discovery import Kind
from blemish.simulator.random_fields import Floats, Mask, PlateWindow
from blemish.simulator.surface import Surface

MODALITIES = Kind(__name__, "modality")


class Scanner(Protocol):
    """Light and camera during one scan."""

    def see(self, surface: Surface, window: PlateWindow) -> Floats:
        """The grey values 0 to 255 of a window without noise, float32 [h, w]."""

    def noisy(self, seen: Floats, window: PlateWindow, rng: np.random.Generator) -> Floats:
        """The same with the noise of light and camera."""

    def hidden(self, window: PlateWindow) -> Mask | None:
        """Where the scan shows nothing, bool [h, w]; None for nowhere."""


def names() -> list[str]:
    """Every modality there is a file for."""
    return MODALITIES.names()


def checked(modality: str) -> str:
    """The modality's name; BlemishError for one that does not exist."""
    return MODALITIES.source(modality).name


def scanner(modality: str, rng: np.random.Generator, height: int, width: int) -> Scanner:
    """The light and camera of one scan; BlemishError for a modality that does not exist."""
    drawn: Scanner = MODALITIES.module(modality).Scanner.drawn(rng, height, width)
    return drawn
