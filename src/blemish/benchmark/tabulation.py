"""Builds the result table: means, spreads, intervals, ranks, paired tests, published figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from blemish.benchmark.costs import costs
from blemish.benchmark.result_table import ResultTable, TableRow
from blemish.benchmark.selection import Selection, select
from blemish.benchmark.store import Result
from blemish.benchmark.table_rows import block_rows
from blemish.benchmark.table_spec import TableSpec


def tabulate(results: Sequence[Result], spec: TableSpec, *, code: str | None = None) -> ResultTable:
    """The table of the results of the installed code, or of the one that `code` begins.

    Raises DatasetError for scores that cannot be read, and for a `code` that names no version.
    """
    return table_of(select(results, spec, code), spec)


def table_of(selection: Selection, spec: TableSpec) -> ResultTable:
    """The table of some results.

    A cell is the mean over seeds. A mean over categories is withheld where one is missing. The best
    of a row is compared with every other detector by paired tests with Holm's correction. Raises
    DatasetError for scores that cannot be read.
    """
    rows: list[TableRow] = []
    for block in selection.blocks:
        rows += block_rows(block, selection, spec)
    return ResultTable(
        spec.title,
        spec.source,
        tuple(selection.labels.values()),
        tuple(rows),
        tuple(costs(selection, by_data=spec.cost_by_data)),
        tuple(map(_sentence, _notes(selection, spec))),
    )


def _notes(selection: Selection, spec: TableSpec) -> Iterator[str]:
    """Notes on the protocol, on departures from it, and on missing results."""
    yield from spec.notes
    taking_part = {selection.spec_labels[column] for _, column in selection.found}
    for one in spec.columns:
        if one.label in taking_part:
            yield from one.departures
    yield from selection.notes
    for (key, column), reason in selection.failed.items():
        category = "" if key.category in key.data else key.category
        where = " ".join(filter(None, [key.data, key.variant, category]))
        yield f"{selection.labels[column]} failed on {where}: {reason}"


def _sentence(words: str) -> str:
    words = words.strip()
    return words[:1].upper() + words[1:] + "." * (not words.endswith((".", "!", "?")))
