"""The layout of MVTec AD: a folder per split, in it a folder per kind; masks by name.

Also that of MVTec LOCO (several masks for one image, in a folder of its name), MPDD, RAD, the
textile set, VisA as it is often converted (its one kind is called bad), and MIAD (unverified).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset.folder_words import meaning_of
from blemish.dataset.label_words import SPLIT_WORDS, name_some, split_of
from blemish.dataset.paths import steps_to, sub_folders
from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.images import image_names
from blemish.util.names import escaped

EXPECTS = (
    "train/good, validation/good, test/<defect> and ground_truth/<defect> (ok, gut or the like for "
    "good), "
    "or a folder of such folders"
)

GOOD = ("good", "ok")
MASKS = "ground_truth"


def recognises(path: Path) -> bool:
    """True when `path`, or a folder in it, holds good images in the folder of a split."""
    return bool(_category_folders(path))


def read(path: Path) -> Dataset:
    """One category, or every category in `path`; the category is its folder's name.

    The mask of test/crack/a.png is ground_truth/crack/a_mask.* or ground_truth/crack/a.*, or the
    folder ground_truth/crack/a, whose images are masks of one defect each.
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
    return [f for f in sub_folders(path) if _is_category(f)]


def _is_category(path: Path) -> bool:
    tops = {folder.name.lower(): folder for folder in sub_folders(path)}
    if "test" in tops and MASKS in tops:
        return True
    splits = [folder for top, folder in tops.items() if top in SPLIT_WORDS]
    return any(_is_good(kind.name) for split in splits for kind in sub_folders(split))


def _is_good(kind: str) -> bool:
    """True for the name of a folder of good images: good or ok, or what else says so."""
    return meaning_of(kind) == "good"


def _read_category(root: Path, folder: Path) -> pl.DataFrame:
    names = image_names(folder, root, any_name=True)
    files = pl.DataFrame({"inside": names}, schema={"inside": pl.String})
    files = files.with_columns(image=pl.lit(steps_to(folder, root)) + pl.col("inside"))
    steps = pl.col("inside").str.extract_groups(r"^[^/]+/(?<kind>[^/]+)/(?<stem>.+)\.[^./]+$")
    top = pl.col("inside").str.extract(r"^([^/]+)/").str.to_lowercase()
    files = files.with_columns(top=top, steps=steps).unnest("steps")
    images = files.with_columns(split=split_of("top")).drop_nulls("split")
    _refuse_stray(images, folder)
    good = pl.col("kind").is_in([k for k in images["kind"].unique() if _is_good(k)])
    images = images.with_columns(
        category=pl.lit(escaped(folder.name)),
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
    images = images.with_columns(
        # Masks belong to the test split; a training image may well have the same number.
        key=pl.when(pl.col("split") == "test").then(kind),
        suffixed=pl.col("stem") + "_mask",
    )
    masks = masks.select(kind.alias("key"), mask_stem="stem", mask="image")
    masks = pl.concat([masks, _mask_folders(masks, images)])
    twice = masks.filter(pl.struct("key", "mask_stem").is_duplicated())["mask"].to_list()
    if twice:
        raise DatasetError(
            f"{folder} has several masks for one image: {name_some(twice)}; keep one."
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


def _mask_folders(masks: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """The folders of masks that are named like an image: one row each, as for a mask."""
    above = pl.col("mask_stem", "mask").str.extract(r"^(.+)/[^/]+$")
    folders = masks.select("key", above).drop_nulls().unique(maintain_order=True)
    named = images.select("key", mask_stem="stem")
    return folders.join(named, on=["key", "mask_stem"], how="semi", maintain_order="left")


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
