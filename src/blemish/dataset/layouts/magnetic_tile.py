"""The magnetic tiles as their authors publish them: a folder per kind, masks beside the images.

Huang et al., "Surface defect saliency of magnetic tile", CASE 2018: 1,344 images, 952 of them good.
The name `exp1_num_3667` tells the exposure, which is the view, and the number of a video frame.
Most tiles were taken under six exposures, within some hundred frames, but which images show one
tile cannot be told from the names: each image is its own part until a `parts.csv` says more. A
split at random would put one tile on both sides and flatter every detector.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import polars as pl

from blemish.dataset.image_mask_pairs import masks_with_foreground, pair_images
from blemish.dataset.paths import relative_paths
from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.images import image_files

EXPECTS = "folders MT_Free/Imgs, MT_Crack/Imgs and so on, with exp1_num_3667.jpg and its mask .png"

TERMS = "no licence stated; the authors welcome its use and ask to be cited"
FOLDERS = ("MT_Free", "MT_Blowhole", "MT_Break", "MT_Crack", "MT_Fray", "MT_Uneven")
GOOD = "free"
TRAIN_SHARE = 0.7
PAUSE = 200  # frames between one tile and the next
KNOWN = ("MT_*/Imgs/*.png",)  # masks in which nothing is marked
_NAME = (
    r"^MT_(?<kind>\w+)/Imgs/(?<view>exp\d+)_num_(?<frame>\d+)"
    r"\.(?:(?i:jpg|jpeg)|(?<marks>(?i:png)))$"
)


def recognises(path: Path) -> bool:
    """True for a folder that holds MT_Free/Imgs, or that of a kind of defect."""
    return any((path / name / "Imgs").is_dir() for name in FOLDERS)


def read(path: Path) -> Dataset:
    """Every image, labelled by its folder; good ones up to a pause in the numbers train.

    The first 70 % of the good images, in the order of their frames, train, and those that follow
    without a pause, so that no tile is on both sides (669 train); all others are the test. A mask
    in which nothing is marked is left out, that of a defective image too. Decodes the masks of the
    defects. Raises DatasetError for other images among them and for a mask without image,
    ImageError for a mask that cannot be read.
    """
    if not recognises(path):
        raise DatasetError(f"{path} has not the layout magnetic_tile, which is {EXPECTS}.")
    folders = [path / name for name in FOLDERS if (path / name).is_dir()]
    names = [name for folder in folders for name in relative_paths(image_files(folder), path)]
    table = pair_images(path, names, _NAME, EXPECTS).with_columns(
        pl.col("kind").str.to_lowercase(), pl.col("frame").cast(pl.Int64)
    )
    good = pl.col("kind") == GOOD
    masks = table.filter(~good)["mask"].drop_nulls()
    last = last_trained(table.filter(good)["frame"].sort().to_list())
    table = table.with_columns(
        category=pl.lit("magnetic_tile"),
        split=pl.when(good & (pl.col("frame") <= last))
        .then(pl.lit("train"))
        .otherwise(pl.lit("test")),
        label=pl.when(good).then(pl.lit("good")).otherwise(pl.lit("defective")),
        defect=pl.when(~good).then("kind"),
        mask=pl.when(pl.col("mask").is_in(masks_with_foreground(path, masks))).then("mask"),
    )
    return Dataset(path, path.name, "magnetic_tile", conform(table), TERMS)


def last_trained(frames: list[int]) -> int:
    """The last frame that trains, of frames in their order; -1 where there is none."""
    start = round(len(frames) * TRAIN_SHARE)
    for before, after in pairwise(frames[max(0, start - 1) :]):
        if after - before > PAUSE:
            return before
    return frames[start - 1] if start else -1
