"""How far a piece of work has come, told to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a piece of work has come."""

    what: str
    done: int
    total: int


ShowProgress = Callable[[Progress], None]
