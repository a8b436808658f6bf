"""Lengths of time as people write them."""

from __future__ import annotations

from blemish.errors import BlemishError

_UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(text: str, what: str) -> float:
    """Seconds from "90", "90s", "10m" or "1.5h"; `what` names it in the error.

    Raises BlemishError for anything that is no time above 0.
    """
    number, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1)
    try:
        seconds = float(number) * unit
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise BlemishError(f"{what} {text} is no time; write it like 90s, 10m or 1.5h")
    return seconds


def in_words(seconds: float) -> str:
    """A time to the second, in the largest unit that holds it whole: "90 s", "10 min", "2 h"."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"
