"""Masks in a folder beside pictures that are labelled by their folders, matched by their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from blemish.dataset.folder_words import MASK_FOLDERS
from blemish.dataset.label_words import name_some
from blemish.errors import DatasetError

MARKED = "_mask"


def without_masks(frame: pl.DataFrame, folders: Sequence[str], root: Path) -> pl.DataFrame:
    """The rows that are no masks, each with its mask; `frame` has the column `folder` too.

    The mask of NG/crack/a.png is a.* or a_mask.* in masks/NG/crack, masks/crack, masks or
    NG/masks/crack. Raises DatasetError for a mask that is named like no picture, or like several.
    """
    is_mask = pl.col("folder").is_in(list(folders))
    images, masks = frame.filter(~is_mask), frame.filter(is_mask)["image"].to_list()
    pictures: dict[str, list[str]] = {}
    for image in images["image"]:
        for key in _keys(image):
            pictures.setdefault(key, []).append(image)
    mask_of: dict[str, str] = {}
    lost: list[str] = []
    for mask in masks:
        stem = _stem("/".join(s for s in mask.split("/") if s.lower() not in MASK_FOLDERS))
        named = pictures.get(stem) or pictures.get(stem.removesuffix(MARKED)) or []
        if len(named) != 1 or named[0] in mask_of:
            lost.append(mask)
        else:
            mask_of[named[0]] = mask
    if lost:
        raise DatasetError(
            f"{root}: each mask must be named like one picture, with or without {MARKED}, and "
            f"{len(lost)} are not, such as {name_some(lost)}: that of NG/a.png is masks/NG/a.png"
        )
    mask = pl.col("image").replace_strict(mask_of, default=None, return_dtype=pl.String)
    return images.with_columns(mask=mask)


def _keys(image: str) -> list[str]:
    """The picture's path without its suffix, and without the folders above it, one by one."""
    steps = _stem(image).split("/")
    return ["/".join(steps[start:]) for start in range(len(steps))]


def _stem(name: str) -> str:
    return name.rpartition(".")[0]
