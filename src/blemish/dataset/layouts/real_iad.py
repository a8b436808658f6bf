"""Real-IAD: a JSON file per category beside folders of images, five views of every part.

Wang et al., "Real-IAD: A Real-World Multi-View Dataset for Benchmarking Versatile Industrial
Anomaly Detection", CVPR 2024. Each folder of JSON files is one protocol: `realiad_jsons` for normal
training images, `realiad_jsons_sv` for the top view alone, `realiad_jsons_fuiad_<share>` for
training images with that share of defective parts.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import polars as pl

from blemish.dataset.file_lookup import find_files
from blemish.dataset.label_words import name_some
from blemish.dataset.paths import sub_folders
from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.util.text_files import read_json

EXPECTS = (
    "realiad_jsons*/<category>.json beside realiad_<size>/<category>, or one of these folders "
    "or .json files"
)

TERMS = "CC BY-NC-SA 4.0, for non-commercial use only"
KNOWN = ("**",)  # the JSON files of a protocol say which images count
KINDS = {
    "AK": "pit",
    "BX": "deformation",
    "CH": "abrasion",
    "HS": "scratch",
    "PS": "damage",
    "QS": "missing parts",
    "YW": "foreign object",
    "ZW": "contamination",
}
JSONS = "realiad_jsons"
_SIZE = re.compile(r"realiad_(256|512|1024|raw)", re.IGNORECASE)
_STEPS = (
    r"(?:^|/)(?:OK|NG/(?<folder>[^/]+))/[^/]+/[^/]+_(?<number>\d+)"
    r"_(?:OK|NG_(?<code>[^_/]+))_(?<view>C\d+)_[^/]*$"
)


def recognises(path: Path) -> bool:
    """True for a .json file, a folder of Real-IAD's, and one or two levels above such a folder."""
    return path.suffix.lower() == ".json" if path.is_file() else bool(_json_folders(path))


def read(path: Path) -> Dataset:
    """The categories of one folder of JSON files, or of one such file.

    The images lie beside the JSON files or above them, in one size; the root is the folder that
    holds both. A part is an object with its number and kind. All that trains counts as good, and
    nothing in its row tells of a defect, as the protocol with defective training parts demands. In
    the test a view that shows no defect is good, whatever its part is.
    Raises DatasetError where several sizes or protocols are at hand, for JSON of another form, a
    class that contradicts the path, and files that do not exist or lie outside.
    """
    folder, files = _json_files(path)
    images = _image_folder(path, folder, files)
    root = Path(os.path.commonpath([folder, images]))
    entries = pl.concat([_entries(file) for file in files])
    # Both at once, because masks lie beside their images and each folder is looked at once.
    paths = find_files(folder, pl.concat([entries["image"], entries["mask"]]), root, images)
    entries = entries.with_columns(image=paths[: len(entries)], mask=paths[len(entries) :])
    name = folder.name if path.is_dir() else path.stem
    return Dataset(root, name, "real_iad", conform(_table(entries)), TERMS)


def _json_folders(path: Path) -> list[Path]:
    """The folders of JSON files: `path` itself, in it, or, if it holds images, also beside it."""
    if _is_jsons(path):
        return [path]
    bases = [path, path.parent] if _SIZE.fullmatch(path.name) else [path]
    for base in bases:
        outer = [folder for folder in sub_folders(base) if _named(folder)]
        # The archive of the JSON files may hold all protocols in one more folder.
        inner = [folder for above in outer for folder in sub_folders(above)]
        if found := [folder for folder in (*outer, *inner) if _is_jsons(folder)]:
            return found
    return []


def _named(folder: Path) -> bool:
    return folder.name.lower().startswith(JSONS)


def _is_jsons(folder: Path) -> bool:
    return _named(folder) and bool(_jsons_in(folder))


def _jsons_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    files = [f for f in folder.iterdir() if f.suffix.lower() == ".json"]
    return sorted(f for f in files if not f.name.startswith("."))


def _json_files(path: Path) -> tuple[Path, list[Path]]:
    """The one folder of JSON files that is meant, and those to read."""
    if path.is_file():
        return path.parent, [path]
    folders = _json_folders(path)
    if len(folders) > 1:
        names = name_some([str(folder) for folder in folders], 10)
        raise DatasetError(f"{path} has several protocols: {names}; open one of these folders.")
    folder = folders[0] if folders else path
    if not (files := _jsons_in(folder)):
        raise DatasetError(f"{path} has not the layout real_iad, which is {EXPECTS}.")
    return folder, files


def _image_folder(path: Path, folder: Path, files: list[Path]) -> Path:
    """The folder in which the categories' folders of images lie."""
    nested = _named(folder.parent)
    for base in (path, folder.parent, *([folder.parent.parent] if nested else [])):
        if _SIZE.fullmatch(base.name):
            return base
        sizes = [f for f in sub_folders(base) if _SIZE.fullmatch(f.name)]
        if len(sizes) > 1:
            raise DatasetError(
                f"{base} holds the images in several sizes: {name_some([s.name for s in sizes])}; "
                f"copy {folder.name} into the folder of one size and open that copy."
            )
        if sizes:
            return sizes[0]
        if base != folder and any((base / file.stem).is_dir() for file in files):
            return base
    raise DatasetError(
        f"{folder} has no images beside it; unpack them into {folder.parent / 'realiad_1024'}, or "
        "whichever size they are."
    )


def _entries(file: Path) -> pl.DataFrame:
    """One JSON file as rows of split, category, class, image, mask, and what the path tells.

    `class` is null for a normal image; `folder`, null too, is the kind of the part.
    """
    document = _parsed(file)
    meta = document["meta"]
    table = pl.concat(_rows(file, split, document[split]) for split in ("train", "test"))
    prefix = meta["prefix"].rstrip("/") + "/" if meta["prefix"] else ""
    paths = pl.col("image", "mask")
    table = table.with_columns(
        pl.when(paths.str.starts_with("/")).then(paths).otherwise(prefix + paths)
    )
    normal = pl.col("mask").is_null() | (pl.col("class") == meta["normal_class"])
    table = table.with_columns(
        told=pl.when(pl.col("class") != meta["normal_class"]).then("class"),
        steps=pl.col("image").str.replace_all("\\", "/", literal=True).str.extract_groups(_STEPS),
    ).unnest("steps")
    _refuse_contradictions(file, table)
    return table.drop("code", "told").with_columns(
        pl.when(~normal).then("class").alias("class"), pl.when(~normal).then("mask").alias("mask")
    )


def _parsed(file: Path) -> dict[str, Any]:
    """The JSON of one category; DatasetError where it is none, or lacks what is read."""
    document = read_json(file, "JSON", "download it again.")
    meta = document.get("meta") if isinstance(document, dict) else None
    for where, key, kind in (
        (document, "meta", dict),
        (meta, "prefix", str),
        (meta, "normal_class", str),
        (document, "train", list),
        (document, "test", list),
    ):
        if not isinstance(where, dict) or not isinstance(where.get(key), kind):
            raise DatasetError(
                f"{file} is no file of Real-IAD: it lacks the key '{key}', or holds something else "
                "there; download it again."
            )
    return dict(document)


def _rows(file: Path, split: str, entries: list[Any]) -> pl.DataFrame:
    """The entries of one split, paths as they are written."""
    columns = {
        "split": [split] * len(entries),
        "category": _texts(file, split, entries, "category"),
        "class": _texts(file, split, entries, "anomaly_class"),
        "image": _texts(file, split, entries, "image_path"),
        "mask": _texts(file, split, entries, "mask_path", or_null=True),
    }
    table = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return table.with_columns(pl.col("mask").replace("", None))


def _texts(
    file: Path, split: str, entries: list[Any], key: str, *, or_null: bool = False
) -> list[str | None]:
    values: list[Any] = [entry.get(key, 0) if isinstance(entry, dict) else 0 for entry in entries]
    for number, value in enumerate(values):
        if not (isinstance(value, str) or (or_null and value is None)):
            raise DatasetError(
                f"{file}: entry {number} of '{split}' has no text as '{key}'; download it again."
            )
    return values


def _refuse_contradictions(file: Path, table: pl.DataFrame) -> None:
    odd = table.filter(pl.col("number").is_null())["image"].to_list()
    if odd:
        raise DatasetError(
            f"{file} names images otherwise than OK/S0001/<category>_0001_OK_C1_<time>.jpg: "
            f"{name_some(odd)}; download it again."
        )
    kind = pl.col("folder")
    other = pl.col("told").is_not_null() & pl.col("told").ne_missing(kind)
    torn = table.filter(other | pl.col("code").ne_missing(kind))
    if torn.height:
        image, told = torn.select("image", pl.col("told").fill_null("normal")).row(0)
        raise DatasetError(
            f"{file} contradicts the paths of images ({torn.height}): {image} is '{told}' there; "
            "download it again."
        )


def _table(entries: pl.DataFrame) -> pl.DataFrame:
    train = pl.col("split") == "train"
    shown = pl.when(~train)  # nothing of a training row tells of a defect
    kind = pl.coalesce(pl.lit("NG_") + pl.col("folder"), pl.lit("OK"))
    table = entries.with_columns(
        defect=shown.then(pl.col("class").replace(KINDS)),
        part=pl.concat_str("category", "number", kind, separator="_"),
    )
    # A part in both splits keeps its name, so that the check of the data set finds it.
    tested = table.filter(~train)["part"].unique().to_list()
    hidden = train & ~pl.col("part").is_in(tested)
    defective = pl.col("defect").is_not_null()
    return table.with_columns(
        mask=shown.then("mask"),
        label=pl.when(defective).then(pl.lit("defective")).otherwise(pl.lit("good")),
        part=pl.when(hidden).then(_neutral(table)).otherwise("part"),
    )


def _neutral(table: pl.DataFrame) -> pl.Series:
    """The names of the parts, with a digest in the place of the word OK or the kind of defect."""
    key = ["part", "category", "number"]
    names = {
        part: f"{category}_{number}_{hashlib.sha256(part.encode()).hexdigest()[:8]}"
        for part, category, number in table.select(key).unique().iter_rows()
    }
    return table["part"].replace_strict(names, return_dtype=pl.String)
