"""Figures of a bench, one file each: a file holds `draw(results, metrics)`, and no list names it.

`draw` yields pairs of a file name without suffix and an SVG text; nothing where the results do not
suffice. `results` are comparable: finished, of one code, one per experiment; `metrics` are dotted
paths into their figures.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Sequence

from blemish.benchmark.figures._values import comparable as comparable
from blemish.benchmark.store import Result

METRICS = ("sample.auroc", "image.auroc", "pixel.aupro")


def figure_names() -> list[str]:
    """Every figure there is a file for."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in names if not name.startswith("_"))


def draw_figures(
    results: Sequence[Result], metrics: Sequence[str] = METRICS
) -> Iterator[tuple[str, str]]:
    """Every figure that the results suffice for: file name without suffix, SVG text."""
    chosen = comparable(results)
    for name in figure_names():
        yield from importlib.import_module(f"{__name__}.{name}").draw(chosen, metrics)
