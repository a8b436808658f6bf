"""A table: one CSV or Parquet file with a row per image, paths relative to its folder."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset.csv_file import as_text, read_delimited
from blemish.dataset.file_lookup import find_files
from blemish.dataset.folder_labels import refuse_called_defective
from blemish.dataset.label_words import (
    DEFECTIVE_WORDS,
    GOOD_WORDS,
    is_good,
    label_of,
    name_some,
    split_of,
)
from blemish.dataset.parquet_file import read_parquet
from blemish.dataset.table import COLUMNS, Dataset, conform, qualify_parts
from blemish.errors import DatasetError

EXPECTS = "a .csv or .parquet file with the column image"

SUFFIXES = (".csv", ".tsv", ".parquet")
KNOWN = ("**",)  # a table says which images count


def recognises(path: Path) -> bool:
    """True for a file that ends in .csv, .tsv or .parquet."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def read(path: Path) -> Dataset:
    """The rows of a table; of its columns `COLUMNS` only `image` is required, others are ignored.

    An image with a kind of defect is defective. Without `label`, every other image is good unless
    it is in the test. Without `split`, good images train and the rest is the test.
    Raises DatasetError for files that do not exist or lie outside the table's folder, for words
    that are no label or split, and for images without a label whose folders are called defective.
    """
    if not recognises(path):
        raise DatasetError(f"{path} is not a table; name {EXPECTS}.")
    if path.suffix.lower() == ".parquet":
        frame = as_text(read_parquet(path), path)
    else:
        frame = read_delimited(path)
    if "image" not in frame.columns:
        raise DatasetError(
            f"{path} has no column 'image'; its columns are {name_some(frame.columns, 12)}."
        )
    if frame["image"].null_count():
        row = frame["image"].is_null().arg_max() or 0
        raise DatasetError(f"{path} names no image in row {row + 1}; fill or remove that row.")
    frame = frame.select(c for c in COLUMNS if c in frame.columns)
    for column in ("image", "mask"):
        if column in frame.columns:
            files = find_files(path, frame[column], path.parent, folders=column == "mask")
            frame = frame.with_columns(files)
    table = with_split(with_label(conform(frame), frame.columns, path), frame.columns, path)
    table = table.with_columns(pl.col("category").fill_null(path.stem))
    told = "split" in frame.columns or not {"label", "defect"} & set(frame.columns)
    return Dataset(path.parent, path.stem, "table", qualify_parts(table), has_split=told)


def with_label(table: pl.DataFrame, given: list[str], path: Path) -> pl.DataFrame:
    """Labels from words and kinds of defect; `given` are the columns of the file at `path`."""
    table = table.with_columns(word="label", label=label_of("label"))
    odd = table.filter(pl.col("label").is_null())["word"].drop_nulls().unique().sort().to_list()
    if odd:
        raise DatasetError(
            f"{path} has labels that are not known: {name_some(odd)}; write {GOOD_WORDS[0]} or "
            f"{DEFECTIVE_WORDS[0]}, and the kind of defect into the column 'defect'."
        )
    table = table.with_columns(silent=pl.col("defect").is_null())
    table = table.with_columns(defect=pl.when(is_good("defect").not_()).then("defect"))
    defect = pl.col("defect").is_not_null()
    torn = table.filter((pl.col("label") == "good") & defect)["image"].to_list()
    if torn:
        raise DatasetError(
            f"{path} calls images good that have a kind of defect: {name_some(torn)}; "
            "correct the label or empty the defect."
        )
    label = pl.when(defect).then(pl.lit("defective")).otherwise("label")
    if "label" not in given:  # nobody said that these images are good
        tested = (split_of("split") == "test").fill_null(False)
        refuse_called_defective(path, table.filter("silent", ~tested)["image"])
        label = pl.when(~defect & ~tested).then(pl.lit("good")).otherwise(label)
    return table.drop("word", "silent").with_columns(label=label)


def with_split(table: pl.DataFrame, given: list[str], path: Path) -> pl.DataFrame:
    """Splits from words, or from labels where the file at `path` gives none."""
    if "split" not in given:
        good = pl.col("label") == "good"
        split = pl.when(good).then(pl.lit("train")).otherwise(pl.lit("test"))
        return table.with_columns(split=split)
    odd = table.filter(split_of("split").is_null())["split"].fill_null("(empty)")
    if len(odd):
        raise DatasetError(
            f"{path} has splits that are not known: {name_some(odd.unique().sort().to_list())}; "
            "write train, validation or test."
        )
    return table.with_columns(split=split_of("split"))
