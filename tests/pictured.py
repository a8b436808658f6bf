"""Pictures and data sets for the tests of what a survey sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from blemish.dataset import Dataset
from blemish.dataset.table import conform


def surface(seed: int, *, height: int = 96, width: int = 128, mean: float = 120) -> NDArray[Any]:
    """A grained surface under uneven light, another one for each seed; uint8 [height, width]."""
    rng = np.random.default_rng(seed)
    light = cv2.resize(rng.normal(0, 12, (5, 6)), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.normal(0, 30, (height, width)), (0, 0), 1.2)
    return np.rint(np.clip(mean + light + grain, 0, 255)).astype(np.uint8)


def save(path: Path, pixels: NDArray[Any], **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def dataset(root: Path, rows: Sequence[Mapping[str, str | None]]) -> Dataset:
    """A data set of these rows; category "plate", split "test" and label "good" unless told."""
    usual = {"category": "plate", "split": "test", "label": "good"}
    frame = pl.DataFrame([{**usual, **row} for row in rows], infer_schema_length=None)
    return Dataset(root, root.name, "table", conform(frame))
