"""Which images show the same part, and from which view: a CSV file, or a pattern over paths."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from blemish.dataset.csv_file import read_delimited
from blemish.dataset.label_words import label_of, name_some
from blemish.dataset.paths import below, match_key
from blemish.dataset.table import Dataset, qualify_parts
from blemish.errors import DatasetError
from blemish.images import hdf5
from blemish.util.files import inside, leads_out

FILE_NAME = "parts.csv"


def with_parts(dataset: Dataset, csv: Path | None, pattern: str | None) -> Dataset:
    """Parts from the file or the pattern that was asked for, else from `parts.csv` if there is one.

    `parts.csv` is looked for beside the images, in the root or in the folder of each category.
    Parts that the layout itself knows are not overruled by a file that nobody asked for.
    """
    if csv is not None and pattern is not None:
        raise DatasetError(f"give either {csv} or a pattern for the parts, not both.")
    if pattern is not None:
        return from_pattern(dataset, pattern)
    if csv is not None:
        return attach(dataset, csv)
    known = (dataset.table["part"] != dataset.table["image"]).any()
    if known or not len(dataset):
        return dataset
    if (dataset.root / FILE_NAME).is_file():
        return attach(dataset, dataset.root / FILE_NAME)
    return _attach_each_category(dataset)


def _attach_each_category(dataset: Dataset) -> Dataset:
    tables = []
    for category in dataset.categories:
        rows = dataset.category(category)
        # A table may call a category whatever it likes; not every name is that of a folder.
        csv = None if leads_out(category) else inside(dataset.root, category) / FILE_NAME
        # Of another a file, or the name may be too long for any.
        known = csv is not None and os.path.isfile(csv)  # noqa: PTH113
        tables.append(attach(rows, csv).table if csv and known else rows.table)
    return dataset.with_table(qualify_parts(pl.concat(tables)))


def attach(dataset: Dataset, csv: Path) -> Dataset:
    """Parts and views from a CSV file with the columns file and part, and maybe view and label.

    Files are relative to the data set's root, or, if none is found there, to the CSV's folder.
    Raises DatasetError for a file that does not exist or comes twice, a row without a part, an
    image that the CSV lacks, and a label that contradicts the data set's.
    """
    given = _read_parts(csv)
    image = named_images(dataset, csv, given["file"].to_list())
    given = given.with_columns(pl.Series("image", image, dtype=pl.String)).drop_nulls("image")
    twice = given.filter(pl.col("image").is_duplicated())["file"].unique().sort().to_list()
    if twice:
        raise DatasetError(f"{csv} names files twice: {name_some(twice)}; keep one row for each.")
    joined = dataset.table.drop("part", "view").join(
        given.drop("file"), on="image", how="left", maintain_order="left"
    )
    lacking = joined.filter(pl.col("part").is_null())["image"].to_list()
    if lacking:
        raise DatasetError(
            f"{csv} lacks images ({len(lacking)}): {name_some(lacking)}; add a row for each."
        )
    joined = _with_claimed_label(joined, csv)
    return dataset.with_table(qualify_parts(joined.select(dataset.table.columns)))


def named_images(dataset: Dataset, csv: Path, files: list[str]) -> list[str | None]:
    """The image of the data set that each file is; None for other files, which must exist."""
    images = {match_key(image): image for image in dataset.table["image"]}
    found: list[str | None] = []
    for base in (dataset.root, csv.absolute().parent):
        names = below(dataset.root, base, files)
        found = [None if name is None else _known(images, name) for name in names]
        if any(found):
            break
    others = [file for file, image in zip(files, found, strict=True) if image is None]
    missing = [file for file in others if not _exists(base, file)]
    if missing:
        raise DatasetError(
            f"{csv} names files that do not exist ({len(missing)}): {name_some(missing)}; "
            "correct or remove these rows."
        )
    return found


def _known(images: Mapping[str, str], name: str) -> str | None:
    """The image of that name; blanks around a name belong to it where there is such an image."""
    return images.get(match_key(name)) or images.get(match_key(name.strip()))


def _exists(base: Path, file: str) -> bool:
    names = dict.fromkeys((file, file.strip()))
    paths = [base / name.replace("\\", "/") for name in names]
    # Unlike Path.exists, false for a name that is too long for any file.
    return any(hdf5.holds(p) if hdf5.file_and_name(p) else os.path.exists(p) for p in paths)  # noqa: PTH110


def from_pattern(dataset: Dataset, pattern: str) -> Dataset:
    """Parts and views from a regular expression with the named groups `part` and maybe `view`.

    The expression is searched for in each image's relative path. Raises DatasetError as
    `part_expression`, and when it does not match an image. Its groups `time` and `lot` are for
    `taken` to read.
    """
    expression = part_expression(pattern)
    images = dataset.table["image"].to_list()
    matches = [expression.search(image) for image in images]
    part = [match["part"] if match else None for match in matches]
    has_view = "view" in expression.groupindex
    view = [match["view"] if match and has_view else None for match in matches]
    lacking = [image for image, name in zip(images, part, strict=True) if not name]
    if lacking:
        raise DatasetError(
            f"the part pattern '{pattern}' matches no part in images ({len(lacking)}): "
            f"{name_some(lacking)}; widen it."
        )
    columns = [pl.Series("part", part, pl.String), pl.Series("view", view, pl.String)]
    return dataset.with_table(qualify_parts(dataset.table.with_columns(columns)))


def part_expression(pattern: str) -> re.Pattern[str]:
    """The pattern of `--part-pattern`; DatasetError for none, or one without a group `part`."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DatasetError(f"the part pattern '{pattern}' is not valid: {error}.") from error
    if "part" not in expression.groupindex:
        raise DatasetError(f"the part pattern '{pattern}' lacks a group (?P<part>...).")
    return expression


def _read_parts(csv: Path) -> pl.DataFrame:
    frame = read_delimited(csv)
    absent = [column for column in ("file", "part") if column not in frame.columns]
    if absent:
        raise DatasetError(
            f"{csv} has no column '{absent[0]}'; it needs file and part, and may have view and "
            "label."
        )
    blank = frame.filter(pl.col("file").is_null() | pl.col("part").is_null())
    if blank.height:
        first = blank["file"][0] or blank["part"][0]
        raise DatasetError(
            f"{csv} has rows without a file or a part ({blank.height}), the first at {first}; "
            "fill or remove them."
        )
    optional = [
        pl.lit(None, pl.String).alias(c) for c in ("view", "label") if c not in frame.columns
    ]
    return frame.with_columns(optional).select("file", "part", "view", claim="label")


def _with_claimed_label(table: pl.DataFrame, csv: Path) -> pl.DataFrame:
    """Hold the CSV's label, a word or a kind of defect, against the table's; fill unknown ones."""
    word = label_of("claim")
    claimed = pl.coalesce(word, pl.when(pl.col("claim").is_not_null()).then(pl.lit("defective")))
    kind = pl.when(word.is_null()).then("claim")
    other_kind = kind.str.to_lowercase() != pl.col("defect").str.to_lowercase()
    torn = table.filter((claimed != pl.col("label")) | other_kind)
    if torn.height:
        image, claim, label, defect = torn.select("image", "claim", "label", "defect").row(0)
        raise DatasetError(
            f"{csv} contradicts labels ({torn.height}): {image} is '{claim}' there "
            f"but '{defect or label}' in the data set; correct one of them."
        )
    return table.with_columns(
        label=pl.coalesce("label", claimed), defect=pl.coalesce("defect", kind)
    )
