"""The result of one seed: one run, or one run per fold of a cross-validation.

Folds share no part, and their models share no scale of scores. So counts of decisions are summed,
each fold at its own threshold, and rates are computed from the sums. Any other figure is the mean
over folds; its interval treats their errors as independent.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from blemish.benchmark.store import COUNTS, Result
from blemish.metrics.decision import Confusion, mcc_interval

SUMMED = ("image.n_good", "image.n_defective", "decision.incomplete", "decision.unreadable")

Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class SeedResult:
    """The results of one seed, by fold; one result where the split has no folds."""

    folds: tuple[Result, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its runs."""
        return tuple(result.key for result in self.folds)

    @cached_property
    def figures(self) -> Mapping[str, Any]:
        """The figures of all folds together, by group."""
        every = [result.figures or {} for result in self.folds]
        if len(every) == 1:
            return every[0]
        groups = dict.fromkeys(key for figures in every for key in figures)
        return {group: _over_folds(group, [f.get(group) for f in every]) for group in groups}

    def interval(self, path: str) -> Interval | None:
        """The 95 % interval of the figure at a dotted path; None without one."""
        group, _, name = path.partition(".")
        written = (self.figures.get(group) or {}).get(f"{name}_interval")
        return None if written is None else (float(written[0]), float(written[1]))


def mean_interval(values: Sequence[float], intervals: Sequence[Interval | None]) -> Interval | None:
    """The interval of the mean of values with independent errors, whose squares add.

    None where one of them has no interval.
    """
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(values):
        return None
    below = [(value - low) ** 2 for value, (low, _) in zip(values, known, strict=True)]
    above = [(high - value) ** 2 for value, (_, high) in zip(values, known, strict=True)]
    mean, n = statistics.fmean(values), len(values)
    return mean - math.sqrt(math.fsum(below)) / n, mean + math.sqrt(math.fsum(above)) / n


def _over_folds(group: str, folds: Sequence[Any]) -> Mapping[str, Any] | None:
    """One group of figures; None where a fold lacks it."""
    if not all(isinstance(figures, Mapping) for figures in folds):
        return None
    if all(set(COUNTS) <= figures.keys() for figures in folds):
        sums = {name: sum(figures[name] for figures in folds) for name in COUNTS}
        counts = Confusion(**sums)
        others = _means(group, [{k: v for k, v in f.items() if k not in COUNTS} for f in folds])
        return {**others, **counts.to_json(), "mcc_interval": mcc_interval(counts)}
    return _means(group, folds)


def _means(group: str, folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of every number that all folds have, its interval, and sums of numbers of parts."""
    found: dict[str, Any] = {}
    for name in folds[0]:
        values = [figures.get(name) for figures in folds]
        numbers = [float(v) for v in values if isinstance(v, int | float) and v is not True]
        if len(numbers) < len(folds):
            continue
        if f"{group}.{name}" in SUMMED:
            found[name] = round(sum(numbers))
            continue
        found[name] = statistics.fmean(numbers)
        ends = [figures.get(f"{name}_interval") for figures in folds]
        if (interval := mean_interval(numbers, ends)) is not None:
            found[f"{name}_interval"] = interval
    return found
