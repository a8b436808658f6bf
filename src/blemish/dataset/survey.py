"""One look at every image and every mask: what can be read, its size, its grey values, its regions.

Everything that takes decoding is measured here, in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from blemish.dataset.regions import regions_of
from blemish.dataset.table import Dataset
from blemish.errors import ImageError
from blemish.images import read_image, read_mask
from blemish.progress import Progress, ShowProgress
from blemish.threads import default_threads, in_order

SURVEY = pl.Schema(
    {
        "error": pl.String(),
        "bytes": pl.Int64(),
        "height": pl.Int64(),
        "width": pl.Int64(),
        "channels": pl.Int64(),
        "depth": pl.String(),
        "brightness": pl.Float64(),
        "contrast": pl.Float64(),
        "sharpness": pl.Float64(),
        "brightness_outside": pl.Float64(),
        "contrast_outside": pl.Float64(),
        "sharpness_outside": pl.Float64(),
        "hash": pl.UInt64(),
        "thumbnail": pl.Binary(),
        "mask_error": pl.String(),
        "mask_greys": pl.Int64(),
        "foreground": pl.Float64(),
        "regions": pl.Int64(),
        "region_shares": pl.List(pl.Float64()),
        "region_aspects": pl.List(pl.Float64()),
    }
)
MOST_PIXELS = 1 << 25  # of a larger image, bands of rows are measured
BANDS = 8
THUMBNAIL = 16
_LEVELS = 32  # of the thumbnail, in one standard deviation
_ROWS_AT_ONCE = 4096

Look = dict[str, Any]


def survey(
    dataset: Dataset, *, threads: int | None = None, progress: ShowProgress | None = None
) -> pl.DataFrame:
    """One row per row of the data set, in its order, with the columns of SURVEY.

    `error` and `mask_error` say why a file cannot be read; what it would have told is then null.
    `brightness` is the mean and `contrast` the standard deviation of the grey values as stored,
    `sharpness` the variance of their Laplacian, exactly 0 for an image of one grey; `*_outside` are
    the same without the pixels that the mask marks. `hash` and `thumbnail` are those of
    `fingerprint`. `foreground` is the share of the image that the mask marks, `mask_greys` counts
    mask pixels that are neither 0 nor the largest value.
    """

    def look(row: tuple[str, str | None]) -> Look:
        image, mask = row
        return look_at(dataset.root / image, None if mask is None else dataset.root / mask)

    rows = dataset.table.select("image", "mask").iter_rows()
    frames = [SURVEY.to_frame()]
    looks: list[Look] = []
    for done, seen in enumerate(in_order(look, rows, threads or default_threads()), 1):
        looks.append(seen)
        if len(looks) == _ROWS_AT_ONCE or done == len(dataset):
            frames.append(pl.DataFrame(looks, SURVEY))
            looks.clear()
        if progress is not None:
            progress(Progress("looking at images", done, len(dataset)))
    return pl.concat(frames)


def look_at(image: Path, mask: Path | None) -> Look:
    """What one image and its mask tell; keys are columns of SURVEY, absent where unknown."""
    try:
        pixels = read_image(image)
    except ImageError as error:
        return {"error": str(error), "bytes": _bytes(image)}
    hash_, thumbnail = fingerprint(pixels)
    look = {
        "bytes": _bytes(image),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "channels": 1 if pixels.ndim == 2 else pixels.shape[2],
        "depth": pixels.dtype.name,
        "hash": hash_,
        "thumbnail": thumbnail,
        **_grey_values(pixels),
    }
    return look if mask is None else look | _look_at_mask(mask, pixels)


def fingerprint(pixels: NDArray[Any]) -> tuple[int, bytes]:
    """A difference hash of 64 bits, and a thumbnail of 16 x 16 grey values.

    A bit tells whether a cell of a grid of 8 x 9 is brighter than its left neighbour. The thumbnail
    is uint8, 128 at the image's mean and 32 levels to its standard deviation.
    """
    step = max(1, math.isqrt(pixels.shape[0] * pixels.shape[1] // MOST_PIXELS))
    grey = to_grey(np.ascontiguousarray(pixels[::step, ::step]))
    # Averaged in two steps: the first is fast and rounds, the second is in floating point.
    small = cv2.resize(grey, (72, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    cells = cv2.resize(small, (9, 8), interpolation=cv2.INTER_AREA)
    bits = np.packbits(cells[:, 1:] > cells[:, :-1])
    tiny = cv2.resize(small, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    spread = float(tiny.std()) or 1.0
    levels = np.rint((tiny - tiny.mean()) * (_LEVELS / spread) + 128)
    return int.from_bytes(bits.tobytes(), "big"), levels.clip(0, 255).astype(np.uint8).tobytes()


def to_grey(pixels: NDArray[Any]) -> NDArray[Any]:
    """Grey values [H, W] of an image [H, W] or RGB [H, W, 3], in its own type."""
    return pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def _bytes(image: Path) -> int | None:
    try:
        return image.stat().st_size
    except OSError:
        return None


def _grey_values(pixels: NDArray[Any], counted: NDArray[np.uint8] | None = None) -> Look:
    """Brightness, contrast and sharpness, of all pixels or where `counted` [H, W] is not 0."""
    measured = []
    for band in _bands(*pixels.shape[:2]):
        grey, mask = to_grey(pixels[band]), None if counted is None else counted[band]
        edges = cv2.Laplacian(grey, cv2.CV_16S if grey.dtype == np.uint8 else cv2.CV_32F)
        moments = (*cv2.meanStdDev(grey, mask=mask), *cv2.meanStdDev(edges, mask=mask))
        measured.append([float(moment[0, 0]) for moment in moments])
    mean, spread, edge_mean, edge_spread = np.array(measured).T
    return {
        "brightness": float(mean.mean()),
        "contrast": math.sqrt(np.mean(spread**2) + mean.var()),
        "sharpness": float(np.mean(edge_spread**2) + edge_mean.var()),
    }


def _bands(height: int, width: int) -> Iterator[slice]:
    """All rows of an image, or bands of equal height spread evenly over a very large one."""
    rows = max(3, MOST_PIXELS // (BANDS * width))
    if rows * BANDS >= height:
        yield slice(0, height)
        return
    for top in np.linspace(0, height - rows, BANDS).astype(int):
        yield slice(top, top + rows)


def _look_at_mask(path: Path, pixels: NDArray[Any]) -> Look:
    try:
        mask = read_mask(path, pixels.shape[:2])
        values = mask if path.is_dir() else read_image(path)
    except ImageError as error:
        return {"mask_error": str(error)}
    regions = regions_of(mask)
    return {
        "mask_greys": int(np.count_nonzero((values != 0) & (values != values.max()))),
        "foreground": float(mask.mean()),
        "regions": regions.count,
        "region_shares": regions.shares,
        "region_aspects": regions.aspects,
        **_outside(pixels, mask),
    }


def _outside(pixels: NDArray[Any], mask: NDArray[np.bool_]) -> Look:
    """Grey values beyond the defects and a rim of one pixel, over which a Laplacian reaches."""
    counted = 1 - cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    if not counted.any():
        return {}
    values = _grey_values(pixels, np.asarray(counted, np.uint8))
    return {f"{name}_outside": value for name, value in values.items()}
