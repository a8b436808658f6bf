"""The critical-difference diagram: mean ranks over categories, groups not told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from blemish.benchmark.figures import _svg as svg
from blemish.benchmark.figures._values import block_categories, file_name, means, title
from blemish.benchmark.protocol import Metric
from blemish.benchmark.selection import Selection
from blemish.metrics.paired_test import holm
from blemish.metrics.ranks import friedman, joined, least_wilcoxon, ranks, wilcoxon

LEVEL = 0.05
WIDTH, SIDE, TOP, BAR, STEP = 720, 200, 66, 9, 24


@dataclass(frozen=True)
class Ranking:
    """Detectors by mean rank, best first, over `categories` in which each was measured.

    `groups` are those neighbours that cannot be told apart, by place in `detectors`; `separable`
    is False where so few categories could not tell any two apart; `incomplete` categories lack a
    detector and do not count.
    """

    detectors: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    categories: int
    friedman: float
    groups: tuple[tuple[int, ...], ...]
    separable: bool
    incomplete: int = 0


def draw(selection: Selection, metrics: Sequence[Metric]) -> Iterator[tuple[str, str]]:
    """A diagram for each metric that two detectors or more have in two categories or more.

    One for each variant of the split: results of one category at several shares of noise are not
    independent.
    """
    for metric in metrics:
        variants: dict[str, list[dict[str, float]]] = {}
        for where in block_categories(selection):
            if values := means(selection, where, metric):
                variants.setdefault(where[0].variant, []).append(values)
        for variant, found in sorted(variants.items()):
            ranking = _ranked(found, lower_is_better=metric.lower_is_better)
            if ranking is not None:
                said = variant if len(variants) > 1 else ""
                name = file_name("critical-difference", metric.path, said)
                yield name, critical_difference(ranking, title(metric), said)


def _ranked(found: Sequence[Mapping[str, float]], *, lower_is_better: bool) -> Ranking | None:
    """The ranking over the categories that have every detector; None with too few of either."""
    detectors = sorted({detector for values in found for detector in values})
    whole = [values for values in found if len(values) == len(detectors)]
    if len(detectors) < 2 or len(whole) < 2:
        return None
    table = np.array([[values[detector] for detector in detectors] for values in whole])
    return rank(detectors, -table if lower_is_better else table, len(found) - len(whole))


def rank(detectors: Sequence[str], values: npt.NDArray[np.float64], incomplete: int = 0) -> Ranking:
    """Rank detectors [k] by their values [n categories, k], larger is better.

    Friedman's test comes first: unless it says that some detectors differ, all are one group.
    Then every pair is compared by Wilcoxon's signed-rank test, corrected by Holm's method.
    """
    mean = ranks(values).mean(0)
    order = np.argsort(mean, kind="stable")
    values, mean = values[:, order], mean[order]
    n, k = values.shape
    p = friedman(values)
    apart = np.zeros((k, k), bool)
    pairs = list(combinations(range(k), 2))
    if p < LEVEL:
        tests = holm([wilcoxon(values[:, a] - values[:, b]) for a, b in pairs])
        for (a, b), test in zip(pairs, tests, strict=True):
            apart[a, b] = apart[b, a] = test < LEVEL
    return Ranking(
        tuple(detectors[place] for place in order),
        tuple(mean.tolist()),
        n,
        p,
        tuple(joined(mean, apart)),
        least_wilcoxon(n) * len(pairs) < LEVEL,
        incomplete,
    )


def critical_difference(ranking: Ranking, metric: str, variant: str = "") -> str:
    """The diagram as SVG: the best detector on the left, a bar under those not told apart.

    `metric` is what it is called in the heading.
    """
    k = len(ranking.detectors)
    left, right = SIDE, WIDTH - SIDE

    def x(rank: float) -> float:
        return left + (right - left) * (rank - 1) / (k - 1)

    heading = f"Mean rank by {metric}" + (f", {variant}" if variant else "")
    body = [svg.words(24, 26, heading, "title")]
    body.append(svg.line(left, TOP, right, TOP, svg.INK, 1.5))
    for tick in range(1, k + 1):
        body.append(svg.line(x(tick), TOP - 6, x(tick), TOP, svg.INK, 1.5))
        body.append(svg.words(x(tick), TOP - 12, tick, "soft", "middle"))
    bars = TOP + 14
    first = bars + BAR * len(ranking.groups) + 14
    half = (k + 1) // 2
    for place, (detector, mean) in enumerate(
        zip(ranking.detectors, ranking.mean_ranks, strict=True)
    ):
        on_left = place < half
        y = first + STEP * (place if on_left else k - 1 - place)
        end = left - 12 if on_left else right + 12
        body.append(svg.line(x(mean), TOP, x(mean), y, svg.SOFT))
        body.append(svg.line(x(mean), y, end, y, svg.SOFT))
        said = f"{detector}  {mean:.2f}" if on_left else f"{mean:.2f}  {detector}"
        beside = end - 6 if on_left else end + 6
        body.append(svg.words(beside, y + 4, said, "", "end" if on_left else "start"))
    for number, group in enumerate(ranking.groups):
        y = bars + BAR * number
        ends = x(ranking.mean_ranks[group[0]]) - 4, x(ranking.mean_ranks[group[-1]]) + 4
        body.append(svg.line(ends[0], y, ends[1], y, svg.INK, 4))
    note, bottom = svg.paragraph(24, first + STEP * half + 16, _note(ranking), WIDTH - 48)
    return svg.page(WIDTH, bottom, heading, "".join(body) + note)


def _note(ranking: Ranking) -> str:
    p = "< 0.001" if ranking.friedman < 0.001 else f"= {ranking.friedman:.3f}"
    said = f"Mean over {ranking.categories} categories, 1 is best. Friedman's test: p {p}. "
    if ranking.friedman >= LEVEL:
        said += "The detectors cannot be told apart."
    elif not ranking.groups:
        said += (
            "Wilcoxon's signed-rank tests, corrected by Holm's method, tell every detector apart "
            "from its neighbours (5 %)."
        )
    else:
        said += (
            "A bar joins detectors that Wilcoxon's signed-rank tests, corrected by Holm's method, "
            "do not tell apart (5 %)."
        )
    if not ranking.separable:
        said += " So few categories could not tell any two detectors apart, however they differ."
    if ranking.incomplete:
        said += f" Left out, because a detector is missing: {ranking.incomplete} categories."
    return said
