"""KolektorSDD2: one kind of surface, with defective images to train on and a mask for every image.

Božič et al., "Mixed supervision for surface-defect detection: from weakly to fully supervised
learning", Computers in Industry 2021. Train 2085 good and 246 defective, test 894 and 110. The set
says nothing of which images show one part, so each image is its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from blemish.dataset.image_mask_pairs import masks_with_foreground, pair_images, refuse_maskless
from blemish.dataset.paths import relative_paths
from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.images import image_files

EXPECTS = "train and test with images such as 10000.png and for each a mask 10000_GT.png"

TERMS = "CC BY-NC-SA 4.0, for non-commercial use only"
SPLITS = ("train", "test")
# The archive holds "10301 (copy).png" and "10301_GT (copy).png" beside the files they copy.
COPY = " (copy)."
KNOWN = ("*/*_GT.*", "train/* (copy).*", "test/* (copy).*")  # masks of good images; copies
_NAME = r"^(?<split>train|test)/(?<number>\d+)(?<marks>_GT)?\.(?i:png)$"


def recognises(path: Path) -> bool:
    """True for a folder with both splits and a mask in one of them."""
    folders = [path / split for split in SPLITS]
    return all(folder.is_dir() for folder in folders) and any(map(_has_mask, folders))


def read(path: Path) -> Dataset:
    """The images of both splits; one whose mask is not empty is defective, in training too.

    Decodes the masks. Raises DatasetError for an image without mask, a mask without image and
    other images between them, ImageError for a mask that cannot be read.
    """
    if not recognises(path):
        raise DatasetError(f"{path} has not the layout kolektor_sdd2, which is {EXPECTS}.")
    files = [file for split in SPLITS for file in image_files(path / split)]
    names = [name for name in relative_paths(files, path) if COPY not in name]
    table = pair_images(path, names, _NAME, EXPECTS)
    refuse_maskless(path, table)
    bad = pl.col("mask").is_in(masks_with_foreground(path, table["mask"]))
    table = table.with_columns(
        category=pl.lit("kolektor_sdd2"),
        label=pl.when(bad).then(pl.lit("defective")).otherwise(pl.lit("good")),
        defect=pl.when(bad).then(pl.lit("defect")),
        mask=pl.when(bad).then("mask"),
    )
    return Dataset(path, path.name, "kolektor_sdd2", conform(table), TERMS)


def _has_mask(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.endswith("_GT.png") for entry in entries)
