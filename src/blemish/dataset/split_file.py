"""A split as a file: which images train, validate and test, and whose labels are hidden."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl

from blemish.dataset.label_words import name_some
from blemish.dataset.paths import match_keys
from blemish.dataset.splits import Split, hide_labels
from blemish.dataset.table import COLUMNS, SPLITS, Dataset
from blemish.errors import DatasetError
from blemish.util.files import replacing
from blemish.util.library_errors import shortened
from blemish.util.text_files import read_json

SCHEMA = 1
_NAMED = pl.Schema({"name": pl.String(), "side": pl.String()})
_WRITE_AGAIN = "write it again with `blemish data split`"


def write_split(split: Split, path: Path) -> None:
    """Write a split as JSON: the same data, protocol and seed give the same bytes everywhere.

    Names are relative to the root of the data set. Raises DatasetError where `path` is a folder.
    """
    if path.is_dir():
        raise DatasetError(f"{path} is a folder; name a file for the split, with -o SPLIT.json.")
    table = split.data.table
    images = {
        side: table.filter(pl.col("split") == side)["image"].sort().to_list() for side in SPLITS
    }
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "data": split.data.name,
        "protocol": split.protocol,
        "settings": split.settings,
        "seed": split.seed,
        "images": images,
        "hidden": split.hidden,
    }
    if split.outside is not None:
        content["outside"] = split.outside
    text = json.dumps({**content, "sha256": _digest(content)}, indent=1)
    with replacing(path) as file:
        file.write(text.encode("ascii") + b"\n")


def apply_split(data: Dataset, path: Path) -> Dataset:
    """The images of `data` that a split file names, on their sides, with hidden labels hidden.

    Raises DatasetError for a file that is not whole, was changed, or names images that are not in
    the data set.
    """
    content = _read(path)
    images: dict[str, list[str]] = content["images"]
    sides = [pl.DataFrame({"name": n, "side": [s] * len(n)}, _NAMED) for s, n in images.items()]
    named = pl.concat(sides).with_columns(hidden=pl.col("name").is_in(content["hidden"]))
    named = named.with_columns(key=pl.Series(match_keys(named["name"].to_list()), dtype=pl.String))
    table = data.table.with_columns(
        key=pl.Series(match_keys(data.table["image"].to_list()), dtype=pl.String)
    )
    missing = named.join(table, on="key", how="anti", maintain_order="left")["name"].to_list()
    if missing:
        raise DatasetError(
            f"{path} names images that {data.root} does not have ({len(missing)}): "
            f"{name_some(missing, 10)}; use the data set that it was written for, "
            f"{shortened(str(content.get('data')))}."
        )
    named = named.drop("name").unique("key", keep="first")
    table = table.join(named, on="key", maintain_order="left").with_columns(split="side")
    return data.with_table(hide_labels(table, pl.col("hidden")).select(COLUMNS))


def _read(path: Path) -> dict[str, Any]:
    """The checked content of a split file."""
    content = read_json(path, "split file, or cut off", f"{_WRITE_AGAIN}.")
    if not isinstance(content, dict) or not {"schema", "images", "sha256"} <= content.keys():
        raise DatasetError(f"{path} is no split file; {_WRITE_AGAIN}.")
    if content["schema"] is True or content["schema"] != SCHEMA:
        raise DatasetError(
            f"{path} has schema {shortened(str(content['schema']))}, and this version of blemish "
            f"reads {SCHEMA}; update blemish, or {_WRITE_AGAIN}."
        )
    if content["sha256"] != _digest(content):
        raise DatasetError(f"{path} was changed after it was written; {_WRITE_AGAIN}.")
    images = content["images"]
    of_sides = isinstance(images, dict) and images.keys() <= set(SPLITS)
    lists = [*images.values(), content.get("hidden")] if of_sides and images else [None]
    if not all(map(_are_names, lists)):
        raise DatasetError(f"{path} does not list images by their side; {_WRITE_AGAIN}.")
    return content


def _are_names(names: object) -> bool:
    """True for a list of texts that can each name a file."""
    return isinstance(names, list) and all(isinstance(n, str) and "\0" not in n for n in names)


def _digest(content: dict[str, Any]) -> str:
    """The sha256 over what decides the split; the name of the data set does not."""
    matters = {key: content.get(key) for key in content.keys() - {"data", "sha256"}}
    text = json.dumps(matters, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
