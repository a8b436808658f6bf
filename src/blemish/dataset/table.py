"""A data set is a table with one row per image."""

from __future__ import annotations

import difflib
import hashlib
import json
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from blemish.errors import DatasetError, ImageError
from blemish.images import hdf5, mask_files

COLUMNS = ("image", "mask", "category", "split", "label", "defect", "part", "view")
SCHEMA = pl.Schema({column: pl.String() for column in COLUMNS})
SPLITS = ("train", "validation", "test")
LABELS = ("good", "defective")
SYNTHETIC = "synthetic"  # the kind of every defect that was drawn, not found


@dataclass(frozen=True)
class Row:
    """One image with absolute paths; `label`, `defect`, `mask` and `view` are None when unknown."""

    image: Path
    mask: Path | None
    category: str
    split: str
    label: str | None
    defect: str | None
    part: str
    view: str | None


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a data set was read: the folder or file that was opened, and what was read there.

    `files` has the columns image and mask of every row, before any row was left out; `known` are
    patterns of other images that the layout leaves out on purpose.
    """

    place: Path
    files: pl.DataFrame
    known: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images of one or more categories, as read from `root` in a known layout.

    `table` has the columns `COLUMNS`, all strings. `image` and `mask` are relative to `root` with
    forward slashes; `part` is never null: an image without part information is its own part.
    `terms` is the first line of the licence found beside the images, or what the layout knows.
    `has_split` is False where labels are known and nothing says what trains and what tests: the
    splits are then a proposal. `origin` is None for a table that was not read from disk.
    """

    root: Path
    name: str
    layout: str
    table: pl.DataFrame
    terms: str | None = None
    has_split: bool = True
    origin: Origin | None = None

    def __post_init__(self) -> None:
        """Refuse a table of other columns: TypeError."""
        if self.table.schema != SCHEMA:
            raise TypeError(f"the columns must be {', '.join(COLUMNS)}, all strings")

    def __len__(self) -> int:
        """The number of images."""
        return self.table.height

    def with_table(self, table: pl.DataFrame) -> Dataset:
        """The same data set with other rows."""
        return replace(self, table=table)

    def where(self, condition: pl.Expr) -> Dataset:
        """The rows for which a polars expression holds."""
        return self.with_table(self.table.filter(condition))

    def take(self, indices: Sequence[int] | NDArray[np.integer]) -> Dataset:
        """The rows at these positions, in this order."""
        return self.with_table(self.table[np.asarray(indices, dtype=np.int64)])

    def rows_below(self, root: Path) -> pl.DataFrame:
        """The table for a root above this one: paths, and parts that are named by a path, moved."""
        inside = self.root.relative_to(root).as_posix()
        start = pl.lit("" if inside == "." else inside + "/")
        alone = pl.col("part") == pl.col("image")
        return self.table.with_columns(
            image=start + pl.col("image"),
            mask=start + pl.col("mask"),
            part=pl.when(alone).then(start + pl.col("part")).otherwise("part"),
        )

    def split(self, name: str) -> Dataset:
        """The rows of "train", "validation" or "test"."""
        if not isinstance(name, str) or name not in SPLITS:
            raise DatasetError(f"there is no split '{name}'; the splits are {', '.join(SPLITS)}.")
        return self.where(pl.col("split") == name)

    def good(self) -> Dataset:
        """The rows labelled good."""
        return self.where(pl.col("label") == "good")

    def defective(self) -> Dataset:
        """The rows labelled defective."""
        return self.where(pl.col("label") == "defective")

    def synthetic(self) -> Dataset:
        """The rows with a drawn defect."""
        return self.defective().where(_is_drawn())

    def real(self) -> Dataset:
        """The rows with a real defect."""
        return self.defective().where(~_is_drawn())

    def category(self, name: str) -> Dataset:
        """The rows of one category; DatasetError when there is no such category."""
        if not isinstance(name, str) or name not in self.categories:
            near = difflib.get_close_matches(str(name).lower(), self.categories, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise DatasetError(
                f"{self.root} has no category '{name}'; it has {', '.join(self.categories)}.{hint}"
            )
        return self.where(pl.col("category") == name)

    @property
    def categories(self) -> list[str]:
        """The categories, sorted."""
        return sorted(self.table["category"].unique().to_list())

    @property
    def parts(self) -> list[str]:
        """The parts, in the order of their first image."""
        return self.table["part"].unique(maintain_order=True).to_list()

    @property
    def views(self) -> list[str]:
        """The known views, sorted."""
        return sorted(self.table["view"].drop_nulls().unique().to_list())

    @property
    def has_parts(self) -> bool:
        """True when some part has more than one image."""
        return self.table["part"].n_unique() < len(self)

    @property
    def images(self) -> list[Path]:
        """The path of every image, absolute, in row order."""
        return [self.root / image for image in self.table["image"]]

    @property
    def masks(self) -> list[Path | None]:
        """The path of every mask, absolute, in row order; None where there is none."""
        return [None if mask is None else self.root / mask for mask in self.table["mask"]]

    def rows(self) -> list[Row]:
        """The table as values, in row order."""
        rest = self.table.select(COLUMNS[2:]).iter_rows()
        return [Row(i, m, *r) for i, m, r in zip(self.images, self.masks, rest, strict=True)]

    def fingerprint(self) -> str:
        """The sha256 (hex) over all rows and the sizes in bytes of their images and masks.

        Neither the order of the rows nor the place of `root` matters. A file that cannot be
        reached counts as size -1, an image inside an HDF5 file as that whole file. A picture
        changed without a change of size goes unnoticed.
        """
        ordered = self.table.sort(COLUMNS)
        sizes = [size for c in ("image", "mask") for size in _sizes(self.root, ordered[c])]
        text = json.dumps([ordered.rows(), sizes], ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def counts(self) -> dict[str, Any]:
        """What the data set holds, in numbers, ready for JSON.

        `splits` maps split, then label ("unknown" where there is none), to images and parts;
        `defects` maps each kind of defect to its images.
        """
        table = self.table.with_columns(pl.col("label").fill_null("unknown"))
        splits: dict[str, dict[str, dict[str, int]]] = {}
        numbers = table.group_by("split", "label").agg(
            images=pl.len(), parts=pl.col("part").n_unique()
        )
        for split, label, images, parts in numbers.sort("split", "label").iter_rows():
            splits.setdefault(split, {})[label] = {"images": images, "parts": parts}
        kinds = table.drop_nulls("defect").group_by("defect").len().sort("defect")
        return {
            "images": len(self),
            "parts": table["part"].n_unique(),
            "masks": len(self) - table["mask"].null_count(),
            "categories": self.categories,
            "views": self.views,
            "splits": splits,
            "defects": dict(kinds.iter_rows()),
        }


def _is_drawn() -> pl.Expr:
    return pl.col("defect").str.to_lowercase().eq_missing(SYNTHETIC)


def conform(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of `COLUMNS` as strings: others dropped, absent ones null, `part` filled."""
    absent = [pl.lit(None).alias(c) for c in COLUMNS if c not in frame.columns]
    table = frame.with_columns(absent).select(pl.col(c).cast(pl.String) for c in COLUMNS)
    return table.with_columns(pl.col("part").fill_null(pl.col("image")))


def qualify_parts(table: pl.DataFrame) -> pl.DataFrame:
    """Put the category before every part name, if some name occurs in several categories.

    A part is one object of one category, so a serial number that restarts in each category
    stands for different parts.
    """
    per_part = table.group_by("part").agg(pl.col("category").n_unique())
    if not (per_part["category"] > 1).any():
        return table
    named = pl.col("part") != pl.col("image")
    qualified = pl.concat_str("category", "part", separator="/")
    return table.with_columns(part=pl.when(named).then(qualified).otherwise(pl.col("part")))


def _sizes(root: Path, names: Iterable[str | None]) -> list[int | None]:
    """The bytes of the file that each name lies in; each file is looked at once."""
    known: dict[str, int | None] = {"": None}
    files = list(hdf5.files_on_disk(root, (name or "" for name in names)))
    for file in dict.fromkeys(files):
        if file:
            known[file] = _size(root / file)
    return [known[file] for file in files]


def _size(path: Path) -> int:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):  # several masks of one image
            return sum(file.stat().st_size for file in mask_files(path))
    except (OSError, ImageError):
        return -1
    return status.st_size
