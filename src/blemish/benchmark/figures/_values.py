"""Values of a selection: means over seeds by category, titles of metrics, names of files."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from blemish.benchmark.protocol import Metric
from blemish.benchmark.selection import Selection
from blemish.benchmark.table_spec import RowBlock

BlockCategory = tuple[RowBlock, str]  # a block and one of its categories

TITLES = {
    "image.auroc": "image AUROC",
    "sample.auroc": "sample AUROC",
    "pixel.auroc": "pixel AUROC",
    "pixel.aupro": "AUPRO",
    "pixel.pro_at_f1": "PRO at the image F1 threshold",
    "pixel.localised_recall": "localised recall",
    "decision.mcc": "MCC at the calibrated threshold",
    "oracle_f1.mcc": "MCC at the oracle F1 threshold",
}


def title(metric: Metric) -> str:
    """How a metric is called in a figure, where there is more room than in a table."""
    return TITLES.get(metric.path, metric.name)


def block_categories(selection: Selection) -> Iterator[BlockCategory]:
    """Every block and category of which there are results."""
    for block in selection.blocks:
        for category in selection.categories[block]:
            yield block, category


def by_seed(
    selection: Selection, where: BlockCategory, metric: Metric
) -> dict[str, dict[int, float]]:
    """The value of each detector on a category by seed, in the order of their labels."""
    found = {}
    for column, label in sorted(selection.labels.items(), key=lambda entry: entry[1]):
        runs = selection.runs(*where, column)
        values = {seed: metric.of(seed_result.figures) for seed, seed_result in runs.items()}
        known = {seed: value for seed, value in values.items() if value is not None}
        if known:
            found[label] = known
    return found


def means(selection: Selection, where: BlockCategory, metric: Metric) -> dict[str, float]:
    """The mean over seeds of each detector on a category."""
    values = by_seed(selection, where, metric)
    return {label: fmean(of_label.values()) for label, of_label in values.items()}


def named(where: BlockCategory) -> list[str]:
    """A category in words: data set, category, split; none of them twice."""
    block, category = where
    return [word for word in dict.fromkeys((block.data, category, block.variant)) if word]


def file_name(*parts: object) -> str:
    """A file name without suffix that any system takes."""
    joined = "-".join(str(part) for part in parts if part not in ("", None))
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in joined)
