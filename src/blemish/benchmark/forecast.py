"""Estimates how long runs will take: from runs like them, or else from measured rates.

`rates.json` holds seconds per image of each detector on one machine, and what the bare backbone
took there; `benchmarks/scaling.py` measures them. On another machine they are stretched by the time
that the backbone takes here.
"""

from __future__ import annotations

import functools
import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from blemish.benchmark.runner import CostGroups, RunTimes, cost_groups
from blemish.benchmark.runs import Job, Pairs
from blemish.benchmark.sources import DataLocation, open_category
from blemish.benchmark.store import Result
from blemish.dataset.splits import divide
from blemish.detectors import usual_size
from blemish.features.backbone import open_backbone
from blemish.features.session import open_session

RATES = "rates.json"
BACKBONE_SIZE = 256  # pixels
_TRIALS = 15


@dataclass(frozen=True)
class Rate:
    """Seconds of a detector's run: start-up, per training image, per test image.

    They are of its usual input size, `size` pixels a side; pixels count, not sides.
    """

    size: int
    start: float
    train_image: float
    test_image: float

    def seconds(self, train: int, test: int, size: int) -> float:
        """A run on so many images at that size."""
        return self.training(train, size) + self.testing(test, size)

    def training(self, images: int, size: int) -> float:
        """To start, and to learn from so many images at that size."""
        return self.start + (size / self.size) ** 2 * self.train_image * images

    def testing(self, images: int, size: int) -> float:
        """To evaluate so many images at that size."""
        return (size / self.size) ** 2 * self.test_image * images


@dataclass(frozen=True)
class MeasuredRates:
    """Rates by detector, the machine they were measured on, and its time for the backbone."""

    machine: str
    backbone_seconds: float
    rates: Mapping[str, Rate]


@dataclass(frozen=True)
class Forecast:
    """`seconds` one run after the other, None where unknown; `source` says what it is based on.

    `unknown` are the detectors of which nothing is known; where each of their runs has a budget,
    that is what they are counted with.
    """

    seconds: float | None
    source: str
    unknown: tuple[str, ...] = ()


def forecast(jobs: Sequence[Job], results: Iterable[Result]) -> Forecast:
    """How long these runs will take, from results of similar runs or from measured rates."""
    kinds: Counter[CostGroups] = Counter(cost_groups(job.run) for job in jobs)
    if not jobs:
        return Forecast(0.0, "every run is made")
    results = list(results)
    asked = {(job.run.detector, job.run.budget) for job in jobs}
    seconds = RunTimes(results).total(kinds)
    if seconds is not None and asked <= {
        (r.run.detector, r.run.budget) for r in results if r.seconds
    }:
        return Forecast(seconds, "the runs that were made here")
    measured = measured_rates()
    unknown = tuple(sorted({name for name, _ in asked} - measured.rates.keys()))
    if any(budget is None for name, budget in asked if name in unknown):
        return Forecast(None, f"no rate of {', '.join(unknown)} is known", unknown)
    slowness = backbone_seconds() / measured.backbone_seconds
    seconds = sum(_seconds(job, measured.rates.get(job.run.detector), slowness) for job in jobs)
    words = f"the rates of {measured.machine}; this machine takes {slowness:.2f} times as long"
    if unknown:
        words += f"; no rate of {', '.join(unknown)} is known: their budgets, without evaluation"
    return Forecast(seconds, words, unknown)


@functools.cache
def measured_rates() -> MeasuredRates:
    """The rates that the package brings."""
    content = json.loads(files(__package__ or "").joinpath(RATES).read_text(encoding="utf-8"))
    rates = {name: Rate(**values) for name, values in content["rates"].items()}
    return MeasuredRates(content["machine"], content["backbone_seconds"], rates)


def backbone_seconds(size: int = BACKBONE_SIZE) -> float:
    """What the bundled backbone takes here for one image, the median of a few."""
    session = open_session(open_backbone().path)
    image = np.zeros((1, size, size, 3), np.uint8)
    times = []
    for _ in range(_TRIALS):
        start = time.perf_counter()
        session.run(None, {"image": image})
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _seconds(job: Job, rate: Rate | None, slowness: float) -> float:
    """A run on this machine: its training takes its budget at most, all of it without a rate."""
    run = job.run
    budget = math.inf if run.budget is None else run.budget
    if rate is None:
        return budget
    size = run.crop or run.size or usual_size(run.detector)
    train, test = _images(job.location, run.category, run.split, run.split_settings)
    return min(budget, slowness * rate.training(train, size)) + slowness * rate.testing(test, size)


@functools.lru_cache(maxsize=1024)
def _images(
    location: DataLocation, category: str, split: str | None, settings: Pairs
) -> tuple[int, int]:
    """How many images train and test; every seed's split is of one size."""
    data, _ = open_category(location, category)
    if split is not None:
        data = divide(data, split, 0, dict(settings)).data
    tested = len(data.split("test"))
    return len(data) - tested, tested
