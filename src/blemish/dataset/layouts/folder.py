"""A plain folder: every image in it, at any depth, shows a good part."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.images import image_names

EXPECTS = "images of good parts only, in sub-folders or not"

GOOD = frozenset(["good", "ok"])

# Folders whose names say that not every image below is a good one, or even an image.
TELLING = frozenset(
    [
        *("train", "val", "valid", "validation", "test"),
        *("ground_truth", "mask", "masks", "label", "labels", "annotations", "heatmaps"),
        *("bad", "ng", "nok", "not_ok", "defect", "defects", "defective"),
        *("anomaly", "anomalies", "anomalous", "abnormal"),
        *("reject", "rejects", "rejected", "scrap", "fail", "failed"),
    ]
)


def recognises(path: Path) -> bool:
    """True for a folder with images, unless the names of sub-folders say that some are not good."""
    images = image_names(path, any_name=True) if path.is_dir() else []
    folders = [set(f.split("/")) for f in {i.rpartition("/")[0].lower() for i in images}]
    some_called_good = len({GOOD.isdisjoint(steps) for steps in folders}) > 1
    return bool(images) and not some_called_good and all(map(TELLING.isdisjoint, folders))


def read(path: Path) -> Dataset:
    """Every image below `path`, labelled good, in the split "train"."""
    images = image_names(path, any_name=True) if path.is_dir() else []
    if not images:
        raise DatasetError(f"{path} is not a folder with images; name one that holds some.")
    frame = pl.DataFrame({"image": images}, schema={"image": pl.String})
    table = frame.with_columns(
        category=pl.lit(path.name), split=pl.lit("train"), label=pl.lit("good")
    )
    return Dataset(path, path.name, "folder", conform(table))
