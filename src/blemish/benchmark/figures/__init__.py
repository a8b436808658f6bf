"""Figures of a bench, one file each: a file holds `draw(selection, metrics)`; no list names it.

`draw` yields pairs of a file name without suffix and an SVG text; nothing where the results do not
suffice. The selection is that of the table: what stands in one stands in the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from blemish.benchmark.protocol import Metric, Protocol
from blemish.benchmark.selection import Selection
from blemish.discovery import Kind

FIGURES = Kind(__name__, "figure")

METRICS = ("sample.auroc", "image.auroc", "pixel.aupro")


def figure_names() -> list[str]:
    """Every figure there is a file for."""
    return FIGURES.names()


def metrics_of(protocol: Protocol, paths: Sequence[str] = METRICS) -> list[Metric]:
    """The protocol's metrics at those dotted paths, and plain ones where it names none."""
    known = {metric.path: metric for metric in protocol.metrics}
    return [known.get(path, Metric(path, path)) for path in paths]


def draw_figures(selection: Selection, metrics: Sequence[Metric]) -> Iterator[tuple[str, str]]:
    """Every figure that the results suffice for: file name without suffix, SVG text."""
    for name in figure_names():
        yield from FIGURES.module(name).draw(selection, metrics)
