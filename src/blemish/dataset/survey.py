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

from blemish.dataset.mask_regions import regions_of
from blemish.dataset.table import Dataset
from blemish.errors import ImageError
from blemish.images import look_at_mask, read_image
from blemish.util.progress import Progress, ShowProgress
from blemish.util.threads import default_threads, in_order

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
        "mask_border": pl.Float64(),
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
    `fingerprint`. `foreground` is the share of the image that the mask marks, `mask_border` that of
    its outermost rows and columns, `mask_greys` counts mask pixels that are neither 0 nor the
    largest value.
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
    look = {
        "bytes": _bytes(image),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "channels": 1 if pixels.ndim == 2 else pixels.shape[2],
        "depth": pixels.dtype.name,
        **_fingerprinted(pixels),
    }
    if mask is None:
        return look | _grey_values(pixels, None)
    try:
        reading = look_at_mask(mask, pixels.shape[:2])
    except ImageError as error:
        return look | {"mask_error": str(error)} | _grey_values(pixels, None)
    marked = reading.marked
    regions = regions_of(marked)
    return look | {
        "mask_greys": reading.greys,
        "foreground": reading.share,
        "mask_border": reading.border,
        "regions": regions.count,
        "region_shares": regions.shares,
        "region_aspects": regions.aspects,
        **_grey_values(pixels, marked),
    }


def comparable(pixels: NDArray[Any]) -> Look:
    """Of an image, the columns by which `near_duplicates` compares, but for its bytes."""
    return _fingerprinted(pixels) | _grey_values(pixels, None)


def _fingerprinted(pixels: NDArray[Any]) -> Look:
    hash_, thumbnail = fingerprint(pixels)
    return {"hash": hash_, "thumbnail": thumbnail}


def fingerprint(pixels: NDArray[Any]) -> tuple[int, bytes]:
    """A difference hash of 64 bits, and a thumbnail of 16 x 16 grey values.

    A bit tells whether a cell of a grid of 8 x 9 is brighter than its left neighbour. The thumbnail
    is uint8, 128 at the image's mean and 32 levels to its standard deviation.
    """
    height, width = pixels.shape[:2]
    if (times := min(height // 64, width // 72)) > 1:  # by a whole number OpenCV shrinks fast
        high, wide = height // times, width // times
        whole = pixels[: high * times, : wide * times]
        pixels = cv2.resize(whole, (wide, high), interpolation=cv2.INTER_AREA)
    # The first average rounds, the second does not.
    small = cv2.resize(to_grey(pixels), (72, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    cells = cv2.resize(small, (9, 8), interpolation=cv2.INTER_AREA)
    bits = np.packbits(cells[:, 1:] > cells[:, :-1])
    tiny = cv2.resize(small, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    mean, spread = (float(moment[0, 0]) for moment in cv2.meanStdDev(tiny))
    levels = np.rint((tiny - mean) * (_LEVELS / (spread or 1.0)) + 128)
    return int.from_bytes(bits.tobytes(), "big"), levels.clip(0, 255).astype(np.uint8).tobytes()


def to_grey(pixels: NDArray[Any]) -> NDArray[Any]:
    """Grey values [H, W] of an image [H, W] or RGB [H, W, 3], in its own type."""
    return pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def _bytes(image: Path) -> int | None:
    try:
        return image.stat().st_size
    except OSError:
        return None


def _grey_values(pixels: NDArray[Any], marked: NDArray[np.bool_] | None) -> Look:
    """Brightness, contrast and sharpness, and the same without what is marked."""
    beyond = None
    if marked is not None:  # the rim over which a Laplacian reaches belongs to the defect
        beyond = 1 - cv2.dilate(marked.astype(np.uint8), np.ones((3, 3), np.uint8))
    sums = []
    for band in _bands(*pixels.shape[:2]):
        grey = to_grey(pixels[band])
        edges = cv2.Laplacian(grey, cv2.CV_16S if grey.dtype == np.uint8 else cv2.CV_32F)
        sums.append([*_sums(grey), *_sums(edges)])
        if beyond is not None:
            kept = np.asarray(beyond[band], np.uint8)
            outside = (np.asarray(cv2.copyTo(values, kept)) for values in (grey, edges))
            sums[-1] += [int(np.count_nonzero(kept)), *(s for v in outside for s in _sums(v)[1:])]
    totals = np.sum(sums, axis=0).tolist()
    values = _moments(*totals[:3], *totals[4:6])
    if beyond is not None and totals[6]:
        outside_values = _moments(*totals[6:])
        values |= {f"{name}_outside": value for name, value in outside_values.items()}
    return values


def _sums(values: NDArray[Any]) -> tuple[int, float, float]:
    """How many values there are, their sum, and the sum of their squares."""
    return values.size, cv2.sumElems(values)[0], cv2.norm(values, cv2.NORM_L2SQR)


def _moments(n: int, total: float, squares: float, edges: float, edge_squares: float) -> Look:
    return {
        "brightness": total / n,
        "contrast": math.sqrt(max(0.0, squares / n - (total / n) ** 2)),
        "sharpness": max(0.0, edge_squares / n - (edges / n) ** 2),
    }


def _bands(height: int, width: int) -> Iterator[slice]:
    """All rows of an image, or bands of equal height spread evenly over a very large one."""
    rows = max(3, MOST_PIXELS // (BANDS * width))
    if rows * BANDS >= height:
        yield slice(0, height)
        return
    for top in np.linspace(0, height - rows, BANDS).astype(int):
        yield slice(top, top + rows)
