"""BTAD, the anomaly detection set of beanTech: three products, `ok` and `ko` for good and not.

Mishra et al., "VT-ADL: A Vision Transformer Network for Image Anomaly Detection and Localization",
ISIE 2021. Images and masks are BMP or PNG, as it comes. Some images of train/ok are known to show
defects; they stay labelled good. The archive holds 2,540 images, the paper counts 2,830.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from blemish.dataset.layouts import mvtec
from blemish.dataset.table import Dataset
from blemish.errors import DatasetError

EXPECTS = "the folders 01, 02 and 03 with train/ok, test/ok, test/ko and ground_truth/ko, or one"
SPECIALISES = ("mvtec",)

CATEGORIES = ("01", "02", "03")
TERMS = "CC BY-SA as its readme says, CC BY-NC-SA 4.0 as others say"


def recognises(path: Path) -> bool:
    """True for one product's folder and for a folder that holds such folders."""
    return _is_product(path) or any(_is_product(path / name) for name in CATEGORIES)


def read(path: Path) -> Dataset:
    """The products, each a category; the kind of defect is "ko". DatasetError as of `mvtec`."""
    if not recognises(path):
        raise DatasetError(f"{path} has not the layout btad, which is {EXPECTS}.")
    return replace(mvtec.read(path), layout="btad", terms=TERMS)


def _is_product(path: Path) -> bool:
    return path.name in CATEGORIES and all(
        (path / folder).is_dir() for folder in ("train/ok", "test/ko")
    )
