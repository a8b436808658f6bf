"""From results to a table: means, spreads, intervals, ranks, paired tests, published figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from blemish.benchmark.cells import Row, Table
from blemish.benchmark.costs import costs
from blemish.benchmark.outline import Outline
from blemish.benchmark.rows import block_rows
from blemish.benchmark.selection import Selection, select
from blemish.benchmark.store import Result


def tabulate(results: Sequence[Result], outline: Outline, *, code: str | None = None) -> Table:
    """The table of the results of the installed code, or of the one that `code` begins.

    Raises DatasetError for scores that cannot be read, and for a `code` that names no version.
    """
    return table_of(select(results, outline, code), outline)


def table_of(selection: Selection, outline: Outline) -> Table:
    """The table of some results.

    A cell is the mean over seeds. A mean over categories is withheld where one lacks. The best of
    a row is compared with every other detector on the same test images, Holm-corrected. Raises
    DatasetError for scores that cannot be read.
    """
    rows: list[Row] = []
    for block in selection.blocks:
        rows += block_rows(block, selection, outline)
    return Table(
        outline.title,
        outline.source,
        tuple(selection.labels.values()),
        tuple(rows),
        tuple(costs(selection, by_data=outline.cost_by_data)),
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
