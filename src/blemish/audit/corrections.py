"""Corrected labels: the table after a person's decisions, with the history of each label."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from blemish.dataset import COLUMNS, Dataset
from blemish.dataset.parquet_file import column_names
from blemish.dataset.paths import is_image_file
from blemish.errors import DatasetError
from blemish.util.files import replacing
from blemish.util.text_files import first_line

Decisions = Mapping[str, str]


def corrected_table(data: Dataset, rounds: Sequence[Decisions]) -> pl.DataFrame:
    """The table after every round's decisions, in their order, with the column `history`.

    `history` reads "given good; round 1: defective". An image labelled good loses defect and
    mask. One labelled defective moves its part from the training split, which holds good parts
    alone, to the test split. A removed image has no row.
    """
    label = dict(zip(data.table["image"], data.table["label"], strict=True))
    history = {image: [f"given {word or 'no label'}"] for image, word in label.items()}
    removed: set[str] = set()
    for number, decisions in enumerate(rounds, 1):
        for image, decision in decisions.items():
            if image not in label:
                raise DatasetError(
                    f"{data.root} has no image {image} any more, on which round {number} decided; "
                    "put it back, or begin the audit anew in another folder."
                )
            history[image].append(f"round {number}: {decision}")
            if decision == "remove":
                removed.add(image)
            elif decision != "keep":
                label[image] = decision
                removed.discard(image)
    images = data.table["image"]
    table = data.table.with_columns(
        pl.Series("now", [label[image] for image in images], dtype=pl.String),
        pl.Series("history", ["; ".join(history[image]) for image in images], dtype=pl.String),
    )
    good, changed = pl.col("now") == "good", pl.col("now").ne_missing(pl.col("label"))
    trained = (changed & ~good).any().over("part") & (pl.col("split") == "train")
    return (
        table.with_columns(
            defect=pl.when(~good.fill_null(False)).then("defect"),
            mask=pl.when(~(changed & good)).then("mask"),
            split=pl.when(trained).then(pl.lit("test")).otherwise("split"),
            label="now",
        )
        .filter(~pl.col("image").is_in(sorted(removed)))
        .drop("now")
    )


def write_table(data: Dataset, table: pl.DataFrame, path: Path) -> None:
    """Write a corrected table as CSV or Parquet; `open_dataset` reads it.

    Its folder must be the data set's root or one above, because a table names files below itself.
    Raises DatasetError where it is not, and where another file than such a table would be lost;
    ArtifactError when it cannot be written.
    """
    if path.exists() and not _is_ours(path):
        raise DatasetError(
            f"{path} exists and is no table of an audit; name another file with --table."
        )
    home = Path(os.path.abspath(path.parent))  # noqa: PTH100 (a link keeps its own name)
    if not data.root.is_relative_to(home):
        raise DatasetError(
            f"a table names files below its own folder, and {data.root} is not below {home}: "
            f"write {data.root / path.name} with --table."
        )
    if not all(map(is_image_file, table["image"])):
        raise DatasetError(
            f"{data.root} holds images that are no files of their own; make them files with "
            "`blemish data convert --copy` and audit those."
        )
    moved = data.with_table(table.select(COLUMNS)).rows_below(home)
    moved = moved.with_columns(
        part=pl.when(pl.col("part") != pl.col("image")).then("part"), history=table["history"]
    )
    with replacing(path) as file:
        if path.suffix.lower() == ".parquet":
            moved.write_parquet(file)
        else:
            file.write(moved.write_csv().encode("utf-8"))


def _is_ours(path: Path) -> bool:
    """Whether a file is a table that an audit wrote: no other has the column `history`."""
    if path.suffix.lower() != ".parquet":
        return "history" in first_line(path).strip().split(",")
    try:
        return "history" in column_names(path)
    except DatasetError:
        return False
