"""Near duplicates: one image saved twice, in another file format, quality or brightness.

Two good parts of one product look alike, so a likeness of the whole picture proves nothing. A pair
whose hashes and thumbnails agree is decoded again, and counts only if its fine detail agrees too:
the grain of a surface and the noise of a camera do not come twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from blemish.dataset.survey import to_grey
from blemish.dataset.table import Dataset
from blemish.errors import ImageError
from blemish.images import read_image
from blemish.util.progress import Progress, ShowProgress

HASH_BITS = 3  # hashes of one picture differ in at most so many bits
THUMBNAIL_LEVELS = 1.0  # its thumbnails by at most so much on average, of 32 to the deviation
DETAIL = 0.9  # the correlation of its fine detail is at least this
NEIGHBOURS = 32  # of pictures that share a band of the hash, those of the next contrasts are met
MOST_DECODED = 2000  # pairs decoded for the comparison of detail
_BANDS, _BAND_BITS = HASH_BITS + 1, 64 // (HASH_BITS + 1)  # one band of four must be equal
_PAIRS_AT_ONCE = 1 << 14
_MOST_PAIRS = 1 << 16

Index = NDArray[np.intp]


@dataclass(frozen=True)
class NearDuplicates:
    """Groups of rows that show one picture, and how many likely pairs were not compared."""

    groups: list[list[int]]
    not_compared: int


def near_duplicates(
    dataset: Dataset,
    surveyed: pl.DataFrame,
    *,
    among: NDArray[np.bool_] | None = None,
    most: int | None = None,
    progress: ShowProgress | None = None,
) -> NearDuplicates:
    """Nearly equal pictures of a data set and its survey, files of equal bytes apart.

    Views of one part in one split with one label may look alike and are not compared, nor are two
    pictures of which neither is `among` those rows, bool [n]. The work grows with the number of
    images, not with its square: of very many that look alike, only those of similar contrast are
    compared, and of these `most` pairs in detail, the most alike first; `not_compared` is then
    above 0.
    """
    if not len(dataset):
        return NearDuplicates([], 0)
    most = MOST_DECODED if most is None else most
    first, second, likely = _candidates(dataset, surveyed, among)
    joined = _Groups()
    images = dataset.table["image"]
    detail_of = lru_cache(maxsize=64)(lambda row: detail(dataset.root / images[row]))
    done = decoded = 0
    for done, (one, other) in enumerate(zip(first.tolist(), second.tolist(), strict=True), 1):
        if not joined.together(one, other):
            if decoded == most:
                done -= 1
                break
            decoded += 1
            try:
                likeness = float(np.sum(detail_of(one) * detail_of(other)))
            except ImageError:  # it was readable a moment ago
                continue
            if likeness >= DETAIL:
                joined.join(one, other)
        if progress is not None:
            progress(Progress("comparing look-alikes", done, len(first)))
    return NearDuplicates(joined.groups(), likely - done)


def _candidates(
    dataset: Dataset, surveyed: pl.DataFrame, among: NDArray[np.bool_] | None
) -> tuple[Index, Index, int]:
    """Pairs that agree in hash and thumbnail, the most alike first; how many there may be."""
    seen = surveyed["sharpness"].fill_null(0).to_numpy() > 0
    rows = np.flatnonzero(seen)
    looks = surveyed.filter(seen)
    hashes = looks["hash"].to_numpy()
    apart = _difference(dataset.table.filter(seen), looks)
    wanted = None if among is None else among[seen]
    keys: list[NDArray[np.uint64]] = []
    found, likely = np.empty((0, 3)), 0
    for band in range(_BANDS):
        key = (hashes >> np.uint64(band * _BAND_BITS)) & np.uint64((1 << _BAND_BITS) - 1)
        order = np.lexsort((looks["contrast"].to_numpy(), key))
        for step in range(1, NEIGHBOURS + 1):
            one, other = order[:-step], order[step:]
            shared = key[one] == key[other]
            if not shared.any():
                break
            for lower in keys:  # met there before
                shared &= lower[one] != lower[other]
            if wanted is not None:
                shared &= wanted[one] | wanted[other]
            alike = _alike(one[shared], other[shared], hashes, apart)
            likely += len(alike) * (2 if step == NEIGHBOURS else 1)  # who knows how many follow
            # By difference, then by row; of very many, the most alike.
            found = np.unique(np.concatenate([found, alike]), axis=0)[:_MOST_PAIRS]
        keys.append(key)
    one, other = found[:, 1].astype(np.intp), found[:, 2].astype(np.intp)
    return rows[one], rows[other], likely


def _difference(
    table: pl.DataFrame, looks: pl.DataFrame
) -> Callable[[Index, Index], NDArray[np.float64]]:
    """How far the thumbnails of rows are apart; infinitely where rows are not to be compared."""
    thumbnails = np.frombuffer(b"".join(looks["thumbnail"]), np.uint8).reshape(looks.height, -1)
    owner = table.select(pl.struct("part", "split", "label").rank("dense")).to_series().to_numpy()
    same = looks.select(pl.struct("bytes", "brightness", "contrast", "sharpness").rank("dense"))
    content = same.to_series().to_numpy()

    def apart(one: Index, other: Index) -> NDArray[np.float64]:
        difference = np.asarray(cv2.absdiff(thumbnails[one], thumbnails[other]))
        far = difference.sum(axis=1, dtype=np.uint32) / thumbnails.shape[1]
        far[(owner[one] == owner[other]) | (content[one] == content[other])] = np.inf
        return np.asarray(far, np.float64)

    return apart


def _alike(
    one: Index,
    other: Index,
    hashes: NDArray[np.uint64],
    apart: Callable[[Index, Index], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Of these pairs those that look alike, as rows of difference, smaller and larger index."""
    close = np.bitwise_count(hashes[one] ^ hashes[other]) <= HASH_BITS
    low, high = np.minimum(one, other)[close], np.maximum(one, other)[close]
    found = [np.empty((0, 3))]
    for start in range(0, len(low), _PAIRS_AT_ONCE):
        block = slice(start, start + _PAIRS_AT_ONCE)
        far = apart(low[block], high[block])
        kept = far <= THUMBNAIL_LEVELS
        found.append(np.stack([far, low[block], high[block]], axis=1)[kept])
    return np.concatenate(found)


def detail(path: Path) -> NDArray[np.float32]:
    """Detail of one to three pixels in the image at 256 x 256; the sum of squares is 1."""
    grey = to_grey(read_image(path))
    small = cv2.resize(grey, (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32)
    # What is finer still is lost in a JPEG; what is coarser is alike in all parts of a product.
    fine = cv2.GaussianBlur(small, (0, 0), 1) - cv2.GaussianBlur(small, (0, 0), 3)
    return np.asarray(fine / max(float(np.linalg.norm(fine)), 1e-9), np.float32)


class _Groups:
    """Rows joined pair by pair."""

    def __init__(self) -> None:
        self.above: dict[int, int] = {}

    def top(self, row: int) -> int:
        """The row that stands for the group of `row`."""
        while (above := self.above.setdefault(row, row)) != row:
            self.above[row] = row = self.above[above]
        return row

    def together(self, one: int, other: int) -> bool:
        """Whether both rows are in one group already."""
        return self.top(one) == self.top(other)

    def join(self, one: int, other: int) -> None:
        """Make one group of the groups of both rows."""
        low, high = sorted((self.top(one), self.top(other)))
        self.above[high] = low

    def groups(self) -> list[list[int]]:
        """The groups of two rows and more, in rising order."""
        members: dict[int, list[int]] = {}
        for row in sorted(self.above):
            members.setdefault(self.top(row), []).append(row)
        return [rows for rows in members.values() if len(rows) > 1]
