"""Selects the results of a table: one code version; one per data, category, detector, seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from blemish.benchmark.code_choice import choose_code
from blemish.benchmark.protocol import pairs, settings_by_fold
from blemish.benchmark.runs import Pairs, Run
from blemish.benchmark.seed_result import SeedResult
from blemish.benchmark.store import Result
from blemish.benchmark.table_spec import RowBlock, TableSpec
from blemish.dataset.splits import defect_free_settings
from blemish.util.durations import in_words

BySeed = dict[int, SeedResult]


@dataclass(frozen=True)
class DetectorColumn:
    """A column of the table: a detector with its settings and its input size."""

    detector: str
    preset: str | None = None
    settings: Pairs = ()
    size: int | None = None
    resize: str | None = None
    crop: int | None = None
    budget: float | None = None


@dataclass(frozen=True)
class RowKey:
    """What the results of one row have in common: data, split and category."""

    data: str
    variant: str
    split: str | None
    split_settings: Pairs
    category: str


CellKey = tuple[RowKey, DetectorColumn]


@dataclass(frozen=True)
class Selection:
    """The results of a table by row and column, why runs failed, and what was left out.

    `incomplete` says of which folds a cell still lacks runs. `labels` are the names of the columns,
    in their order; `spec_labels` are those of the table spec, which two columns may share.
    `other_code` names the code of the results where it is not the one that is installed.
    """

    found: dict[CellKey, BySeed]
    failed: dict[CellKey, str]
    incomplete: dict[CellKey, str]
    labels: dict[DetectorColumn, str]
    spec_labels: dict[DetectorColumn, str]
    blocks: tuple[RowBlock, ...]
    categories: dict[RowBlock, list[str]]
    notes: tuple[str, ...]
    other_code: str = ""

    def runs(self, block: RowBlock, category: str, column: DetectorColumn) -> BySeed:
        """The results of a cell by seed, perhaps none."""
        return self.found.get((row_key(block, category), column), {})

    def missing(self, block: RowBlock, category: str, column: DetectorColumn) -> str:
        """Why a cell has no results: "failed", "2 of 5 folds", "no result"."""
        cell = row_key(block, category), column
        return "failed" if cell in self.failed else self.incomplete.get(cell, "no result")


def row_key(block: RowBlock, category: str) -> RowKey:
    """The row key of a block's category."""
    return RowKey(block.data, block.variant, block.split, block.split_settings, category)


def column_of(run: Run) -> DetectorColumn:
    """The column of a run."""
    seen = (run.size, run.resize, run.crop)
    return DetectorColumn(run.detector, run.preset, run.settings, *seen, run.budget)


def select(results: Sequence[Result], spec: TableSpec, code: str | None = None) -> Selection:
    """Choose the results of a table: those of the installed code, or of the one that `code` begins.

    Of several results of one experiment the latest counts. Raises DatasetError for a `code` that
    no result, or more than one code's results, begin with.
    """
    choice = choose_code(results, code)
    notes = list(choice.notes)
    done: dict[CellKey, dict[int, Result]] = {}
    failed: dict[CellKey, str] = {}
    images: dict[RowKey, set[str]] = defaultdict(set)
    repeated = 0
    for result in sorted(choice.results, key=lambda result: result.finished):
        run = result.run
        key = RowKey(run.data, run.variant, run.split, run.split_settings, run.category)
        column = column_of(run)
        images[key].add(run.fingerprint)
        if result.status == "failed":
            failed[key, column] = result.reason or "no reason was recorded"
            continue
        seeds = done.setdefault((key, column), {})
        repeated += run.seed in seeds
        seeds[run.seed] = result
    if repeated:
        notes.append(f"{repeated} earlier results of experiments that were run again are left out.")
    for key, prints in images.items():
        if len(prints) > 1:
            notes.append(f"The images of {key.data} {key.category} changed between its runs.")
    blocks = _blocks(images, spec)
    columns = {column for _, column in (*done, *failed)}
    labels, spec_labels = _labelled(columns, spec)
    categories = {block: _categories(block, images) for block in blocks}
    runs = _RunIndex(done, failed)
    found: dict[CellKey, BySeed] = {}
    why: dict[CellKey, str] = {}
    incomplete: dict[CellKey, str] = {}
    for block in blocks:
        for category, column in product(categories[block], columns):
            cell = row_key(block, category), column
            seed_results, reason, lacking = runs.of(block, category, column)
            found |= {cell: seed_results} if seed_results else {}
            why |= {cell: reason} if reason else {}
            incomplete |= {cell: lacking} if lacking else {}
    return Selection(
        *(found, why, incomplete, labels, spec_labels, blocks, categories, tuple(notes)),
        choice.other_code,
    )


@dataclass(frozen=True, eq=False)
class _RunIndex:
    """The finished runs, and why others failed, by cell."""

    done: Mapping[CellKey, Mapping[int, Result]]
    failed: Mapping[CellKey, str]

    def of(self, block: RowBlock, category: str, column: DetectorColumn) -> tuple[BySeed, str, str]:
        """A cell's results with all folds, why one of its runs failed, how many folds there are."""
        for keys in _row_keys(block, category):
            folds = [self.done.get((key, column), {}) for key in keys]
            reasons = [self.failed[p, column] for p in keys if (p, column) in self.failed]
            if reasons or any(folds):
                whole = sorted(set.intersection(*map(set, folds)))
                seed_results = {
                    seed: SeedResult(tuple(fold[seed] for fold in folds)) for seed in whole
                }
                lacking = f"{sum(map(bool, folds))} of {len(folds)} folds"
                return (
                    seed_results,
                    "".join(reasons[:1]),
                    "" if seed_results or reasons else lacking,
                )
        return {}, "", ""


def _row_keys(block: RowBlock, category: str) -> Iterator[list[RowKey]]:
    """The row keys of a cell, one per fold: its own, then those shared between splits."""
    own = row_key(block, category)
    folds = settings_by_fold(dict(block.split_settings), block.folds)
    yield [replace(own, split_settings=pairs(settings)) for settings in folds]
    shared = [defect_free_settings(block.split, settings) for settings in folds]
    known = [settings for settings in shared if settings is not None]
    if known:
        yield [replace(own, variant="", split_settings=pairs(settings)) for settings in known]


def _blocks(keys: Collection[RowKey], spec: TableSpec) -> tuple[RowBlock, ...]:
    """The blocks of the spec, then those of results that the spec does not name."""
    known = {key for block in spec.blocks for keys in _row_keys(block, "") for key in keys}
    others = {RowKey(p.data, p.variant, p.split, p.split_settings, "") for p in keys} - known
    found = (
        RowBlock(key.data, key.variant, key.split, key.split_settings)
        for key in sorted(others, key=repr)
    )
    return (*spec.blocks, *found)


def _categories(block: RowBlock, keys: Collection[RowKey]) -> list[str]:
    """The categories of which there is a result, the block's own order first."""
    own = {key for group in _row_keys(block, "") for key in group}
    known = {key.category for key in keys if replace(key, category="") in own}
    return [c for c in block.categories if c in known] + sorted(known - {*block.categories})


def _labelled(
    columns: set[DetectorColumn], spec: TableSpec
) -> tuple[dict[DetectorColumn, str], dict[DetectorColumn, str]]:
    """The columns in the spec's order, then by name, with settings where a label occurs twice.

    A column of the spec without results is kept where figures of it were published.
    """
    spec_labels = {column: _spec_label(column, spec) for column in columns}
    published = {entry.label for entry in spec.published}
    for one in spec.columns:
        if one.label in published and one.label not in spec_labels.values():
            never = DetectorColumn(one.detector, one.preset, one.settings or (), budget=one.budget)
            spec_labels[never] = one.label
    order = [one.label for one in spec.columns]
    names = list(spec_labels.values())

    def key(column: DetectorColumn) -> tuple[int, str, str]:
        label = spec_labels[column]
        return order.index(label) if label in order else len(order), label, repr(column)

    labels = {}
    for column in sorted(spec_labels, key=key):
        label = spec_labels[column]
        details = ", ".join(_details(column))
        labels[column] = f"{label} ({details})" if names.count(label) > 1 else label
    return labels, spec_labels


def _spec_label(column: DetectorColumn, spec: TableSpec) -> str:
    for one in spec.columns:
        asked = (one.detector, one.preset, one.budget)
        if asked != (column.detector, column.preset, column.budget):
            continue
        if one.settings is None or one.settings == column.settings:
            return one.label
    return column.detector


def _details(column: DetectorColumn) -> Iterator[str]:
    if column.preset is not None:
        yield f"preset {column.preset}"
    yield from (f"{key}={value}" for key, value in column.settings)
    yield "usual size" if column.size is None else f"size {column.size}"
    if column.resize is not None:
        yield column.resize
    if column.crop is not None:
        yield f"centre crop {column.crop}"
    if column.budget is not None:
        yield f"budget {in_words(column.budget)}"
