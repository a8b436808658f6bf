"""The rows of one data set: each category by each metric, then the mean over the categories."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from blemish.benchmark.paired_tests import ScoreReader, paired_test
from blemish.benchmark.protocol import Metric
from blemish.benchmark.result_table import MethodsSummary, TableCell, TableRow, decimals
from blemish.benchmark.seed_result import SeedResult, mean_interval
from blemish.benchmark.selection import BySeed, DetectorColumn, Selection
from blemish.benchmark.store import ImageScores, Result
from blemish.benchmark.table_spec import RowBlock, TableSpec
from blemish.dataset.label_words import name_some
from blemish.metrics.paired_test import PairedTest, holm, mean_comparison

Cells = dict[DetectorColumn, TableCell]
Tests = dict[tuple[DetectorColumn, DetectorColumn], PairedTest | None]
PAPER, HONEST = "paper", "honest"


@dataclass(frozen=True)
class RowMetric:
    """The metric of a row; `protocol` says which threshold it is at: PAPER, HONEST or ""."""

    metric: Metric
    protocol: str


def block_rows(block: RowBlock, selection: Selection, spec: TableSpec) -> list[TableRow]:
    """The rows of a block by category, then the means; none for a metric without any figure."""
    cache = _ScoreCache()
    rows = [
        row
        for row_metric in _row_metrics(spec.metrics)
        for row in _metric_rows(row_metric, block, selection, spec, cache.open)
    ]
    order: list[str | None] = [*selection.categories[block], *block.categories, None]
    return sorted(rows, key=lambda row: order.index(row.category))


def _metric_rows(
    row_metric: RowMetric,
    block: RowBlock,
    selection: Selection,
    spec: TableSpec,
    scores: ScoreReader,
) -> Iterator[TableRow]:
    names = selection.categories[block]
    needed = list(dict.fromkeys([*block.categories, *names]))
    alone = len(needed) == 1
    if alone:  # it is no mean, even where nothing was made of it
        names = needed
    by_category = {name: _cells(row_metric, block, name, selection) for name in names}
    mean = (
        by_category[names[0]]
        if alone
        else _mean_cells(row_metric, block, needed, by_category, selection)
    )
    figures = _published(row_metric, block, spec)
    mean = _with_published(mean, figures, selection)
    if not any(_known(cells) for cells in [*by_category.values(), mean]):
        return
    first = _best(mean, row_metric.metric)
    tests = {
        name: _tests(row_metric, block, name, cells, first, selection, scores)
        for name, cells in by_category.items()
    }
    if not alone and (spec.each_category or not spec.mean):
        for name, cells in by_category.items():
            yield _row(
                row_metric, block, name, _ranked(cells, row_metric.metric, tests[name]), None
            )
    if alone or spec.mean or not names:
        against = tests[names[0]] if alone else _mean_tests(first, mean, tests)
        ranked = _ranked(mean, row_metric.metric, against)
        closing = _over_methods(ranked, figures) if spec.over_methods else None
        yield _row(row_metric, block, names[0] if alone else None, ranked, closing)


class _ScoreCache:
    """The scores of the results that were read last."""

    def __init__(self, limit: int = 64) -> None:
        self.limit = limit
        self.scores: dict[str, ImageScores] = {}

    def open(self, result: Result) -> ImageScores:
        """The scores of a result, read from disk unless they are in the cache."""
        if result.key not in self.scores:
            if len(self.scores) >= self.limit:
                del self.scores[next(iter(self.scores))]
            self.scores[result.key] = result.scores()
        return self.scores[result.key]


def _row_metrics(metrics: Sequence[Metric]) -> Iterator[RowMetric]:
    for metric in metrics:
        yield RowMetric(metric, PAPER if metric.honest else "")
        if metric.honest:
            yield RowMetric(replace(metric, path=metric.honest, honest=None), HONEST)


def _row(
    row_metric: RowMetric,
    block: RowBlock,
    category: str | None,
    cells: Cells,
    closing: MethodsSummary | None,
) -> TableRow:
    ordered = tuple(cells.values())
    return TableRow(
        block.data,
        block.variant,
        category,
        row_metric.metric,
        row_metric.protocol,
        ordered,
        closing,
    )


def _figure(seed_result: SeedResult, metric: Metric) -> float | None:
    """The figure in the unit in which it is shown."""
    value = metric.of(seed_result.figures)
    return None if value is None else value * _unit(metric)


def _unit(metric: Metric) -> float:
    return 100.0 if metric.percent else 1.0


def _cells(row_metric: RowMetric, block: RowBlock, category: str, selection: Selection) -> Cells:
    """One category's cells, not yet ranked."""
    cells = {}
    for column, label in selection.labels.items():
        runs = selection.runs(block, category, column)
        cell = _cell(label, row_metric.metric, runs)
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
    row_metric: RowMetric,
    block: RowBlock,
    needed: Sequence[str],
    by_category: Mapping[str, Cells],
    selection: Selection,
) -> Cells:
    """The mean over categories, withheld where one is missing.

    Its spread is the standard deviation, over seeds, of the mean over categories.
    """
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
            means = [_mean_of_seed(row_metric.metric, of_seeds, seed) for seed in seeds]
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
    """The interval of the mean: categories share no part, so their errors are independent."""
    values = [part.value for part in parts if part.value is not None]
    return mean_interval(values, [part.interval for part in parts])


def _with_published(cells: Cells, figures: Mapping[str, float], selection: Selection) -> Cells:
    return {
        column: replace(cell, published=figures.get(selection.spec_labels[column]))
        for column, cell in cells.items()
    }


def _published(row_metric: RowMetric, block: RowBlock, spec: TableSpec) -> dict[str, float]:
    """The published figures of a row by label; none at the threshold of the honest protocol."""
    if row_metric.protocol == HONEST:
        return {}
    return {
        entry.label: entry.value
        for entry in spec.published
        if (entry.data, entry.variant, entry.path)
        == (block.data, block.variant, row_metric.metric.path)
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
    row_metric: RowMetric,
    block: RowBlock,
    category: str,
    cells: Cells,
    first: DetectorColumn | None,
    selection: Selection,
    scores: ScoreReader,
) -> Tests:
    """Paired tests of the category's best detector, and of the mean's best, against the others."""
    tests: Tests = {}
    for best in {_best(cells, row_metric.metric), first} - {None}:
        if best is None or cells[best].value is None:
            continue
        for column, cell in cells.items():
            if column == best or cell.value is None:
                continue
            pair = [list(selection.runs(block, category, c).values()) for c in (best, column)]
            tests[best, column] = paired_test(row_metric.metric.path, pair[0], pair[1], scores)
    return tests


def _mean_tests(first: DetectorColumn | None, mean: Cells, tests: Mapping[str, Tests]) -> Tests:
    """Tests of the best mean against the others; None where a category has no test."""
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
