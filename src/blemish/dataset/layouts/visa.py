"""VisA as it is published: `split_csv/1cls.csv` above a folder `Data` for each category.

Zou et al., "SPot-the-Difference Self-Supervised Pre-training for Anomaly Detection and
Segmentation", ECCV 2022. Of the published splits only 1cls is read: the two others are for methods
that learn from defects. Converted to the layout of MVTec AD, it is read as that.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset.csv_file import read_delimited
from blemish.dataset.file_lookup import find_files
from blemish.dataset.label_words import is_good, label_of, name_some, split_of
from blemish.dataset.paths import steps_to, sub_folders
from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.images import image_names
from blemish.util.names import escaped

EXPECTS = "split_csv/1cls.csv, or <category>/Data/Images/Normal, Images/Anomaly and Masks/Anomaly"

SPLIT = "split_csv/1cls.csv"
KINDS = "image_anno.csv"
UNKNOWN_KIND = "anomaly"
TERMS = "CC BY 4.0"


def recognises(path: Path) -> bool:
    """True for a folder with the published split, for a category, and for a folder of those."""
    return (path / SPLIT).is_file() or bool(_category_folders(path))


def read(path: Path) -> Dataset:
    """The categories in `path`, or the one that `path` is, in the published split.

    Without that split's file nobody knows it: all normal images can train, and the anomalies are
    the test. The kind of an anomaly is what `image_anno.csv` calls it, several kinds in one text;
    "anomaly" without it.
    Raises DatasetError for files that do not exist or lie outside, unknown words, stray files, and
    an `image_anno.csv` that contradicts the rest.
    """
    folders = _category_folders(path)
    if (path / SPLIT).is_file():
        table = _published(path)
    elif not folders:
        raise DatasetError(f"{path} has not the layout visa, which is {EXPECTS}.")
    elif folders == [path] and (path.parent / SPLIT).is_file():
        return read(path.parent).category(path.name)
    else:
        table = pl.concat([_unsplit(path, folder) for folder in folders])
    kinds = [_kinds(path, folder / KINDS) for folder in folders if (folder / KINDS).is_file()]
    told = (path / SPLIT).is_file()
    table = conform(_with_kinds(table, kinds))
    return Dataset(path, path.name, "visa", table, TERMS, has_split=told)


def _category_folders(path: Path) -> list[Path]:
    folders = [path, *sub_folders(path)]
    found = [folder for folder in folders if (folder / "Data" / "Images" / "Normal").is_dir()]
    return [path] if path in found else found


def _published(root: Path) -> pl.DataFrame:
    file = root / SPLIT
    frame = _read(file, ("object", "split", "label", "image", "mask"))
    blank = frame.filter(pl.any_horizontal(pl.col("object", "split", "label", "image").is_null()))
    if blank.height:
        raise DatasetError(f"{file} has {blank.height} rows with empty cells; download it again.")
    table = frame.select(
        find_files(file, frame["image"], root),
        find_files(file, frame["mask"], root),
        category="object",
        split=split_of("split"),
        label=label_of("label"),
    )
    for column in ("split", "label"):
        odd = frame.filter(table[column].is_null())[column].unique().sort().to_list()
        if odd:
            raise DatasetError(
                f"{file} has a {column} that is not known: {name_some(odd)}; download it again."
            )
    return table


def _unsplit(root: Path, folder: Path) -> pl.DataFrame:
    """The images of one category by their folders."""
    names = image_names(folder, root, any_name=True)
    files = pl.DataFrame({"inside": names}, schema={"inside": pl.String})
    steps = r"^Data/(?<what>Images|Masks)/(?<kind>Normal|Anomaly)/(?<stem>[^/]+)\.[^./]+$"
    files = files.with_columns(steps=pl.col("inside").str.extract_groups(steps)).unnest("steps")
    stray = files.filter(pl.col("kind").is_null())["inside"].to_list()
    if stray:
        raise DatasetError(f"{folder}: {name_some(stray)} must not lie there; expected {EXPECTS}.")
    files = files.with_columns(path=pl.lit(steps_to(folder, root)) + pl.col("inside"))
    images = files.filter(pl.col("what") == "Images").select("kind", "stem", image="path")
    masks = files.filter(pl.col("what") == "Masks").select("kind", "stem", mask="path")
    lost = masks.join(images, on=["kind", "stem"], how="anti")["mask"].to_list()
    twice = masks.filter(pl.struct("kind", "stem").is_duplicated())["mask"].to_list()
    if lost or twice:
        reason = f"no image for {name_some(lost)}" if lost else f"two masks, {name_some(twice)}"
        raise DatasetError(f"{folder} has {reason}; download it again.")
    good = pl.col("kind") == "Normal"
    return images.join(masks, on=["kind", "stem"], how="left", maintain_order="left").select(
        "image",
        "mask",
        category=pl.lit(escaped(folder.name)),
        split=pl.when(good).then(pl.lit("train")).otherwise(pl.lit("test")),
        label=pl.when(good).then(pl.lit("good")).otherwise(pl.lit("defective")),
    )


def _kinds(root: Path, file: Path) -> pl.DataFrame:
    """The columns image and defect of one `image_anno.csv`, whose paths begin with the category."""
    frame = _read(file, ("image", "label"))
    images = find_files(file, frame["image"], root, file.parent.parent)
    kinds = frame.select(images, defect="label").drop_nulls("image")
    twice = kinds.filter(pl.col("image").is_duplicated())["image"].unique().sort().to_list()
    if twice:
        raise DatasetError(f"{file} names images twice: {name_some(twice)}; keep one row for each.")
    return kinds


def _with_kinds(table: pl.DataFrame, kinds: list[pl.DataFrame]) -> pl.DataFrame:
    nothing = pl.DataFrame(schema={"image": pl.String, "defect": pl.String})
    named = pl.concat([nothing, *kinds])
    table = table.join(named, on="image", how="left", maintain_order="left")
    good = pl.col("label") == "good"
    torn = table.filter(is_good("defect") != good)
    if torn.height:
        image, label, defect = torn.select("image", "label", "defect").row(0)
        raise DatasetError(
            f"{KINDS} contradicts labels ({torn.height}): {image} is '{defect}' there but {label} "
            "in the split or by its folder; correct one of them."
        )
    kind = pl.when(~good).then(pl.col("defect").fill_null(UNKNOWN_KIND))
    return table.with_columns(defect=kind)


def _read(file: Path, columns: tuple[str, ...]) -> pl.DataFrame:
    frame = read_delimited(file)
    absent = [column for column in columns if column not in frame.columns]
    if absent:
        raise DatasetError(
            f"{file} has no column '{absent[0]}'; its columns are {', '.join(frame.columns)}."
        )
    return frame
