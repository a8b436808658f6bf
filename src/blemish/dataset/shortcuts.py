"""Shortcut learning: trivial cues by which a detector may tell good from defective images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from blemish.dataset.check import Finding
from blemish.dataset.table import Dataset
from blemish.metrics.image import auroc, auroc_interval

# The cue, what it is called, and what defective images are where it is high or low.
CUES = {
    "file_size": ("the size of the file", "larger", "smaller"),
    "width": ("the width of the image", "wider", "narrower"),
    "height": ("the height of the image", "higher", "lower"),
    "area": ("the number of pixels", "larger", "smaller"),
    "brightness": ("mean brightness", "brighter", "darker"),
    "contrast": ("contrast", "richer in contrast", "poorer in contrast"),
    "sharpness": ("sharpness", "sharper", "more blurred"),
    "number": ("the number in the file name", "later", "earlier"),
}
OF_PIXELS = ("brightness", "contrast", "sharpness")
TELLING = 0.7  # AUROC from which a cue is warned of
CONFIDENCE = 0.99  # eight cues are tried on each category
SHORTCUTS = pl.Schema(
    {
        "category": pl.String(),
        "cue": pl.String(),
        "auroc": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "defective_are": pl.String(),
        "auroc_outside": pl.Float64(),
        "good": pl.Int64(),
        "defective": pl.Int64(),
    }
)


def shortcuts(dataset: Dataset, surveyed: pl.DataFrame) -> pl.DataFrame:
    """How well each cue tells the good from the defective test images, by category.

    `auroc` is that of the better direction, at least 0.5; `defective_are` says which that is. `low`
    and `high` are its 99 % interval, by part. `auroc_outside` is that of the same cue and direction
    when the pixels that a mask marks do not count: near 0.5 it is the defect itself that tells.
    A cue that is unknown for an image is left out, and so are file numbers that are no common
    count; categories with one label only have no row.
    """
    table = dataset.table.hstack(surveyed).filter(
        pl.col("split") == "test", pl.col("label").is_not_null(), pl.col("error").is_null()
    )
    table = table.select(
        *("category", "part", "label", "width", "height"),
        *OF_PIXELS,
        *(f"{cue}_outside" for cue in OF_PIXELS),
        file_size="bytes",
        area=pl.col("width") * pl.col("height"),
        folder=pl.col("image").str.extract(r"^(.*)/"),
        number=pl.col("image").str.extract(r"(\d+)[^\d/]*\.\w+$").cast(pl.Int64, strict=False),
    )
    rows = []
    for (category,), images in table.group_by("category", maintain_order=True):
        labels = (images["label"] == "defective").to_numpy()
        if labels.all() or not labels.any():
            continue
        for cue in CUES:
            unknown = images[cue].null_count() or (cue == "number" and not _one_count(images))
            if not unknown:
                counted = int((~labels).sum()), int(labels.sum())
                rows.append((category, cue, *_told(images, cue, labels), *counted))
    return pl.DataFrame(rows, SHORTCUTS, orient="row")


def _one_count(images: pl.DataFrame) -> bool:
    """False for numbers that come again, or of which each folder has a range of its own."""
    if images["number"].n_unique() < 0.95 * len(images):
        return False
    ranges = images.group_by("folder").agg(pl.min("number"), last=pl.max("number")).sort("number")
    return len(ranges) == 1 or bool((ranges["number"] <= ranges["last"].shift()).any())


def warnings(table: pl.DataFrame) -> Iterator[Finding]:
    """A warning for each cue that tells good from defective, if not by the marked defects alone."""
    telling = table.filter(
        pl.col("auroc") >= TELLING,
        pl.col("low") > 0.5,
        pl.col("auroc_outside").fill_null(1) >= TELLING,
    )
    for category, cue, area, low, high, defective_are, *_ in telling.iter_rows():
        yield Finding(
            "warning",
            f"{category}: {CUES[cue][0]} alone tells good from defective with AUROC {area:.2f} "
            f"(99 % interval {low:.2f} to {high:.2f}); defective images are {defective_are}. "
            "Take both in the same way, or a detector learns this instead of defects.",
        )


def by_category(table: pl.DataFrame) -> dict[str, dict[str, dict[str, object]]]:
    """The table as JSON: category, then cue, then the figures."""
    nested: dict[str, dict[str, dict[str, object]]] = {}
    for row in table.to_dicts():
        nested.setdefault(row.pop("category"), {})[row.pop("cue")] = row
    return nested


def _told(
    images: pl.DataFrame, cue: str, labels: NDArray[np.bool_]
) -> tuple[float, float, float, str, float | None]:
    """AUROC in the better direction, its interval, the direction in words, AUROC outside masks."""
    values = images[cue].to_numpy().astype(np.float64)
    sign = 1 if (auroc(values, labels) or 0.0) >= 0.5 else -1
    area = auroc(sign * values, labels) or 0.0
    low, high = auroc_interval(sign * values, labels, images["part"], confidence=CONFIDENCE) or (
        0,
        1,
    )
    outside = None
    if cue in OF_PIXELS and images[f"{cue}_outside"].count():
        seen = images.select(pl.coalesce(f"{cue}_outside", cue)).to_series().to_numpy()
        outside = auroc(sign * seen, labels)
    return area, low, high, CUES[cue][1 if sign > 0 else 2], outside
