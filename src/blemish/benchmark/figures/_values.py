"""Values of results: one figure by its path, means over seeds, and the names of detectors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from blemish.benchmark.runs import Run
from blemish.benchmark.store import Result

Setting = tuple[Any, ...]
Place = tuple[str, str, str]  # where detectors are compared: data, category, variant of the split

TITLES = {
    "image.auroc": "image AUROC",
    "sample.auroc": "sample AUROC",
    "pixel.auroc": "pixel AUROC",
    "pixel.aupro": "AUPRO",
    "pixel.pro_at_f1": "PRO at the image F1 threshold",
    "pixel.localised_recall": "localised recall",
    "decision.mcc": "MCC at the calibrated threshold",
    "oracle_f1.mcc": "MCC at the oracle F1 threshold",
}


def title(metric: str) -> str:
    """How a metric is called in a figure; its path where it has no name."""
    return TITLES.get(metric, metric)


def value(result: Result, metric: str) -> float | None:
    """The figure at a dotted path; None where there is none."""
    found: Any = result.figures
    for key in metric.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if is_number else None


def comparable(results: Iterable[Result]) -> list[Result]:
    """The finished runs of the newest code; of several of one experiment the last one."""
    done = sorted(
        (result for result in results if result.status == "done"), key=lambda r: r.finished
    )
    last: dict[tuple[Place, str, Setting, int], Result] = {}
    for result in done:
        if result.code == done[-1].code:
            run = result.run
            last[where(run), run.detector, _setting(run), run.seed] = result
    return list(last.values())


def names(results: Sequence[Result]) -> dict[str, str]:
    """The name of each result's detector, by key; with settings where one place has several."""
    variants: dict[tuple[Place, str], set[Setting]] = defaultdict(set)
    for result in results:
        variants[where(result.run), result.run.detector].add(_setting(result.run))
    several = {detector for (_, detector), found in variants.items() if len(found) > 1}
    return {
        result.key: result.run.detector
        + (f" {_said(result.run)}" if result.run.detector in several else "")
        for result in results
    }


def where(run: Run) -> Place:
    """Where detectors are compared with one another."""
    return run.data, run.category, run.variant


def by_place(results: Sequence[Result], metric: str) -> dict[Place, dict[str, float]]:
    """The mean over seeds of each detector at each place; nothing where a figure is missing."""
    named = names(results)
    seen: dict[Place, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        found = value(result, metric)
        if found is not None:
            seen[where(result.run)][named[result.key]].append(found)
    return {
        place: {detector: fmean(values) for detector, values in detectors.items()}
        for place, detectors in seen.items()
    }


def file_name(*parts: object) -> str:
    """A file name without suffix that any system takes."""
    joined = "-".join(str(part) for part in parts if part not in ("", None))
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in joined)


def _setting(run: Run) -> Setting:
    return run.preset, run.settings, run.size, run.resize, run.tile


def _said(run: Run) -> str:
    words = [run.preset, *(f"{key}={setting}" for key, setting in run.settings)]
    words += [f"{run.size} px" if run.size else "", f"tile {run.tile}" if run.tile else ""]
    return ", ".join(word for word in words if word) or "as it comes"
