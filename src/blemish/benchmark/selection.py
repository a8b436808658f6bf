"""Which results stand in a table: of one code version, one per data, category, detector, seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from blemish.benchmark.code_choice import choose_code
from blemish.benchmark.outline import Block, Outline
from blemish.benchmark.protocol import pairs, settings_by_fold
from blemish.benchmark.runs import Pairs, Run
from blemish.benchmark.store import Result
from blemish.benchmark.trial import Trial
from blemish.dataset.splits import defect_free_settings
from blemish.util.durations import in_words

BySeed = dict[int, Trial]


@dataclass(frozen=True)
class Column:
    """A detector as it was set and fed; a table has one column for each."""

    detector: str
    preset: str | None = None
    settings: Pairs = ()
    size: int | None = None
    resize: str | None = None
    crop: int | None = None
    budget: float | None = None


@dataclass(frozen=True)
class Place:
    """What the results of one row have in common."""

    data: str
    variant: str
    split: str | None
    split_settings: Pairs
    category: str


Cell = tuple[Place, Column]


@dataclass(frozen=True)
class Selection:
    """The results of a table by place and column, why runs failed, and what was left out.

    `incomplete` says of which folds a cell still lacks runs. `labels` are the names of the columns,
    in their order; `entrants` are the labels of the outline, which two columns may share.
    `other_code` names the code of the results where it is not the one that is installed.
    """

    found: dict[Cell, BySeed]
    failed: dict[Cell, str]
    incomplete: dict[Cell, str]
    labels: dict[Column, str]
    entrants: dict[Column, str]
    blocks: tuple[Block, ...]
    categories: dict[Block, list[str]]
    notes: tuple[str, ...]
    other_code: str = ""

    def runs(self, block: Block, category: str, column: Column) -> BySeed:
        """The results of a cell by seed, perhaps none."""
        return self.found.get((place_of(block, category), column), {})

    def missing(self, block: Block, category: str, column: Column) -> str:
        """What is to be said of a cell without results: "failed", "2 of 5 folds", "no result"."""
        cell = place_of(block, category), column
        return "failed" if cell in self.failed else self.incomplete.get(cell, "no result")


def place_of(block: Block, category: str) -> Place:
    """The place of a block's category."""
    return Place(block.data, block.variant, block.split, block.split_settings, category)


def column_of(run: Run) -> Column:
    """The column of a run."""
    seen = (run.size, run.resize, run.crop)
    return Column(run.detector, run.preset, run.settings, *seen, run.budget)


def select(results: Sequence[Result], outline: Outline, code: str | None = None) -> Selection:
    """Choose the results of a table: those of the installed code, or of the one that `code` begins.

    Of several results of one experiment the latest counts. Raises DatasetError for a `code` that
    no result, or more than one code's results, begin with.
    """
    choice = choose_code(results, code)
    notes = list(choice.notes)
    done: dict[Cell, dict[int, Result]] = {}
    failed: dict[Cell, str] = {}
    images: dict[Place, set[str]] = defaultdict(set)
    repeated = 0
    for result in sorted(choice.results, key=lambda result: result.finished):
        run = result.run
        place = Place(run.data, run.variant, run.split, run.split_settings, run.category)
        column = column_of(run)
        images[place].add(run.fingerprint)
        if result.status == "failed":
            failed[place, column] = result.reason or "no reason was recorded"
            continue
        seeds = done.setdefault((place, column), {})
        repeated += run.seed in seeds
        seeds[run.seed] = result
    if repeated:
        notes.append(f"{repeated} earlier results of experiments that were run again are left out.")
    for place, prints in images.items():
        if len(prints) > 1:
            notes.append(f"The images of {place.data} {place.category} changed between its runs.")
    blocks = _blocks(images, outline)
    columns = {column for _, column in (*done, *failed)}
    labels, entrants = _labelled(columns, outline)
    categories = {block: _categories(block, images) for block in blocks}
    runs = _Runs(done, failed)
    found: dict[Cell, BySeed] = {}
    why: dict[Cell, str] = {}
    incomplete: dict[Cell, str] = {}
    for block in blocks:
        for category, column in product(categories[block], columns):
            cell = place_of(block, category), column
            trials, reason, lacking = runs.of(block, category, column)
            found |= {cell: trials} if trials else {}
            why |= {cell: reason} if reason else {}
            incomplete |= {cell: lacking} if lacking else {}
    return Selection(
        *(found, why, incomplete, labels, entrants, blocks, categories, tuple(notes)),
        choice.other_code,
    )


@dataclass(frozen=True, eq=False)
class _Runs:
    """The runs that were made, and why others failed, by where they lie."""

    done: Mapping[Cell, Mapping[int, Result]]
    failed: Mapping[Cell, str]

    def of(self, block: Block, category: str, column: Column) -> tuple[BySeed, str, str]:
        """The whole trials of a cell, why one of its runs failed, and how many folds there are."""
        for places in _places(block, category):
            folds = [self.done.get((place, column), {}) for place in places]
            reasons = [self.failed[p, column] for p in places if (p, column) in self.failed]
            if reasons or any(folds):
                whole = sorted(set.intersection(*map(set, folds)))
                trials = {seed: Trial(tuple(fold[seed] for fold in folds)) for seed in whole}
                lacking = f"{sum(map(bool, folds))} of {len(folds)} folds"
                return trials, "".join(reasons[:1]), "" if trials or reasons else lacking
        return {}, "", ""


def _places(block: Block, category: str) -> Iterator[list[Place]]:
    """Where the runs of a cell lie, one place for each fold: its own, and those that are shared."""
    own = place_of(block, category)
    folds = settings_by_fold(dict(block.split_settings), block.folds)
    yield [replace(own, split_settings=pairs(settings)) for settings in folds]
    shared = [defect_free_settings(block.split, settings) for settings in folds]
    known = [settings for settings in shared if settings is not None]
    if known:
        yield [replace(own, variant="", split_settings=pairs(settings)) for settings in known]


def _blocks(places: Collection[Place], outline: Outline) -> tuple[Block, ...]:
    """The outline's blocks, then those of results that the outline does not name."""
    known = {place for block in outline.blocks for places in _places(block, "") for place in places}
    others = {Place(p.data, p.variant, p.split, p.split_settings, "") for p in places} - known
    found = (
        Block(place.data, place.variant, place.split, place.split_settings)
        for place in sorted(others, key=repr)
    )
    return (*outline.blocks, *found)


def _categories(block: Block, places: Collection[Place]) -> list[str]:
    """The categories of which there is a result, the block's own order first."""
    own = {place for group in _places(block, "") for place in group}
    known = {place.category for place in places if replace(place, category="") in own}
    return [c for c in block.categories if c in known] + sorted(known - {*block.categories})


def _labelled(
    columns: set[Column], outline: Outline
) -> tuple[dict[Column, str], dict[Column, str]]:
    """The columns in the outline's order, then by name; more is said where a label occurs twice.

    An entrant without results has a column where figures of it were published.
    """
    entrants = {column: _entrant(column, outline) for column in columns}
    published = {entry.label for entry in outline.published}
    for one in outline.entrants:
        if one.label in published and one.label not in entrants.values():
            never = Column(one.detector, one.preset, one.settings or (), budget=one.budget)
            entrants[never] = one.label
    order = [one.label for one in outline.entrants]
    names = list(entrants.values())

    def place(column: Column) -> tuple[int, str, str]:
        label = entrants[column]
        return order.index(label) if label in order else len(order), label, repr(column)

    labels = {}
    for column in sorted(entrants, key=place):
        label = entrants[column]
        details = ", ".join(_details(column))
        labels[column] = f"{label} ({details})" if names.count(label) > 1 else label
    return labels, entrants


def _entrant(column: Column, outline: Outline) -> str:
    for one in outline.entrants:
        asked = (one.detector, one.preset, one.budget)
        if asked != (column.detector, column.preset, column.budget):
            continue
        if one.settings is None or one.settings == column.settings:
            return one.label
    return column.detector


def _details(column: Column) -> Iterator[str]:
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
