"""VAD, the Valeo Anomaly Dataset: one product, with defective images to train on.

Baitieva et al., "Supervised Anomaly Detection for Complex Industrial Images", CVPR 2024.
`low_shot_train.json`, a choice of defective training images, is not read. There are no masks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from blemish.dataset.layouts import mvtec
from blemish.dataset.table import Dataset
from blemish.errors import DatasetError

EXPECTS = "train/good, train/bad, test/good, test/bad and test/bad_unseen_defects"
SPECIALISES = ("mvtec",)

TERMS = "CC BY-NC-SA 4.0, for non-commercial use only"


def recognises(path: Path) -> bool:
    """True for a folder with bad training images and defects that are only in the test."""
    return all((path / name).is_dir() for name in ("train/bad", "test/bad_unseen_defects"))


def read(path: Path) -> Dataset:
    """One category, "vad"; training defects keep their label. DatasetError as of `mvtec`."""
    if not recognises(path):
        raise DatasetError(f"{path} has not the layout vad, which is {EXPECTS}.")
    dataset = mvtec.read(path)
    table = dataset.table.with_columns(category=pl.lit("vad"))
    return replace(dataset.with_table(table), layout="vad", terms=TERMS)
