"""What a table of the bench shall show: its rows, its columns, and the published figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from blemish.benchmark.protocol import Contestant, Metric, Protocol, pairs
from blemish.benchmark.runs import Pairs
from blemish.published import published

OVER_METHODS = ("mean", "std")


@dataclass(frozen=True)
class Block:
    """The rows of one data set under one split; `variant` is the protocol's name of the split.

    With `folds` each figure is of the runs of so many folds.

    `categories` are those that a mean needs; without any, those that have results.
    """

    data: str
    variant: str = ""
    split: str | None = None
    split_settings: Pairs = ()
    categories: tuple[str, ...] = ()
    folds: int | None = None


@dataclass(frozen=True)
class Entrant:
    """A detector that takes part, and its name in the table; settings None stand for any.

    `departures` say what sets its figures apart from those of the others.
    """

    label: str
    detector: str
    preset: str | None = None
    settings: Pairs | None = None
    departures: tuple[str, ...] = ()
    budget: float | None = None


@dataclass(frozen=True)
class Published:
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
class Outline:
    """A table to be: `entrants` and `blocks` give the order, what else has results follows."""

    title: str
    metrics: tuple[Metric, ...]
    entrants: tuple[Entrant, ...] = ()
    blocks: tuple[Block, ...] = ()
    published: tuple[Published, ...] = ()
    source: str = ""  # of the published figures: paper and table
    notes: tuple[str, ...] = ()
    mean: bool = True  # a row of means closes the categories of a block
    over_methods: bool = False  # mean and deviation over the methods close each row
    each_category: bool = True  # rows by category too, or the means alone
    cost_by_data: bool = False  # costs of each data set, or of all of them together


def outline_of(protocol: Protocol) -> Outline:
    """The table that a protocol asks for."""
    figures = tuple(_published(protocol))
    return Outline(
        title=protocol.title,
        metrics=protocol.metrics,
        entrants=tuple(
            Entrant(
                *(one.label, one.name, one.preset, pairs(one.settings)),
                *(tuple(one.departures()), one.budget),
            )
            for one in protocol.detectors
        ),
        blocks=tuple(
            Block(
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


def _published(protocol: Protocol) -> Iterator[Published]:
    if protocol.published is None:
        return
    columns = published(protocol.published)[0].keys()
    closing = (Contestant(name, name, column=name) for name in OVER_METHODS if name in columns)
    for one in (*protocol.detectors, *closing):
        for data in protocol.data:
            for split in protocol.splits:
                for metric in protocol.metrics:
                    value = protocol.published_figure(data, split, one, metric)
                    if value is not None:
                        yield Published(data.name, one.label, metric.path, value, split.name)
