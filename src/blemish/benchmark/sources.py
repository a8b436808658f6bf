"""Finds the data sets of a protocol below a root; folder names are matched loosely."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from blemish.benchmark.protocol import DataSource, SplitChoice
from blemish.dataset import Dataset, open_dataset
from blemish.errors import DatasetError


@dataclass(frozen=True)
class DataLocation:
    """Where the images of a run lie; those to train on are in `training` unless it is None.

    `parts`, `part_pattern` and `split` say which images are one part, and on which side, where the
    layout does not, as for `open_dataset`.
    """

    path: str
    layout: str | None = None
    training: str | None = None
    parts: str | None = None
    part_pattern: str | None = None
    split: str | None = None


def find_location(data: DataSource, split: SplitChoice, root: Path) -> DataLocation:
    """The location of a data set below `root` or in its package; DatasetError when absent.

    Case, blanks, hyphens and underscores make no difference.
    """
    base = Path(os.path.abspath(root)) if data.package is None else _package(data.package)  # noqa: PTH100
    path = _first(base, data.folders)
    if path is None:
        raise DatasetError(f"{base} holds none of {', '.join(data.folders)}")
    if not split.train_folders:
        return DataLocation(str(path), data.layout)
    folders = [folder.format(data=data.name) for folder in split.train_folders]
    training = _first(base, folders)
    if training is None:
        raise DatasetError(f"{base} holds none of {', '.join(folders)}")
    return DataLocation(str(path), data.layout, str(training))


@functools.lru_cache(maxsize=8)
def open_location(location: DataLocation) -> Dataset:
    """The data set at a location, read once per process."""
    data = open_dataset(
        location.path,
        layout=location.layout,
        parts=location.parts,
        part_pattern=location.part_pattern,
        split=location.split,
    )
    if location.training is None:
        return data
    return with_training(data, open_dataset(location.training))


@functools.lru_cache(maxsize=64)
def open_category(location: DataLocation, category: str) -> tuple[Dataset, str]:
    """One category of a data set, and its fingerprint."""
    data = open_location(location).category(category)
    return data, data.fingerprint()


def with_training(data: Dataset, other: Dataset) -> Dataset:
    """The test of `data`, of one category, with the good images of `other` to train on."""
    if len(data.categories) != 1:
        raise DatasetError(f"{data.root} must hold one category to be trained on {other.root}")
    root = Path(os.path.commonpath([data.root, other.root]))
    test = data.split("test").rows_below(root)
    good = (
        other.good()
        .rows_below(root)
        .with_columns(category=pl.lit(data.categories[0]), split=pl.lit("train"))
    )
    tested = test.select("image")
    table = pl.concat([good.join(tested, on="image", how="anti", maintain_order="left"), test])
    return Dataset(root, data.name, data.layout, table, data.terms)


def _package(name: str) -> Path:
    spec = find_spec(name)  # not imported: its files are all that is needed
    if spec is None or spec.origin is None:
        raise DatasetError(f"the package {name.replace('_', '-')} is not installed")
    return Path(spec.origin).parent


def _first(base: Path, folders: tuple[str, ...] | list[str]) -> Path | None:
    found = (_below(base, folder) for folder in folders)
    return next((path for path in found if path is not None), None)


def _below(base: Path, steps: str) -> Path | None:
    """The folder or file that loosely has these names, one below the other."""
    path = base
    for step in steps.split("/"):
        if step == ".":
            continue
        try:
            names = sorted(os.listdir(path))  # noqa: PTH208 - names are all that is needed
        except OSError:
            return None
        match = next((name for name in names if _loose(name) == _loose(step)), None)
        if match is None:
            return None
        path = path / (step if step in names else match)
    return path if path.exists() else None


def _loose(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()
