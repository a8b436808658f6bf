"""Each detector compared with the better of some reference detectors, on each data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from blemish.benchmark.paired_tests import (
    AGGREGATIONS,
    RECALL_AT_FPR,
    decisions,
    same_images,
    sample,
)
from blemish.benchmark.protocol import Metric
from blemish.benchmark.seed_result import SeedResult
from blemish.benchmark.selection import BySeed, DetectorColumn, Selection
from blemish.benchmark.store import ImageScores, Result
from blemish.benchmark.table_spec import RowBlock
from blemish.dataset.label_words import name_some
from blemish.errors import BlemishError
from blemish.metrics.difference import (
    PairedDifference,
    PairedScores,
    ResampledFigure,
    aurocs,
    mccs,
    paired_difference,
    recalls_at_fpr,
)
from blemish.metrics.image import FPR_5

DECIDED = ("decision.mcc", "oracle_f1.mcc")
COMPARED: dict[str, ResampledFigure] = {
    "image.auroc": aurocs,
    RECALL_AT_FPR: recalls_at_fpr(FPR_5),
    **dict.fromkeys(AGGREGATIONS, aurocs),
    **dict.fromkeys(DECIDED, mccs),
}


@dataclass(frozen=True)
class ReferenceComparison:
    """A detector's figure less the better reference's, over the `seeds` that all have.

    `absent` are references without a result; `missing` says why there is no difference.
    """

    data: str
    variant: str
    category: str
    detector: str
    reference: str = ""
    value: float | None = None
    reference_value: float | None = None
    seeds: tuple[int, ...] = ()
    difference: PairedDifference | None = None
    absent: tuple[str, ...] = ()
    missing: str = ""

    @property
    def verdict(self) -> str:
        """What the interval says, in words."""
        if self.difference is None:
            return self.missing
        if not self.difference.separable:
            return "not separable"
        return "separably above" if self.difference.value > 0 else "separably below"


def columns_named(selection: Selection, names: Sequence[str]) -> list[DetectorColumn]:
    """The columns of those detectors or labels. Raises BlemishError for one without results."""
    found: list[DetectorColumn] = []
    for name in names:
        known = {
            column
            for column in selection.labels
            if name in (column.detector, selection.labels[column], selection.spec_labels[column])
        }
        if not known:
            there = name_some(list(selection.labels.values()), 50)
            raise BlemishError(f"there are no results of {name}; there are some of: {there}")
        found += [column for column in selection.labels if column in known]
    return list(dict.fromkeys(found))


def compare_with_references(
    selection: Selection, references: Sequence[DetectorColumn], path: str, *, draws: int = 2000
) -> Iterator[ReferenceComparison]:
    """Compare each detector that is no reference, on each data set and category.

    The better reference has the higher mean on the same test set. Raises BlemishError for a figure
    that image scores do not determine.
    """
    if path not in COMPARED:
        raise BlemishError(f"{path} cannot be compared by parts; these can: {', '.join(COMPARED)}")
    for block in selection.blocks:
        for category in selection.categories[block]:
            for column in selection.labels:
                if column not in references:
                    yield _one(selection, block, category, column, references, path, draws)


def _one(
    selection: Selection,
    block: RowBlock,
    category: str,
    column: DetectorColumn,
    references: Sequence[DetectorColumn],
    path: str,
    draws: int,
) -> ReferenceComparison:
    runs = {one: selection.runs(block, category, one) for one in (column, *references)}
    there = [one for one in references if runs[one]]
    seeds = sorted(set.intersection(*(set(runs[one]) for one in (column, *there))))
    values = {one: _mean(runs[one], seeds, path) for one in (column, *there)}
    known = {one: value for one in there if (value := values[one]) is not None}
    names = (block.data, block.variant, category, selection.labels[column])
    absent = tuple(selection.labels[one] for one in references if one not in there)
    if not runs[column]:
        return ReferenceComparison(
            *names, absent=absent, missing=selection.missing(block, category, column)
        )
    if not there or not seeds:
        return ReferenceComparison(
            *names, absent=absent, missing="no seed in common with a reference"
        )
    if not known or values[column] is None:
        return ReferenceComparison(*names, absent=absent, missing="no figure")
    better = max(known, key=lambda one: known[one])
    pairs = _pairs(runs[column], runs[better], seeds, path)
    unpaired = "other test images"
    if path in DECIDED:
        unpaired += ", or parts that lack a view and were not decided on"
    difference = None if pairs is None else paired_difference(COMPARED[path], pairs, draws=draws)
    return ReferenceComparison(
        *names,
        *(selection.labels[better], values[column], known[better]),
        *(tuple(seeds), difference, absent),
        "" if difference else unpaired if pairs is None else "no figure",
    )


def _mean(runs: BySeed, seeds: Sequence[int], path: str) -> float | None:
    values = [Metric(path, path).of(runs[seed].figures) for seed in seeds]
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _pairs(
    first: BySeed, second: BySeed, seeds: Sequence[int], path: str
) -> list[PairedScores] | None:
    """Paired scores of each seed and fold; None where the test images differ.

    For decisions, all folds of a seed are one pair: their counts are summed.
    """
    pairs: list[PairedScores] = []
    for seed in seeds:
        of_folds = _of_folds(first[seed], second[seed], path)
        if of_folds is None:
            return None
        pairs += [_joined(of_folds)] if path in DECIDED else of_folds
    return pairs


def _of_folds(first: SeedResult, second: SeedResult, path: str) -> list[PairedScores] | None:
    pairs = []
    for ours, theirs in zip(first.folds, second.folds, strict=True):
        scores = ours.scores(), theirs.scores()
        if not same_images(*scores):
            return None
        pair = _decided((ours, theirs), scores, path) if path in DECIDED else _pair(*scores, path)
        if pair is None:
            return None
        pairs.append(pair)
    return pairs


def _joined(pairs: Sequence[PairedScores]) -> PairedScores:
    """Several pairs without common parts as one pair."""
    columns = zip(*((p.first, p.second, p.labels, p.parts) for p in pairs), strict=True)
    return PairedScores(
        *(np.concatenate([np.asarray(one) for one in column]) for column in columns)
    )


def _decided(
    results: tuple[Result, Result], scores: tuple[ImageScores, ImageScores], path: str
) -> PairedScores | None:
    """1 for each part that is rejected, 0 for one that passes."""
    group = path.partition(".")[0]
    ours, theirs = (decisions(group, r, s) for r, s in zip(results, scores, strict=True))
    if ours is None or theirs is None:
        return None
    parts = sorted(set(scores[0].part.tolist()))
    return PairedScores(
        ours.astype(float), theirs.astype(float), sample(scores[0], "max")[1], parts
    )


def _pair(ours: ImageScores, theirs: ImageScores, path: str) -> PairedScores:
    if path not in AGGREGATIONS:
        return PairedScores(ours.score, theirs.score, ours.label, ours.part)
    parts = sorted(set(ours.part.tolist()))
    scores, labels = sample(ours, AGGREGATIONS[path])
    return PairedScores(scores, sample(theirs, AGGREGATIONS[path])[0], labels, parts)
