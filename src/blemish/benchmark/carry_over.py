"""Carries kept results over to the installed code, once a rerun agrees with one to the digit."""

from __future__ import annotations

import dataclasses
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from blemish.benchmark.runs import Run
from blemish.benchmark.store import ARRAYS, CarryOver, Result, write_result
from blemish.errors import BlemishError, DatasetError
from blemish.util.files import open_regular, replacing

# What a run costs, and the file of its model, in which that is written.
_OF_THE_MACHINE = {"figures.seconds", "figures.images_per_second", "figures.model"}
_FILES = (".npz", ".maps.npz")


def results_of_other_code(results: Sequence[Result]) -> list[list[Result]]:
    """Finished results that are not of the installed code, by detector and code, the newest first.

    Where two codes have a result of one run, that of the newer is carried over.
    """
    groups: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
    for result in sorted(results, key=lambda result: result.finished, reverse=True):
        if result.status == "done" and result.code != result.run.code:
            code = result.code
            groups[result.run.detector, code.source, code.method].append(result)
    return [group for _, group in sorted(groups.items(), key=lambda named: named[0][0])]


def rerun_candidate(
    group: Sequence[Result], runs: Collection[Run], made: Collection[str]
) -> Result:
    """The result of a group to rerun: one that was rerun already, else the cheapest.

    `runs` are those that can be made here, `made` the keys of those that were. Raises BlemishError
    where none will do: a run that its budget cut short is not reproducible.
    """
    here = [result for result in group if result.run in runs]
    if not here:
        raise BlemishError("none of these runs can be made here: data or protocol have changed")
    whole = [result for result in here if not _cut_short(result)]
    if not whole:
        raise BlemishError("its budget cut every run short, so none comes out the same again")
    return min(whole, key=lambda result: (result.run.key not in made, result.seconds or 0.0))


def disagreements(kept: Result, again: Result) -> list[str]:
    """Every figure, number of the fit and score in which a rerun differs, in words.

    Figures that the kept result lacks are new, and agree.
    """
    if again.status != "done":
        return [f"it failed when it was made again: {again.reason}"]
    values = dict(_values({"figures": kept.figures, "fit": kept.fit or {}}))
    others = dict(_values({"figures": again.figures, "fit": again.fit or {}}))
    found = [
        f"{name} is {value}, and {others.get(name, 'nothing')} when it was made again"
        for name, value in values.items()
        if name not in _OF_THE_MACHINE and value != others.get(name, "nothing")
    ]
    scores = kept.scores(), again.scores()
    for name in ARRAYS:
        old, new = (getattr(one, name) for one in scores)
        if not np.array_equal(old, new):
            number = f"{np.count_nonzero(old != new)} of " if old.shape == new.shape else ""
            found.append(f"{number}{len(old)} scores have another {name} when it was made again")
    return found


def carry(
    group: Sequence[Result],
    there: Mapping[str, Result],
    agreed_with: str,
    on: date,
    processor: str | None = None,
) -> list[Result]:
    """Give results the keys and the code that are installed, and remove them under their old keys.

    `there` are the results of their folder by key; one that a run of the installed code left keeps
    its place, and the old one its own. Killed at any moment, it goes on with those that are left.
    """
    carried = []
    for old in group:
        step = CarryOver(old.key, old.code, agreed_with, on.isoformat(), processor)
        steps = (*old.carried, step)
        new = dataclasses.replace(old, key=old.run.key, code=old.run.code, carried=steps)
        known = there.get(new.key)
        if known is not None and not any(one.from_key == old.key for one in known.carried):
            continue
        if known is None:
            for ending in _FILES:
                _copy(old.folder / f"{old.key}{ending}", old.folder / f"{new.key}{ending}")
            write_result(new, None)
        for ending in (".json", *_FILES):
            (old.folder / f"{old.key}{ending}").unlink(missing_ok=True)
        carried.append(new)
    return carried


def _copy(source: Path, target: Path) -> None:
    if source.exists():
        try:
            held = open_regular(source)
        except OSError as error:
            raise DatasetError(f"{source} cannot be read: {error.strerror}") from error
        with held, replacing(target) as file:
            shutil.copyfileobj(held, file)


def _cut_short(result: Result) -> bool:
    fit = result.fit or {}
    steps = fit.get("steps", 0.0)
    return result.run.budget is not None and steps < fit.get("steps_planned", steps)


def _values(tree: Any, way: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested objects and lists, each by its dotted path."""
    if isinstance(tree, dict | list | tuple):
        inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for name, value in inner:
            yield from _values(value, f"{way}.{name}" if way else str(name))
    else:
        yield way, tree
