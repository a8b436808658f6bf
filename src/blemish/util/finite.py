"""Numbers that decide are finite: a comparison with a NaN is false, and would pass a part.

What is not is refused by `Session.run` (what leaves a graph), `HeldOut` and `calibrate` (held-out
scores), `decide` (thresholds), `util.typed_json.read` (a card), `metrics.image.checked` (metrics).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 1e30  # of what leaves a graph: in float32 its sums over tiles and channels stay finite


def is_finite(value: object) -> bool:
    """True for a number that is neither NaN nor infinite; a truth value or a text is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return False
    try:
        return math.isfinite(value)
    except (OverflowError, TypeError):  # an integer beyond every float, a complex number
        return False


def is_usable(value: object) -> bool:
    """True for a finite number of at most `LARGEST` in size."""
    return is_finite(value) and abs(value) <= LARGEST  # type: ignore[arg-type]


def all_usable(values: NDArray[Any]) -> bool:
    """True for numbers, at least one, of which none is NaN or larger than `LARGEST` in size."""
    if values.dtype.kind not in "fiub" or not values.size:
        return False
    # The maximum is NaN where a value is. As a float: in 16 bits LARGEST itself would be infinite.
    return float(np.abs(values).max()) <= LARGEST


def not_finite(value: object) -> str | None:
    """Where in a JSON value a number is not finite, such as `calibration.scores[3]`; else None."""
    return next(_not_finite(value), None)


def _not_finite(value: object, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _not_finite(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _not_finite(inner, f"{name}[{place}]")
    elif isinstance(value, int | float) and not isinstance(value, bool) and not is_finite(value):
        yield name or "it"
