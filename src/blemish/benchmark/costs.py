"""The cost of runs by detector and machine: over all data sets, or for each data set."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from blemish.benchmark.result_table import Cost
from blemish.benchmark.runs import Pairs, Run
from blemish.benchmark.selection import Selection, row_key
from blemish.benchmark.store import Result

Numbers = Sequence[tuple[Run, float | None]]
COSTS = ("train_seconds", "evaluate_seconds", "peak_rss_mb", "latency_ms")


def costs(selection: Selection, *, by_data: bool = False) -> list[Cost]:
    """One entry for each detector and machine; with `by_data` for each data set and its split.

    In the order of the blocks, then of the columns.
    """
    labels = list(selection.labels.values())
    blocks = [row_key(block, "") for block in selection.blocks]
    # By key: a run that several splits share costs once.
    groups: dict[tuple[int, int, str], dict[str, Result]] = {}
    for (key, column), seeds in selection.found.items():
        block = blocks.index(dataclasses.replace(key, category="")) if by_data else 0
        for result in (result for seed_result in seeds.values() for result in seed_result.folds):
            label = labels.index(selection.labels[column])
            group = groups.setdefault((block, label, machine_name(result.machine)), {})
            group[result.key] = result
    found = []
    for block, label, machine in sorted(groups):
        results = list(groups[block, label, machine].values())
        if by_data:
            data = " ".join(filter(None, [blocks[block].data, blocks[block].variant]))
            found.append(_of_data(labels[label], machine, data, results))
        else:
            found.append(_of_all(labels[label], machine, results))
    return found


def _of_all(label: str, machine: str, results: Sequence[Result]) -> Cost:
    train, evaluate, peak, latency = (
        [value for _, value in _of_runs(results, key) if value is not None] for key in COSTS
    )
    return Cost(
        label,
        machine,
        len(results),
        statistics.fmean(train) if train else None,
        statistics.fmean(evaluate) if evaluate else None,
        max(peak, default=None),
        statistics.median(latency) if latency else None,
    )


def _of_data(label: str, machine: str, data: str, results: Sequence[Result]) -> Cost:
    found = {key: _over_seeds(_of_runs(results, key)) for key in COSTS}
    train, evaluate, peak, latency = (mean for mean, _ in found.values())
    done, planned = (
        _over_seeds([(result.run, (result.fit or {}).get(key)) for result in results])[0]
        for key in ("steps", "steps_planned")
    )
    return Cost(
        *(label, machine, len(results), train, evaluate, peak, latency, data),
        spreads={key: spread for key, (_, spread) in found.items()},
        steps=None if done is None or planned is None else (done, planned),
    )


def _of_runs(results: Sequence[Result], key: str) -> Numbers:
    return [(result.run, (result.cost or {}).get(key)) for result in results]


def _over_seeds(numbers: Numbers) -> tuple[float | None, float | None]:
    """The mean over seeds of the mean over categories and folds, and the seeds' deviation.

    No mean where a run lacks the number, no spread where the seeds have not the same categories.
    """
    by_seed: dict[int, dict[tuple[str, Pairs], float]] = {}
    for run, value in numbers:
        if value is None:
            return None, None
        by_seed.setdefault(run.seed, {})[run.category, run.split_settings] = value
    means = [statistics.fmean(values.values()) for values in by_seed.values()]
    alike = len({frozenset(values) for values in by_seed.values()}) == 1
    return statistics.fmean(means), statistics.stdev(means) if alike and len(means) > 1 else None


def machine_name(machine: Mapping[str, Any]) -> str:
    """A machine in words: its processor, threads and system, or all that is known of it."""
    named = [machine[key] for key in ("processor", "system") if machine.get(key)]
    words = [str(value) for value in named]
    if machine.get("threads"):
        words.insert(len(words[:1]), f"{machine['threads']} threads")
    return ", ".join(words or [f"{key} {value}" for key, value in sorted(machine.items())])
