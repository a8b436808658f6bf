"""The result table of a bench: cells, rows, costs. `formats` writes it as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from blemish.benchmark.protocol import Metric

SIGNIFICANT = 0.05


def decimals(metric: Metric) -> int:
    """The number of decimals of a figure."""
    return 0 if metric.count else 1 if metric.percent else 3


@dataclass(frozen=True)
class TableCell:
    """A detector's figure in one row, in the unit in which the row's metric is shown.

    `value` is the mean over seeds, `spread` their standard deviation (None for one seed),
    `interval` a 95 % one by whole parts. `rank` is 1 for the best and 2 for the second, as
    rounded; `p` is Holm's, of the test against the best. `missing` says why there is no value.
    """

    detector: str
    value: float | None = None
    spread: float | None = None
    seeds: int = 0
    interval: tuple[float, float] | None = None
    rank: int | None = None
    p: float | None = None
    published: float | None = None
    missing: str = ""
    runs: tuple[str, ...] = ()

    @property
    def separable(self) -> bool | None:
        """Whether the paired test tells this apart from the best; None without a test."""
        return None if self.p is None else self.p < SIGNIFICANT

    @property
    def difference(self) -> float | None:
        """The figure less the published one."""
        if self.value is None or self.published is None:
            return None
        return self.value - self.published


@dataclass(frozen=True)
class MethodsSummary:
    """Mean and population standard deviation over the `n` methods of a row; the published ones."""

    mean: float | None
    std: float | None
    n: int
    published_mean: float | None = None
    published_std: float | None = None


@dataclass(frozen=True)
class TableRow:
    """One metric on one category, or on the mean of them (None); `protocol` is "paper" or
    "honest" where a metric is at a threshold that a paper chose on its test set, else "".
    """

    data: str
    variant: str
    category: str | None
    metric: Metric
    protocol: str
    cells: tuple[TableCell, ...]
    over_methods: MethodsSummary | None = None


@dataclass(frozen=True)
class Cost:
    """Cost of a detector's runs on one machine: mean times, peak memory, median latency.

    For one data set, `data`, all are means over seeds, `spreads` holds their standard deviations
    by name (None for one seed), and `steps` the steps done and planned in a fit.
    `train_seconds` is the whole of `train`: features, fit, held-out scores, the model's file.
    """

    detector: str
    machine: str
    runs: int
    train_seconds: float | None
    evaluate_seconds: float | None
    peak_rss_mb: float | None
    latency_ms: float | None
    data: str = ""
    spreads: Mapping[str, float | None] = field(default_factory=dict)
    steps: tuple[float, float] | None = None


@dataclass(frozen=True)
class ResultTable:
    """Rows by metric, a column per detector, the costs, and notes."""

    title: str
    source: str
    detectors: tuple[str, ...]
    rows: tuple[TableRow, ...]
    costs: tuple[Cost, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything, with each cell's difference and whether it is separable from the best."""
        values = dataclasses.asdict(self)
        for row, written in zip(self.rows, values["rows"], strict=True):
            for cell, entry in zip(row.cells, written["cells"], strict=True):
                entry["difference"], entry["separable"] = cell.difference, cell.separable
        return values
