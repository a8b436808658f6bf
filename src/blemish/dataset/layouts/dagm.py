"""DAGM 2007: ten drawn textures, with defective images to train on.

Competition "Weakly Supervised Learning for Industrial Optical Inspection", DAGM symposium 2007:
14,000 good and 2,100 defective images. Only a defective image has a mask, a coarse ellipse around
the defect. The images are drawn, so each is its own part.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from blemish.dataset.image_mask_pairs import pair_images
from blemish.dataset.label_words import name_some
from blemish.dataset.paths import relative_paths
from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.images import image_files
from blemish.util.names import escaped
from blemish.util.text_files import read_text

EXPECTS = (
    "folders Class1 to Class10, or one of them, with Train/0001.PNG, Test/0001.PNG and masks of "
    "the defects such as Train/Label/0002_label.PNG"
)

SPLITS = ("Train", "Test")
_NAME = r"(?:^|/)(?<folder>Train|Test)/(?:Label/)?(?<number>\d+)(?<marks>_label)?\.(?i:png)$"
_NAMED = re.compile(r"\b(\d+)_label\.png", re.IGNORECASE)


def recognises(path: Path) -> bool:
    """True for a texture's folder and for a folder of such folders."""
    return bool(_category_folders(path))


def read(path: Path) -> Dataset:
    """The textures, each a category; an image with a mask is defective, in training too.

    Raises DatasetError for a split without its folder Label, for other images among them, for a
    mask without image, and for a mask that `Labels.txt`, if it is there, names in vain.
    """
    folders = _category_folders(path)
    if not folders:
        raise DatasetError(f"{path} has not the layout dagm, which is {EXPECTS}.")
    tables = [_read_category(path, folder) for folder in folders]
    return Dataset(path, path.name, "dagm", conform(pl.concat(tables)))


def _category_folders(path: Path) -> list[Path]:
    if _is_category(path):
        return [path]
    found = (path / f"Class{number}" for number in range(1, 11))
    # Archives unpacked each into a folder of its name hold Class1/Class1.
    nested = (folder if _is_category(folder) else folder / folder.name for folder in found)
    return [folder for folder in nested if _is_category(folder)]


def _is_category(path: Path) -> bool:
    return any((path / split / "Label").is_dir() for split in SPLITS)


def _read_category(root: Path, folder: Path) -> pl.DataFrame:
    for split in SPLITS:
        if not (folder / split / "Label").is_dir():
            raise DatasetError(
                f"{folder / split} lacks the folder Label, without which every image would count "
                "as good; copy it again."
            )
    files = [file for split in SPLITS for file in image_files(folder / split)]
    table = pair_images(folder, relative_paths(files, root), _NAME, EXPECTS)
    for split in SPLITS:
        _refuse_lost_masks(folder / split, table.filter(pl.col("folder") == split))
    bad = pl.col("mask").is_not_null()
    return table.with_columns(
        category=pl.lit(escaped(folder.name)),
        split=pl.col("folder").str.to_lowercase(),
        label=pl.when(bad).then(pl.lit("defective")).otherwise(pl.lit("good")),
        defect=pl.when(bad).then(pl.lit("defect")),
    )


def _refuse_lost_masks(folder: Path, images: pl.DataFrame) -> None:
    """Without its mask, a defective image would count as good."""
    file = folder / "Label" / "Labels.txt"
    if not file.is_file():
        return
    named = set(_NAMED.findall(read_text(file, "copy it again.", replace=True)))
    lost = sorted(named - set(images.drop_nulls("mask")["number"]))
    if lost:
        raise DatasetError(
            f"{file} names masks that are not beside it ({len(lost)}): "
            f"{name_some([f'{number}_label.PNG' for number in lost])}; copy {folder} again."
        )
