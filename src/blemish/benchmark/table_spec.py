"""The specification of a result table: its rows, its columns, the published figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from blemish.benchmark.protocol import DetectorConfig, Metric, Protocol, pairs
from blemish.benchmark.runs import Pairs
from blemish.published import published

OVER_METHODS = ("mean", "std")


@dataclass(frozen=True)
class RowBlock:
    """The rows of one data set under one split; `variant` is the protocol's name of the split.

    With `folds` each figure is of that many folds. `categories` are those that a mean needs;
    without any, those that have results.
    """

    data: str
    variant: str = ""
    split: str | None = None
    split_settings: Pairs = ()
    categories: tuple[str, ...] = ()
    folds: int | None = None


@dataclass(frozen=True)
class ColumnSpec:
    """A column: a detector and its label; `settings` None match any.

    `departures` say how its setup differs from that of the other columns.
    """

    label: str
    detector: str
    preset: str | None = None
    settings: Pairs | None = None
    departures: tuple[str, ...] = ()
    budget: float | None = None


@dataclass(frozen=True)
class PublishedFigure:
    """A figure as printed in a paper, in the unit in which the metric is shown.

    It belongs to the mean over categories, or to the only one there is. The labels "mean" and
    "std" stand for the paper's own mean and deviation over its methods.
    """

    data: str
    label: str
    path: str
    value: float
    variant: str = ""


@dataclass(frozen=True)
class TableSpec:
    """A table to make: `columns` and `blocks` give the order, and what else has results follows."""

    title: str
    metrics: tuple[Metric, ...]
    columns: tuple[ColumnSpec, ...] = ()
    blocks: tuple[RowBlock, ...] = ()
    published: tuple[PublishedFigure, ...] = ()
    source: str = ""  # of the published figures: paper and table
    notes: tuple[str, ...] = ()
    mean: bool = True  # a row of means closes the categories of a block
    over_methods: bool = False  # mean and deviation over the methods close each row
    each_category: bool = True  # rows by category too, or the means alone
    cost_by_data: bool = False  # costs of each data set, or of all of them together


def table_spec_of(protocol: Protocol) -> TableSpec:
    """The table of a protocol."""
    figures = tuple(_published(protocol))
    return TableSpec(
        title=protocol.title,
        metrics=protocol.metrics,
        columns=tuple(
            ColumnSpec(
                *(one.label, one.name, one.preset, pairs(one.settings)),
                *(tuple(one.departures()), one.budget),
            )
            for one in protocol.detectors
        ),
        blocks=tuple(
            RowBlock(
                *(data.name, split.name, split.protocol, pairs(split.settings)),
                *(data.categories, split.folds),
            )
            for data in protocol.data
            for split in protocol.splits
        ),
        published=figures,
        source=protocol.source,
        notes=protocol.notes,
        mean=protocol.mean is not None,
        over_methods=any(figure.label in OVER_METHODS for figure in figures),
    )


def _published(protocol: Protocol) -> Iterator[PublishedFigure]:
    if protocol.published is None:
        return
    columns = published(protocol.published)[0].keys()
    closing = (DetectorConfig(name, name, column=name) for name in OVER_METHODS if name in columns)
    for one in (*protocol.detectors, *closing):
        for data in protocol.data:
            for split in protocol.splits:
                for metric in protocol.metrics:
                    value = protocol.published_figure(data, split, one, metric)
                    if value is not None:
                        yield PublishedFigure(data.name, one.label, metric.path, value, split.name)
