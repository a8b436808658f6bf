"""Settings that are ranges or shares: drawn from, and refused where they make no sense."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from blemish.errors import BlemishError

Range = tuple[float, float]


def uniform(rng: np.random.Generator, limits: Range) -> float:
    """A number between the limits."""
    return float(rng.uniform(*limits))


def log_uniform(rng: np.random.Generator, limits: Range) -> float:
    """A number between the limits, whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(limits[0]), math.log(limits[1])))


def refuse_no_share(generator: Any, *names: str) -> None:
    """BlemishError for a setting that is no probability or share."""
    for name in names:
        if not 0 <= getattr(generator, name) <= 1:
            raise _refusal(generator, name, "lie between 0 and 1")


def refuse_no_number(generator: Any, *names: str, least: float = 0.0, most: float = 1e4) -> None:
    """BlemishError for a setting outside a range, ends included; 0 itself where it is the least."""
    for name in names:
        value = getattr(generator, name)
        if not least <= value <= most or value == 0.0 == least:
            raise _refusal(generator, name, f"lie between {least:g} and {most:g}, and above 0")


def refuse_no_range(
    generator: Any, *names: str, least: float = 1e-6, most: float = math.inf
) -> None:
    """BlemishError for a setting that is no range LOW,HIGH with LOW at most HIGH."""
    for name in names:
        limits = getattr(generator, name)
        sound = len(limits) == 2 and all(map(math.isfinite, limits))
        if not sound or not least <= limits[0] <= limits[1] <= most:
            top = "" if most == math.inf else f" and at most {most:g}"
            raise _refusal(generator, name, f"be LOW,HIGH, at least {least:g}{top}")


def _refusal(generator: Any, name: str, rule: str) -> BlemishError:
    kind = type(generator).__module__.rpartition(".")[2]
    value = getattr(generator, name)
    text = ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else f"{value:g}"
    return BlemishError(f"setting {name}={text} of generator {kind} must {rule}")
