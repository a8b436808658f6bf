"""From results to a table: means, spreads, intervals, ranks, paired tests, published figures."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from blemish.benchmark.cells import Cost, Row, Table
from blemish.benchmark.outline import Outline
from blemish.benchmark.rows import block_rows
from blemish.benchmark.selection import Selection, select
from blemish.benchmark.store import Result

COSTS = ("train_seconds", "evaluate_seconds", "latency_ms", "peak_rss_mb")


def tabulate(results: Sequence[Result], outline: Outline, *, code: str | None = None) -> Table:
    """The table of the results, of one code version: the newest, or the one that `code` begins.

    A cell is the mean over seeds. A mean over categories is withheld where one lacks. The best of
    a row is compared with every other detector on the same test images, Holm-corrected. Raises
    DatasetError for scores that cannot be read, and for a `code` that names no version.
    """
    selection = select(results, outline, code)
    rows: list[Row] = []
    for block in selection.blocks:
        rows += block_rows(block, selection, outline)
    return Table(
        outline.title,
        outline.source,
        tuple(selection.labels.values()),
        tuple(rows),
        tuple(_costs(selection)),
        tuple(map(_sentence, _notes(selection, outline))),
    )


def _notes(selection: Selection, outline: Outline) -> Iterator[str]:
    """What a reader must know: of the protocol, of departures from it, of what is not there."""
    yield from outline.notes
    taking_part = {selection.entrants[column] for _, column in selection.found}
    for one in outline.entrants:
        if one.label in taking_part:
            yield from one.departures
    yield from selection.notes
    for (place, column), reason in selection.failed.items():
        category = "" if place.category in place.data else place.category
        where = " ".join(filter(None, [place.data, place.variant, category]))
        yield f"{selection.labels[column]} failed on {where}: {reason}"


def _sentence(words: str) -> str:
    words = words.strip()
    return words[:1].upper() + words[1:] + "." * (not words.endswith((".", "!", "?")))


def _costs(selection: Selection) -> list[Cost]:
    """One entry for each detector and machine, in the order of the columns."""
    by_place: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for (_, column), seeds in selection.found.items():
        for result in seeds.values():
            place = selection.labels[column], machine_name(result.machine)
            by_place.setdefault(place, []).append(result.cost or {})
    order = list(selection.labels.values())
    costs = []
    for label, machine in sorted(by_place, key=lambda place: (order.index(place[0]), place[1])):
        runs = by_place[label, machine]
        known = {key: [run[key] for run in runs if run.get(key) is not None] for key in COSTS}
        train, evaluate, latency, peak = (known[key] for key in COSTS)
        costs.append(
            Cost(
                label,
                machine,
                len(runs),
                statistics.fmean(train) if train else None,
                statistics.fmean(evaluate) if evaluate else None,
                max(peak, default=None),
                statistics.median(latency) if latency else None,
            )
        )
    return costs


def machine_name(machine: Mapping[str, Any]) -> str:
    """A machine in words: its processor, threads and system, or all that is known of it."""
    named = [machine[key] for key in ("processor", "system") if machine.get(key)]
    words = [str(value) for value in named]
    if machine.get("threads"):
        words.insert(len(words[:1]), f"{machine['threads']} threads")
    return ", ".join(words or [f"{key} {value}" for key, value in sorted(machine.items())])
