"""Paired tests of two detectors on one test set, from the image scores that their runs kept."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blemish.benchmark.seed_result import SeedResult
from blemish.benchmark.store import COUNTS, ImageScores, Result
from blemish.metrics.image import FPR_5, average_precision, recall_at_fpr
from blemish.metrics.paired_test import (
    MetricFunction,
    PairedTest,
    delong,
    mean_comparison,
    paired_bootstrap,
    paired_bootstrap_of_decisions,
)
from blemish.metrics.sample import Aggregation, sample_scores

ScoreReader = Callable[[Result], ImageScores]
Floats = NDArray[np.float64]
DRAWS = 1000  # the error of a difference is then known to 2 %
AGGREGATIONS: dict[str, Aggregation] = {"sample.auroc": "max", "sample.auroc_mean": "mean"}
RATES = ("mcc", "recall", "precision", "fpr", "f1")
AT_THRESHOLD = {f"{group}.{rate}" for group in ("decision", "oracle_f1") for rate in RATES}
RECALL_AT_FPR = "image.recall_at_fpr_5"
BOOTSTRAPPED: dict[str, MetricFunction] = {
    "image.average_precision": average_precision,
    RECALL_AT_FPR: partial(recall_at_fpr, fpr=FPR_5),
}
TESTED = {"image.auroc", *BOOTSTRAPPED, *AGGREGATIONS, *AT_THRESHOLD}


def paired_test(
    path: str, first: Sequence[SeedResult], second: Sequence[SeedResult], scores: ScoreReader
) -> PairedTest | None:
    """Test the difference of the figure at `path` of two detectors, one result per seed each.

    None where image scores do not determine the figure (TESTED lists those that they do), where the
    test images differ, or where there are too few parts.
    """
    if (
        path not in TESTED
        or len({len(seed_result.folds) for seed_result in (*first, *second)}) != 1
    ):
        return None
    folds = range(len(first[0].folds))
    pairs = [
        [[seed_result.folds[fold] for seed_result in side] for side in (first, second)]
        for fold in folds
    ]
    opened = [[[scores(result) for result in side] for side in pair] for pair in pairs]
    for pair in opened:
        if not all(same_images(pair[0][0], other) for side in pair for other in side):
            return None
    if path in AT_THRESHOLD:
        return _test_decisions(path, pairs, opened)
    found = [_test_scores(path, *pair) for pair in opened]
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return None
    return known[0] if len(known) == 1 else mean_comparison(known)


def _test_scores(
    path: str, first: Sequence[ImageScores], second: Sequence[ImageScores]
) -> PairedTest | None:
    """From the scores of one fold, for each seed."""
    one = first[0]
    if path in AGGREGATIONS:
        by_part = [[sample(s, AGGREGATIONS[path]) for s in side] for side in (first, second)]
        ours, theirs = (np.stack([values for values, _ in rows]) for rows in by_part)
        return delong(ours, theirs, by_part[0][0][1])
    ours, theirs = (np.stack([scores.score for scores in side]) for side in (first, second))
    if path == "image.auroc":
        return delong(ours, theirs, one.label, one.part)
    return paired_bootstrap(BOOTSTRAPPED[path], ours, theirs, one.label, one.part, draws=DRAWS)


def sample(scores: ImageScores, aggregation: Aggregation) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores and labels of the parts, in sorted order."""
    samples = sample_scores(scores.score, scores.part, scores.label, aggregation)
    return samples.scores, samples.labels


def _test_decisions(
    path: str, pairs: Sequence[Sequence[Sequence[Result]]], opened: Sequence[Sequence[Any]]
) -> PairedTest | None:
    """From the parts of all folds rejected at each run's threshold, fixed while resampling.

    `pairs` and `opened` (their scores) are nested by fold, detector and seed.
    """
    group, _, rate = path.partition(".")
    sides: list[list[NDArray[np.bool_]]] = [[], []]
    labels: list[NDArray[np.bool_]] = []
    for pair, scores in zip(pairs, opened, strict=True):
        for side, results, of_seeds in zip(sides, pair, scores, strict=True):
            found = [decisions(group, *one) for one in zip(results, of_seeds, strict=True)]
            known = [rejected for rejected in found if rejected is not None]
            if len(known) < len(found):
                return None
            side.append(np.stack(known))
        labels.append(sample(scores[0][0], "max")[1])
    ours, theirs = (np.concatenate(side, axis=1) for side in sides)
    of_rate = operator.attrgetter(rate)
    return paired_bootstrap_of_decisions(of_rate, ours, theirs, np.concatenate(labels), draws=DRAWS)


def decisions(group: str, result: Result, scores: ImageScores) -> NDArray[np.bool_] | None:
    """Which parts, in sorted order, the run rejects at the threshold of a group of figures.

    None where parts that lack a view got no decision.
    """
    figures = (result.figures or {}).get(group) or {}
    values, _ = sample(scores, "max")
    counted = sum(figures.get(count, 0) for count in COUNTS)
    if counted != len(values) or "threshold" not in figures:
        return None
    threshold = figures["threshold"]
    return np.asarray(values > (-math.inf if threshold is None else threshold), np.bool_)


def same_images(one: ImageScores, other: ImageScores) -> bool:
    """Whether two runs tested the same images, of the same parts and with the same labels."""
    return (
        np.array_equal(one.image, other.image)
        and np.array_equal(one.part, other.part)
        and np.array_equal(one.label, other.label)
    )
