"""The solar cells of ELPV as its package holds them: `labels.csv` beside a folder `images`.

Buerhop-Lutz et al., "A Benchmark for Visual Identification of Defective Solar Cells in
Electroluminescence Imagery", EU PVSEC 2018. The set says nothing of which cells are of one module,
so each cell is its own part.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset.label_words import name_some
from blemish.dataset.paths import absent
from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.util.text_files import first_line, read_text

EXPECTS = "labels.csv with lines like 'images/cell0001.png 1.0 mono'"

TRAIN_LIST = Path(__file__).with_name("elpv_train.txt")
TERMS = "CC BY-NC-SA 4.0, for non-commercial use only"
KNOWN = ("images/*.png",)  # cells of which nobody is sure
_LINE = (
    r"^(?<image>images/[^/\s]+\.png)\s+"
    r"(?<probability>[01](?:\.[0-9]{1,20})?)\s+(?<category>\w+)\s*$"
)


def recognises(path: Path) -> bool:
    """True for a folder whose `labels.csv` begins like that of ELPV."""
    labels = path / "labels.csv"
    if not labels.is_file():
        return False
    return bool(pl.Series([first_line(labels)]).str.contains(_LINE).all())


def read(path: Path) -> Dataset:
    """The cells that are surely good (probability 0) or surely defective (1), by type of cell.

    A good cell on the list kept in this project (70 % of each type) trains; all others are the
    test. Raises DatasetError for a line of another form and for images that are not there.
    """
    labels = read_labels(path).filter(pl.col("probability").is_in([0.0, 1.0]))
    missing = absent(path, labels["image"])
    if missing:
        raise DatasetError(
            f"{path / 'labels.csv'} names {len(missing)} images that do not exist: "
            f"{name_some(missing)}; install elpv-dataset again."
        )
    train = TRAIN_LIST.read_text(encoding="utf-8").split()
    good = pl.col("probability") == 0
    table = labels.with_columns(
        split=pl.when(good & pl.col("image").is_in(train))
        .then(pl.lit("train"))
        .otherwise(pl.lit("test")),
        label=pl.when(good).then(pl.lit("good")).otherwise(pl.lit("defective")),
        defect=pl.when(~good).then(pl.lit("defect")),
    )
    return Dataset(path, "elpv", "elpv", conform(table), TERMS)


def read_labels(path: Path) -> pl.DataFrame:
    """`labels.csv` as image, probability of a defect (float64) and category (the type of cell)."""
    file = path / "labels.csv"
    if not file.is_file():
        raise DatasetError(f"{path} has not the layout elpv, which is {EXPECTS}.")
    text = read_text(file, "install elpv-dataset again.", replace=True)
    lines = pl.DataFrame(
        {"line": [line for line in text.splitlines() if line.strip()]}, schema={"line": pl.String}
    )
    table = lines.with_columns(found=pl.col("line").str.extract_groups(_LINE)).unnest("found")
    odd = table.filter(pl.col("image").is_null())["line"].to_list()
    if odd:
        raise DatasetError(f"{file} has lines that are not {EXPECTS}: {name_some(odd)}.")
    return table.drop("line").cast({"probability": pl.Float64})
