"""The layout of MVTec AD: a folder per split, in it a folder per kind; masks by name."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from blemish.dataset.paths import relative_paths
from blemish.dataset.table import Dataset, conform
from blemish.dataset.words import SPLIT_WORDS, name_some, split_of
from blemish.errors import DatasetError
from blemish.images import image_files

EXPECTS = (
    "train/good, validation/good, test/<defect> and ground_truth/<defect> (ok for good), "
    "or a folder of such folders"
)

GOOD = ("good", "ok")
MASKS = "ground_truth"


def recognises(path: Path) -> bool:
    """True when `path`, or a folder in it, holds good images in the folder of a split."""
    return bool(_category_folders(path))


def read(path: Path) -> Dataset:
    """One category, or every category in `path`; the category is its folder's name.

    The mask of test/crack/a.png is ground_truth/crack/a_mask.* or ground_truth/crack/a.*.
    Raises DatasetError for images beside the kinds and for masks that match no image.
    """
    folders = _category_folders(path)
    if not folders:
        raise DatasetError(f"{path} has not the layout mvtec, which is {EXPECTS}.")
    tables = [_read_category(path, folder) for folder in folders]
    return Dataset(path, path.name, "mvtec", conform(pl.concat(tables)))


def _category_folders(path: Path) -> list[Path]:
    if _is_category(path):
        return [path]
    return [f for f in _folders(path) if _is_category(f)]


def _is_category(path: Path) -> bool:
    tops = {folder.name.lower(): folder for folder in _folders(path)}
    if "test" in tops and MASKS in tops:
        return True
    splits = [folder for top, folder in tops.items() if top in SPLIT_WORDS]
    return any(kind.name.lower() in GOOD for split in splits for kind in _folders(split))


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    with os.scandir(path) as entries:  # a folder may hold 100,000 images: no stat for each
        found = [e.path for e in entries if e.is_dir() and not e.name.startswith(".")]
    return [Path(folder) for folder in sorted(found)]


def _read_category(root: Path, folder: Path) -> pl.DataFrame:
    paths = image_files(folder)
    files = pl.DataFrame(
        {"image": relative_paths(paths, root), "inside": relative_paths(paths, folder)},
        schema={"image": pl.String, "inside": pl.String},
    )
    steps = pl.col("inside").str.extract_groups(r"^[^/]+/(?<kind>[^/]+)/(?<stem>.+)\.[^./]+$")
    top = pl.col("inside").str.extract(r"^([^/]+)/").str.to_lowercase()
    files = files.with_columns(top=top, steps=steps).unnest("steps")
    images = files.with_columns(split=split_of("top")).drop_nulls("split")
    _refuse_stray(images, folder)
    good = pl.col("kind").str.to_lowercase().is_in(GOOD)
    images = images.with_columns(
        category=pl.lit(folder.name),
        label=pl.when(good).then(pl.lit("good")).otherwise(pl.lit("defective")),
        defect=pl.when(good).then(None).otherwise(pl.col("kind")),
    )
    return _with_masks(images, files.filter(pl.col("top") == MASKS), folder)


def _refuse_stray(images: pl.DataFrame, folder: Path) -> None:
    stray = images.filter(pl.col("kind").is_null())["inside"].to_list()
    if stray:
        raise DatasetError(
            f"{folder}: {name_some(stray)} must lie in a folder that says what the image shows, "
            "such as good or the kind of defect."
        )


def _with_masks(images: pl.DataFrame, masks: pl.DataFrame, folder: Path) -> pl.DataFrame:
    kind = pl.col("kind").str.to_lowercase()
    masks = masks.select(kind.alias("key"), mask_stem="stem", mask="image")
    twice = masks.filter(pl.struct("key", "mask_stem").is_duplicated())["mask"].to_list()
    if twice:
        raise DatasetError(
            f"{folder} has several masks for one image: {name_some(twice)}; keep one."
        )
    images = images.with_columns(
        # Masks belong to the test split; a training image may well have the same number.
        key=pl.when(pl.col("split") == "test").then(kind),
        suffixed=pl.col("stem") + "_mask",
    )
    for stem in ("suffixed", "stem"):
        images = images.join(
            masks.rename({"mask_stem": stem, "mask": f"mask_{stem}"}),
            on=["key", stem],
            how="left",
            maintain_order="left",
        )
    images = images.with_columns(mask=pl.coalesce("mask_suffixed", "mask_stem"))
    _refuse_unmatched(images, masks, folder)
    return images.drop("key", "suffixed", "mask_suffixed", "mask_stem", "stem", "kind")


def _refuse_unmatched(images: pl.DataFrame, masks: pl.DataFrame, folder: Path) -> None:
    matched = images.group_by("key").agg(
        pl.col("mask").is_not_null().any(), image=pl.first("image")
    )
    lost = masks.join(matched.filter(~pl.col("mask")), on="key").sort("mask")
    if lost.height:
        raise DatasetError(
            f"{folder}: no mask such as {lost['mask'][0]} is named like an image of its kind; "
            f"the mask of {lost['image'][0]} must have that name, with or without '_mask'."
        )
