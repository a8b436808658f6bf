"""KolektorSDD: electrical commutators, a folder each, with eight views of its surface.

Tabernik et al., "Segmentation-based deep-learning approach for surface-defect detection", JIM 2020:
399 images of 50 commutators, 52 of them with a defect. Nearly every commutator has a defective
view, so that some must train; their defective views keep their label. The set on disk has no split
and the published one, three folds by commutator, is not on disk either: here a seeded third of the
commutators (17 of 50, as many as in a published fold) is the test.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from blemish.dataset.image_mask_pairs import masks_with_foreground, pair_images, refuse_maskless
from blemish.dataset.paths import relative_paths
from blemish.dataset.splits import hold_out
from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.images import image_files

EXPECTS = "folders kos01, kos02 and so on, with Part0.jpg and its mask Part0_label.bmp"

TERMS = "CC BY-NC-SA 4.0, for non-commercial use only"
TEST_SHARE = 1 / 3
SEED = 0
KNOWN = ("kos*/Part*_label.*",)  # a good image has an empty mask
_NAME = (
    r"^(?<part>kos\d+)/(?<view>Part\d+)"
    r"(?:\.(?i:jpg|jpeg|png|bmp)|(?<marks>_label)\.(?i:bmp|png))$"
)


def recognises(path: Path) -> bool:
    """True for a folder with one like kos01 in it."""
    return bool(_items(path))


def read(path: Path) -> Dataset:
    """The views of every commutator; one whose mask is not empty is defective.

    Decodes the masks. Raises DatasetError for an image without mask, a mask without image and
    other images between them, ImageError for a mask that cannot be read.
    """
    items = _items(path)
    if not items:
        raise DatasetError(f"{path} has not the layout kolektor_sdd, which is {EXPECTS}.")
    names = [name for item in items for name in relative_paths(image_files(item), path)]
    table = pair_images(path, names, _NAME, EXPECTS)
    refuse_maskless(path, table)
    bad = pl.col("mask").is_in(masks_with_foreground(path, table["mask"]))
    table = table.with_columns(
        category=pl.lit("kolektor_sdd"),
        split=pl.lit("train"),
        label=pl.when(bad).then(pl.lit("defective")).otherwise(pl.lit("good")),
        defect=pl.when(bad).then(pl.lit("defect")),
        mask=pl.when(bad).then("mask"),
    )
    dataset = Dataset(path, path.name, "kolektor_sdd", conform(table), TERMS)
    _, tested = hold_out(dataset, TEST_SHARE, SEED)
    in_test = pl.when(pl.col("part").is_in(tested.parts)).then(pl.lit("test"))
    return dataset.with_table(dataset.table.with_columns(split=in_test.otherwise("split")))


def _items(path: Path) -> list[Path]:
    found = (path / f"kos{number:02}" for number in range(1, 100))
    return [folder for folder in found if folder.is_dir()]
