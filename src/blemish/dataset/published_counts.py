"""Completeness of a published data set: its images on disk against the published counts.

Left out are Real-IAD, whose reader compares the images with the official lists of files, and BTAD,
whose archive holds 290 defective images where the tables say 580.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from blemish.dataset.check import Finding
from blemish.dataset.label_words import name_some
from blemish.dataset.table import Dataset
from blemish.published import published

TITLES = {
    "dagm": "DAGM",
    "isp_ad": "ISP-AD",
    "kolektor_sdd2": "KolektorSDD2",
    "magnetic_tile": "the magnetic tile set",
    "mvtec": "MVTec AD",
    "vad": "VAD",
    "visa": "VisA",
}
TOTALS = ("dagm",)  # of these only totals are published
EXPECTED = pl.Schema(
    {"category": pl.String(), "split": pl.String(), "label": pl.String(), "images": pl.Int64()}
)
_NUMBERED = r"^(?<folder>.*/)?(?<start>[^/]*?)(?<digits>\d+)(?<rest>[^/\d]*)$"


def published_counts(dataset: Dataset) -> Iterator[Finding]:
    """A warning for each count below the published one, a note for each above it or in doubt.

    Compares the categories that are there, of layouts whose counts are known; of the layout mvtec
    only sets whose categories all bear names of MVTec AD.
    """
    # One folder called "bottle" may be anybody's, two names of MVTec AD are no accident.
    doubtful = dataset.layout == "mvtec" and len(dataset.categories) == 1
    for category, split, label, expected in _expected(dataset).iter_rows():
        given = {"category": category, "split": split, "label": label}
        rows = dataset.table.filter(**{c: value for c, value in given.items() if value is not None})
        if rows.height == expected:
            continue
        missing = gaps(rows["image"])
        named = len(missing) == expected - rows.height
        yield Finding(
            "warning" if rows.height < expected and not doubtful else "note",
            f"{category or dataset.name}: {rows.height} of the {expected} "
            f"{' '.join(filter(None, [label, split]))} images of {TITLES[dataset.layout]}"
            + (f"; missing: {name_some(missing, 10)}." if named else "."),
        )


def gaps(images: pl.Series) -> list[str]:
    """The names that are missing between the first and the last number of each folder."""
    names = images.str.extract_groups(_NUMBERED).struct.unnest().drop_nulls("digits")
    names = names.with_columns(
        start=pl.concat_str(pl.col("folder").fill_null(""), "start"),
        number=pl.col("digits").cast(pl.Int64),
        width=pl.col("digits").str.len_chars(),
    )
    numberings = names.group_by("start", "rest", maintain_order=True).agg("number", pl.min("width"))
    missing = []
    for start, rest, numbers, width in numberings.iter_rows():
        there = set(numbers)
        missing += [
            f"{start}{number:0{width}d}{rest}"
            for number in range(min(there), max(there))
            if number not in there
        ]
    return missing


def _expected(dataset: Dataset) -> pl.DataFrame:
    """The published counts for this data set; no row where none are known.

    A category or a split of None stands for all of them together.
    """
    if dataset.layout == "isp_ad":
        return _isp_ad(dataset)
    if dataset.layout in TOTALS:
        return _whole(dataset)
    known = pl.DataFrame(published("category_counts"), infer_schema_length=None)
    known = known.filter(pl.col("layout") == dataset.layout).drop("layout")
    known = known.with_columns(pl.col("split").replace("", None)).cast(EXPECTED)
    if dataset.layout == "mvtec" and not set(dataset.categories) <= set(known["category"]):
        return EXPECTED.to_frame()
    return known.filter(pl.col("category").is_in(dataset.categories))


def _whole(dataset: Dataset) -> pl.DataFrame:
    title = TITLES[dataset.layout]
    [row] = [row for row in published("datasets") if row["dataset"] == title]
    if len(dataset.categories) < int(row["classes"]):
        return EXPECTED.to_frame()
    counts = [
        (None, None, "good", int(row["good"])),
        (None, None, "defective", int(row["defects"])),
    ]
    return pl.DataFrame(counts, EXPECTED, orient="row")


def _isp_ad(dataset: Dataset) -> pl.DataFrame:
    """Its settings differ in training: only the supervised one has defects there.

    Without a test and without defects it may be the unaugmented good patches: nothing is compared.
    """
    counts = []
    for row in published("isp_ad_counts"):
        numbers = {key: int(value) for key, value in row.items() if key != "modality"}
        category = row["modality"]
        if category not in dataset.categories:
            continue
        rows = dataset.category(category)
        train, tested = rows.split("train"), len(rows.split("test")) > 0
        if not len(train.defective()):
            if not tested:
                continue
            counts.append((category, "train", "good", numbers["train_good_unsupervised"]))
        else:
            defective = [numbers[f"train_{kind}"] for kind in ("synthetic", "area", "points")]
            counts.append((category, "train", "good", numbers["train_good_supervised"]))
            counts.append((category, "train", "defective", sum(defective)))
        if tested:
            defects = numbers["test_area"] + numbers["test_points"]
            counts.append((category, "test", "good", numbers["test_good"]))
            counts.append((category, "test", "defective", defects))
    return pl.DataFrame(counts, EXPECTED, orient="row")
