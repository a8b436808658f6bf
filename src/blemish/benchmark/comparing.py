"""Paired tests of two detectors on one test set, from the scores that their runs kept."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from blemish.benchmark.store import Result, Scores
from blemish.metrics.image import average_precision
from blemish.metrics.paired import (
    Comparison,
    delong,
    paired_bootstrap,
    paired_bootstrap_of_decisions,
)
from blemish.metrics.sample import Aggregation, sample_scores

Open = Callable[[Result], Scores]
Floats = NDArray[np.float64]
DRAWS = 1000  # the error of a difference is then known to 2 %
AGGREGATIONS: dict[str, Aggregation] = {"sample.auroc": "max", "sample.auroc_mean": "mean"}
RATES = ("mcc", "recall", "precision", "fpr", "f1")
AT_THRESHOLD = {f"{group}.{rate}" for group in ("decision", "oracle_f1") for rate in RATES}
TESTED = {"image.auroc", "image.average_precision", *AGGREGATIONS, *AT_THRESHOLD}


def compare(
    path: str, first: Sequence[Result], second: Sequence[Result], scores: Open
) -> Comparison | None:
    """Compare the figure at `path` of two detectors, each with one result per seed.

    None where the scores of images cannot tell it (TESTED names what they can), where the test
    images of the results differ, or where there are too few parts.
    """
    if path not in TESTED:
        return None
    pair = [[scores(result) for result in results] for results in (first, second)]
    one = pair[0][0]
    if not all(same_images(one, other) for opened in pair for other in opened):
        return None
    if path in AT_THRESHOLD:
        return _compare_decisions(path, (first, second), pair)
    if path in AGGREGATIONS:
        by_part = [[sample(scores, AGGREGATIONS[path]) for scores in opened] for opened in pair]
        ours, theirs = (np.stack([values for values, _ in rows]) for rows in by_part)
        return delong(ours, theirs, by_part[0][0][1])
    ours, theirs = (np.stack([scores.score for scores in opened]) for opened in pair)
    if path == "image.auroc":
        return delong(ours, theirs, one.label, one.part)
    return paired_bootstrap(average_precision, ours, theirs, one.label, one.part, draws=DRAWS)


def interval(path: str, result: Result) -> tuple[float, float] | None:
    """The 95 % interval that the evaluation wrote beside the figure at `path`, if it did."""
    group, _, name = path.partition(".")
    written = ((result.figures or {}).get(group) or {}).get(f"{name}_interval")
    return None if written is None else (float(written[0]), float(written[1]))


def sample(scores: Scores, aggregation: Aggregation) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores and labels of the parts, in sorted order."""
    samples = sample_scores(scores.score, scores.part, scores.label, aggregation)
    return samples.scores, samples.labels


def _compare_decisions(
    path: str, pair: Sequence[Sequence[Result]], opened: Sequence[Sequence[Scores]]
) -> Comparison | None:
    """By the parts rejected at each run's own threshold, which the draws leave as it is."""
    group, _, rate = path.partition(".")
    rejected: list[list[NDArray[np.bool_]]] = [[], []]
    labels = np.empty(0, bool)
    for i, results in enumerate(pair):
        for result, scores in zip(results, opened[i], strict=True):
            figures = (result.figures or {}).get(group) or {}
            values, labels = sample(scores, "max")
            if sum(figures.get(count, 0) for count in ("tn", "fp", "fn", "tp")) != len(values):
                return None  # parts that lack a view were not decided on
            threshold = figures["threshold"]
            rejected[i].append(values > (-math.inf if threshold is None else threshold))
    return paired_bootstrap_of_decisions(
        operator.attrgetter(rate), np.stack(rejected[0]), np.stack(rejected[1]), labels, draws=DRAWS
    )


def same_images(one: Scores, other: Scores) -> bool:
    """Whether two runs tested the same images, of the same parts and with the same labels."""
    return (
        np.array_equal(one.image, other.image)
        and np.array_equal(one.part, other.part)
        and np.array_equal(one.label, other.label)
    )
