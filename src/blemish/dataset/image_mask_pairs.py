"""Pairs of image and mask in one folder, matched by their names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from blemish.dataset.label_words import name_some
from blemish.errors import DatasetError, ImageError
from blemish.images import look_at_mask
from blemish.util.files import read_regular


def pair_images(folder: Path, names: Iterable[str], pattern: str, expects: str) -> pl.DataFrame:
    """Every image with its mask (null where there is none) and the groups of `pattern`.

    The group `marks` matches in the name of a mask only; all other groups together say which
    image a mask belongs to. Raises DatasetError for a name that the pattern does not match, for
    two images or masks of the same groups, and for a mask without its image.
    """
    table = pl.DataFrame({"image": list(names)}, schema={"image": pl.String})
    table = table.with_columns(found=pl.col("image").str.extract_groups(pattern)).unnest("found")
    keys = [column for column in table.columns if column not in ("image", "marks")]
    odd = table.filter(pl.all_horizontal(pl.col(keys).is_null()))["image"].to_list()
    if odd:
        raise DatasetError(f"{folder}: {name_some(odd)} must be named as in {expects}.")
    is_mask = pl.col("marks").is_not_null()
    for kind in (~is_mask, is_mask):
        rows = table.filter(kind)
        twice = rows.filter(rows.select(keys).is_duplicated())["image"].to_list()
        if twice:
            raise DatasetError(f"{folder} has one image or mask twice: {name_some(twice)}.")
    masks = table.filter(is_mask).drop("marks").rename({"image": "mask"})
    images = table.filter(~is_mask).drop("marks")
    lost = masks.join(images, on=keys, how="anti")["mask"].to_list()
    if lost:
        raise DatasetError(
            f"{folder} has masks without their images: {name_some(lost)}; copy them again."
        )
    return images.join(masks, on=keys, how="left", maintain_order="left")


def refuse_maskless(folder: Path, table: pl.DataFrame) -> None:
    """Raise DatasetError when an image has no mask, in a set where empty masks mean good."""
    lacking = table.filter(pl.col("mask").is_null())["image"].to_list()
    if lacking:
        raise DatasetError(
            f"{folder}: images without their masks ({len(lacking)}): {name_some(lacking)}; an "
            "empty mask means good here, so copy the masks again."
        )


def masks_with_foreground(root: Path, masks: Iterable[str]) -> list[str]:
    """The masks that mark something; ImageError as `look_at_mask` raises it.

    Files of equal bytes are decoded once: many masks of good images are alike.
    """
    masks = list(masks)
    contents = [_digest(root / mask) for mask in masks]
    distinct = dict(zip(contents, masks, strict=True))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        any_pixel = pool.map(
            lambda mask: bool(look_at_mask(root / mask).marked.any()), distinct.values()
        )
        has_mark = dict(zip(distinct, any_pixel, strict=True))
    return [mask for mask, content in zip(masks, contents, strict=True) if has_mark[content]]


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(read_regular(path)).digest()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); copy it again.") from error
