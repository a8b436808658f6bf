"""Convert a data set to folders in the layout of MVTec AD, or to one table."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from blemish.dataset.file_names import folder_names, free_name, kind_folders
from blemish.dataset.image_copies import CopyMethod, ShowCount, copy_images, draw_mask
from blemish.dataset.image_header import image_size
from blemish.dataset.label_words import SPLIT_WORDS, name_some
from blemish.dataset.layouts.mvtec import GOOD, MASKS
from blemish.dataset.licence import licence_files
from blemish.dataset.parts import FILE_NAME
from blemish.dataset.paths import is_image_file, listing
from blemish.dataset.table import COLUMNS, Dataset
from blemish.errors import DatasetError
from blemish.images import read_mask
from blemish.util.csv_text import csv_bytes
from blemish.util.files import filling, inside, replacing

MASKS_FILE = "masks.csv"


@dataclass(frozen=True)
class ConversionSummary:
    """What was written to `path`: images linked (hard), copied, or decoded into new PNG files.

    `masks_left_out` counts those that the layout has no place for: of good images, and of images
    outside the test.
    """

    path: Path
    images: int
    linked: int = 0
    copied: int = 0
    decoded: int = 0
    masks: int = 0
    masks_left_out: int = 0


class DrawnMasks(Protocol):
    """Masks that are no files, by the names that the table has for them."""

    def read_mask(self, image: str, mask: str) -> NDArray[np.bool_]:
        """The mask of an image, bool [H, W]."""

    def origins(self) -> pl.DataFrame:
        """How each came to be: the column mask, and others."""


def to_mvtec(
    data: Dataset,
    folder: Path,
    placing: CopyMethod = "link or copy",
    *,
    drawn: DrawnMasks | None = None,
    progress: ShowCount | None = None,
) -> ConversionSummary:
    """Write a data set in the layout of MVTec AD into a new folder, whole or not at all.

    Several categories get a folder each, with its `parts.csv` where parts or views are known. Masks
    become 0 and 255; names that clash get a number. Links are hard ones, never symbolic. Masks that
    are `drawn` are listed in `masks.csv`. Raises DatasetError for images without a label and for a
    folder that holds something.
    """
    refuse_unlabelled(data)
    refuse_target(data, folder)
    with filling(folder) as new:
        written = fill_mvtec(data, new, placing, drawn=drawn, progress=progress)
    return replace(written, path=folder)


def fill_mvtec(
    data: Dataset,
    folder: Path,
    placing: CopyMethod = "link or copy",
    *,
    drawn: DrawnMasks | None = None,
    progress: ShowCount | None = None,
) -> ConversionSummary:
    """`to_mvtec` into a folder that is there, and that the caller fills further."""
    refuse_unlabelled(data)
    table = planned(data)
    masks = table.drop_nulls("new_mask").select("image", "mask", "new_mask", new_image="new")
    placed = copy_images(data.root, table.select("image", "new"), folder, placing, progress)
    _draw_masks(data, masks, folder, drawn)
    write_parts(table, folder)
    copy_terms(data, folder)
    left_out = len(data) - data.table["mask"].null_count() - masks.height
    return ConversionSummary(
        folder, len(data), **placed, masks=masks.height, masks_left_out=left_out
    )


def refuse_target(data: Dataset, folder: Path) -> None:
    """DatasetError for a folder that holds something, or that lies in the data set."""
    _refuse_filled(folder)
    _refuse_inside(folder, data)


def to_table(
    data: Dataset,
    file: Path,
    placing: CopyMethod | None = None,
    *,
    drawn: DrawnMasks | None = None,
    progress: ShowCount | None = None,
) -> ConversionSummary:
    """Write a data set as a .csv or .parquet table, with paths relative to its folder.

    Without `placing` the images stay, so that the folder must be the data set's root or one above;
    with it they are put beside the table, in a folder that is new; so they are where masks are
    `drawn`. Raises DatasetError else.
    """
    if file.exists():
        raise DatasetError(f"{file} exists; name another file, or remove it.")
    if placing is not None or drawn is not None:
        return _table_beside_images(data, file, placing or "link or copy", drawn, progress)
    home = Path(os.path.abspath(file.parent))  # noqa: PTH100 (a link keeps its own name)
    _refuse_unreachable(data, home, file)
    before = data.root.relative_to(home).as_posix()
    prefix = "" if before == "." else before + "/"
    paths = [(prefix + pl.col(column)).alias(column) for column in ("image", "mask")]
    _write_table(_unnamed_parts(data.table).with_columns(paths), file)
    return ConversionSummary(file, len(data), masks=data.table["mask"].drop_nulls().n_unique())


def _table_beside_images(
    data: Dataset,
    file: Path,
    placing: CopyMethod,
    drawn: DrawnMasks | None,
    progress: ShowCount | None,
) -> ConversionSummary:
    refuse_target(data, file.parent)
    new = {f"new_{column}": _as_files(data.table[column]) for column in ("image", "mask")}
    table = data.table.with_columns(**new)
    images = table.select("image", "new_image").unique(maintain_order=True)
    masks = table.drop_nulls("mask").unique("mask", maintain_order=True)
    whole = pl.col("mask") == pl.col("new_mask") if drawn is None else pl.lit(value=False)
    others = masks.filter(~whole).select("image", "mask", "new_mask", "new_image")
    with filling(file.parent) as folder:
        placed = copy_images(data.root, images, folder, placing, progress)
        copy_images(data.root, masks.filter(whole).select("mask", "new_mask"), folder, placing)
        _draw_masks(data, others, folder, drawn)
        copy_terms(data, folder)
        named = _unnamed_parts(table).with_columns(image="new_image", mask="new_mask")
        _write_table(named, folder / file.name)
    return ConversionSummary(file, len(data), **placed, masks=masks.height)


def mask_of(data: Dataset, image: str, mask: str, drawn: DrawnMasks | None) -> NDArray[np.bool_]:
    """The mask of an image, drawn or read from its file; bool [H, W]."""
    if drawn is not None:
        return drawn.read_mask(image, mask)
    return read_mask(data.root / mask, image_size(data.root / image))


def _draw_masks(data: Dataset, masks: pl.DataFrame, folder: Path, drawn: DrawnMasks | None) -> None:
    """Write every mask (image, mask, new_mask, new_image), and what is known of drawn ones."""
    for image, mask, target, _ in masks.iter_rows():
        draw_mask(mask_of(data, image, mask, drawn), inside(folder, target))
    if drawn is None or not masks.height:
        return
    notes = masks.join(drawn.origins(), on="mask", how="left", maintain_order="left")
    notes = notes.drop("image", "mask").rename({"new_mask": "mask", "new_image": "image"})
    (folder / MASKS_FILE).write_bytes(csv_bytes(notes.columns, notes.iter_rows()))


def planned(data: Dataset, *, apart: bool = False) -> pl.DataFrame:
    """The table, by image, with the columns home (the category's folder), new and new_mask.

    With `apart` no two images have the same name, in whichever folders.
    """
    table = data.table.sort("image")
    kinds = kind_folders(table["defect"].drop_nulls().unique().to_list())
    homes = {data.categories[0]: ""}
    if len(data.categories) > 1:
        named = folder_names(data.categories, (*SPLIT_WORDS, MASKS))
        homes = {category: folder + "/" for category, folder in named.items()}
    used: dict[str, dict[str, int]] = {}
    new: list[str] = []
    new_mask: list[str | None] = []
    columns = table.select("image", "mask", "category", "split", "label", "defect")
    for image, mask, category, split, label, defect in columns.iter_rows():
        kind = GOOD[0] if label == "good" else kinds.get(defect, "defect")
        folder = f"{homes[category]}{split}/{kind}"
        stem, suffix = _stem_and_suffix(image)
        stem = free_name(stem, used.setdefault("" if apart else folder, {}))
        new.append(f"{folder}/{stem}{suffix}")
        masked = mask is not None and split == "test" and label == "defective"
        new_mask.append(f"{homes[category]}{MASKS}/{kind}/{stem}_mask.png" if masked else None)
    return table.with_columns(
        pl.col("category").replace_strict(homes, return_dtype=pl.String).alias("home"),
        pl.Series("new", new, dtype=pl.String),
        pl.Series("new_mask", new_mask, dtype=pl.String),
    )


def _stem_and_suffix(image: str) -> tuple[str, str]:
    """Of a visible file with the image's name; one that is no file of its own becomes a PNG."""
    name = image.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".") if is_image_file(name) else (name, ".", "png")
    # Image a_mask.png would be taken for the mask of a.png.
    while stem.lower().endswith("_mask"):
        stem = stem[: -len("_mask")]
    return stem.lstrip(".") or "image", dot + suffix


def _as_files(paths: pl.Series) -> pl.Series:
    """The paths with .png after those that are no image file of their own."""
    named = [p if p is None or is_image_file(p) else p + ".png" for p in paths]
    return pl.Series(paths.name, named, dtype=pl.String)


def write_parts(table: pl.DataFrame, folder: Path) -> None:
    """`parts.csv` in the folder of each category that knows parts or views."""
    own = pl.col("part") == pl.col("image")
    known = table.filter((~own | pl.col("view").is_not_null()).any().over("home"))
    for rows in known.partition_by("home", maintain_order=True):
        home = rows["home"][0]
        file = pl.col("new").str.strip_prefix(home)
        part = pl.when(own).then("new").otherwise("part")
        text = rows.select(file=file, part=part, view="view").write_csv()
        inside(folder, home + FILE_NAME).write_bytes(text.encode("utf-8"))


def _unnamed_parts(table: pl.DataFrame) -> pl.DataFrame:
    """No name for a part that is but its image: reading gives it the image's again."""
    return table.with_columns(part=pl.when(pl.col("part") != pl.col("image")).then("part"))


def _write_table(table: pl.DataFrame, file: Path) -> None:
    table = table.select(COLUMNS)
    with replacing(file) as opened:
        if file.suffix.lower() == ".parquet":
            table.write_parquet(opened)
        else:
            opened.write(table.write_csv().encode("utf-8"))


def copy_terms(data: Dataset, folder: Path) -> None:
    """The licence goes where the images go."""
    files = licence_files(data.root)
    for file in files:
        shutil.copyfile(file, inside(folder, file.name))
    if data.terms and not files:
        (folder / "license.txt").write_text(data.terms + "\n", encoding="utf-8")


def refuse_unlabelled(data: Dataset) -> None:
    """DatasetError for images without a label."""
    unknown = data.table.filter(pl.col("label").is_null())["image"].to_list()
    if unknown:
        raise DatasetError(
            f"{data.root} has images without a label ({len(unknown)}): {name_some(unknown)}; "
            f"label them in a {FILE_NAME}, or convert to a table, which keeps them so."
        )


def _refuse_filled(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise DatasetError(f"{folder} is not empty; name a new folder.")


def _refuse_inside(folder: Path, data: Dataset) -> None:
    if folder.resolve().is_relative_to(data.root.resolve()):
        raise DatasetError(
            f"{folder} lies in the data set {data.root}, whose images it would double; "
            "name a folder outside."
        )


def _refuse_unreachable(data: Dataset, home: Path, file: Path) -> None:
    """A table names files below its own folder, and nothing else."""
    if not data.root.is_relative_to(home):
        raise DatasetError(
            f"a table names files below its own folder, and {data.root} is not below {home}: "
            f"write {data.root / file.name}, or put the images beside the table with --copy or "
            "--link."
        )
    paths = [*data.table["image"], *data.table["mask"].drop_nulls()]
    odd = [path for path in paths if not is_image_file(path)]
    files = set(listing(data.root, odd))
    inner = [path for path in odd if path not in files]
    if inner:
        raise DatasetError(
            f"{data.root} holds images and masks that are no files of their own ({len(inner)}): "
            f"{name_some(inner)}; make them files with --copy."
        )
