"""The rows of one data set: each category by each metric, then the mean over the categories."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from blemish.benchmark.paired_tests import ScoreReader, compare
from blemish.benchmark.protocol import Metric
from blemish.benchmark.result_table import MethodsSummary, TableCell, TableRow, decimals
from blemish.benchmark.seed_result import SeedResult, mean_interval
from blemish.benchmark.selection import BySeed, DetectorColumn, Selection
from blemish.benchmark.store import ImageScores, Result
from blemish.benchmark.table_spec import RowBlock, TableSpec
from blemish.dataset.label_words import name_some
from blemish.metrics.paired import PairedTest, holm, mean_comparison

Cells = dict[DetectorColumn, TableCell]
Tests = dict[tuple[DetectorColumn, DetectorColumn], PairedTest | None]
PAPER, HONEST = "paper", "honest"


@dataclass(frozen=True)
class RowMetric:
    """A metric that becomes a row of each category; `protocol` says whose threshold it is at."""

    metric: Metric
    protocol: str


def block_rows(block: RowBlock, selection: Selection, spec: TableSpec) -> list[TableRow]:
    """The rows of a block, category by category, then the means; none of a metric nobody has."""
    kept = _Kept()
    rows = [
        row
        for line in _lines(spec.metrics)
        for row in _line_rows(line, block, selection, spec, kept.open)
    ]
    order: list[str | None] = [*selection.categories[block], *block.categories, None]
    return sorted(rows, key=lambda row: order.index(row.category))


def _line_rows(
    line: RowMetric, block: RowBlock, selection: Selection, spec: TableSpec, scores: ScoreReader
) -> Iterator[TableRow]:
    names = selection.categories[block]
    needed = list(dict.fromkeys([*block.categories, *names]))
    alone = len(needed) == 1
    if alone:  # it is no mean, even where nothing was made of it
        names = needed
    by_category = {name: _cells(line, block, name, selection) for name in names}
    mean = (
        by_category[names[0]] if alone else _mean_cells(line, block, needed, by_category, selection)
    )
    figures = _published(line, block, spec)
    mean = _with_published(mean, figures, selection)
    if not any(_known(cells) for cells in [*by_category.values(), mean]):
        return
    first = _best(mean, line.metric)
    tests = {
        name: _tests(line, block, name, cells, first, selection, scores)
        for name, cells in by_category.items()
    }
    if not alone and (spec.each_category or not spec.mean):
        for name, cells in by_category.items():
            yield _row(line, block, name, _ranked(cells, line.metric, tests[name]), None)
    if alone or spec.mean or not names:
        against = tests[names[0]] if alone else _mean_tests(first, mean, tests)
        ranked = _ranked(mean, line.metric, against)
        closing = _over_methods(ranked, figures) if spec.over_methods else None
        yield _row(line, block, names[0] if alone else None, ranked, closing)


class _Kept:
    """The scores of the results that were opened last."""

    def __init__(self, limit: int = 64) -> None:
        self.limit = limit
        self.scores: dict[str, ImageScores] = {}

    def open(self, result: Result) -> ImageScores:
        """The scores of a result, read once while they are among the last."""
        if result.key not in self.scores:
            if len(self.scores) >= self.limit:
                del self.scores[next(iter(self.scores))]
            self.scores[result.key] = result.scores()
        return self.scores[result.key]


def _lines(metrics: Sequence[Metric]) -> Iterator[RowMetric]:
    for metric in metrics:
        yield RowMetric(metric, PAPER if metric.honest else "")
        if metric.honest:
            yield RowMetric(replace(metric, path=metric.honest, honest=None), HONEST)


def _row(
    line: RowMetric,
    block: RowBlock,
    category: str | None,
    cells: Cells,
    closing: MethodsSummary | None,
) -> TableRow:
    ordered = tuple(cells.values())
    return TableRow(
        block.data, block.variant, category, line.metric, line.protocol, ordered, closing
    )


def _figure(seed_result: SeedResult, metric: Metric) -> float | None:
    """The figure in the unit in which it is shown."""
    value = metric.of(seed_result.figures)
    return None if value is None else value * _unit(metric)


def _unit(metric: Metric) -> float:
    return 100.0 if metric.percent else 1.0


def _cells(line: RowMetric, block: RowBlock, category: str, selection: Selection) -> Cells:
    """One category's cells, not yet ranked."""
    cells = {}
    for column, label in selection.labels.items():
        runs = selection.runs(block, category, column)
        cell = _cell(label, line.metric, runs)
        if not runs:
            cell = replace(cell, missing=selection.missing(block, category, column))
        cells[column] = cell
    return cells


def _cell(label: str, metric: Metric, runs: BySeed) -> TableCell:
    keys = tuple(key for seed in sorted(runs) for key in runs[seed].keys)
    values = [_figure(runs[seed], metric) for seed in sorted(runs)]
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return TableCell(label, missing="no figure", runs=keys)
    ends = [seed_result.interval(metric.path) for seed_result in runs.values()]
    whole = [pair for pair in ends if pair is not None]
    between = None
    if len(whole) == len(ends):
        unit = _unit(metric)
        low, high = (unit * statistics.fmean(side) for side in zip(*whole, strict=True))
        between = (low, high)
    return TableCell(label, statistics.fmean(known), _spread(known), len(known), between, runs=keys)


def _spread(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _mean_cells(
    line: RowMetric,
    block: RowBlock,
    needed: Sequence[str],
    by_category: Mapping[str, Cells],
    selection: Selection,
) -> Cells:
    """The mean over the categories, withheld where one lacks; its spread is that of whole seeds."""
    cells = {}
    for column, label in selection.labels.items():
        parts = {name: found[column] for name, found in by_category.items()}
        lacking = [n for n in needed if n not in parts or parts[n].value is None]
        keys = tuple(key for part in parts.values() for key in part.runs)
        if len(lacking) == len(needed):
            reasons = {part.missing for part in parts.values()}
            missing = reasons.pop() if len(reasons) == 1 else "no result"
            cells[column] = TableCell(label, missing=missing, runs=keys)
        elif lacking:
            missing = f"withheld: {name_some(lacking)} missing"
            cells[column] = TableCell(label, missing=missing, runs=keys)
        else:
            of_seeds = [selection.runs(block, name, column) for name in needed]
            seeds = sorted(set.intersection(*map(set, of_seeds)))
            means = [_mean_of_seed(line.metric, of_seeds, seed) for seed in seeds]
            values = [part.value for part in parts.values() if part.value is not None]
            cells[column] = TableCell(
                label,
                statistics.fmean(values),
                _spread(means),
                min(part.seeds for part in parts.values()),
                _mean_interval(list(parts.values())),
                runs=keys,
            )
    return cells


def _mean_of_seed(metric: Metric, of_seeds: Sequence[BySeed], seed: int) -> float:
    figures = [_figure(runs[seed], metric) for runs in of_seeds]
    return statistics.fmean(figure for figure in figures if figure is not None)


def _mean_interval(parts: Sequence[TableCell]) -> tuple[float, float] | None:
    """Categories share no part, so their errors are independent."""
    values = [part.value for part in parts if part.value is not None]
    return mean_interval(values, [part.interval for part in parts])


def _with_published(cells: Cells, figures: Mapping[str, float], selection: Selection) -> Cells:
    return {
        column: replace(cell, published=figures.get(selection.spec_labels[column]))
        for column, cell in cells.items()
    }


def _published(line: RowMetric, block: RowBlock, spec: TableSpec) -> dict[str, float]:
    """The published figures of a row by label; none at the threshold of the honest protocol."""
    if line.protocol == HONEST:
        return {}
    return {
        entry.label: entry.value
        for entry in spec.published
        if (entry.data, entry.variant, entry.path) == (block.data, block.variant, line.metric.path)
    }


def _known(cells: Cells) -> bool:
    return any(c.value is not None or c.published is not None for c in cells.values())


def _best(cells: Cells, metric: Metric) -> DetectorColumn | None:
    """The column with the best value, the first of equal ones; None without two to compare."""
    values = {column: cell.value for column, cell in cells.items() if cell.value is not None}
    if len(values) < 2:
        return None
    choose = min if metric.lower_is_better else max
    return choose(values, key=lambda column: values[column] or 0.0)


def _tests(
    line: RowMetric,
    block: RowBlock,
    category: str,
    cells: Cells,
    first: DetectorColumn | None,
    selection: Selection,
    scores: ScoreReader,
) -> Tests:
    """The best of the category, and the best of the mean, against every other detector."""
    tests: Tests = {}
    for best in {_best(cells, line.metric), first} - {None}:
        if best is None or cells[best].value is None:
            continue
        for column, cell in cells.items():
            if column == best or cell.value is None:
                continue
            pair = [list(selection.runs(block, category, c).values()) for c in (best, column)]
            tests[best, column] = compare(line.metric.path, pair[0], pair[1], scores)
    return tests


def _mean_tests(first: DetectorColumn | None, mean: Cells, tests: Mapping[str, Tests]) -> Tests:
    """The best mean against every other, from the tests of the categories; all or none."""
    found: Tests = {}
    for column, cell in mean.items():
        if first is None or column == first or cell.value is None:
            continue
        known = [test.get((first, column)) for test in tests.values()]
        whole = [test for test in known if test is not None]
        found[first, column] = mean_comparison(whole) if len(whole) == len(known) else None
    return found


def _ranked(cells: Cells, metric: Metric, tests: Tests) -> Cells:
    """Cells with ranks, of values as rounded, and with Holm's p of the test against the best."""
    best = _best(cells, metric)
    if best is None:
        return cells
    shown = {c: round(v.value, decimals(metric)) for c, v in cells.items() if v.value is not None}
    sign = 1 if metric.lower_is_better else -1
    ranks = {
        column: 1 + sum(sign * other < sign * value for other in shown.values())
        for column, value in shown.items()
    }
    against = {c: test for (b, c), test in tests.items() if b == best and test is not None}
    p = dict(zip(against, holm([test.p for test in against.values()]), strict=True))
    return {
        column: replace(cell, rank=ranks.get(column), p=p.get(column))
        for column, cell in cells.items()
    }


def _over_methods(cells: Cells, figures: Mapping[str, float]) -> MethodsSummary:
    values = [cell.value for cell in cells.values() if cell.value is not None]
    enough = len(values) > 1
    return MethodsSummary(
        statistics.fmean(values) if enough else None,
        statistics.pstdev(values) if enough else None,
        len(values),
        figures.get("mean"),
        figures.get("std"),
    )
