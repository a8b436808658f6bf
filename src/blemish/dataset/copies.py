"""Copies: parts that show nothing but what another part shows, so that they prove nothing more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from blemish.errors import ImageError
from blemish.images import read_image
from blemish.images.pixel_digest import pixel_digest

_CLOSE = 1e-5  # relative; a graph gives equal pixels equal scores, but for the order of its threads


def copied_parts(table: pl.DataFrame, contents: ArrayLike) -> dict[str, str]:
    """Each part whose pictures are all pictures of another part too, and that other part.

    `table` has the columns part and view; `contents`, any [n], is equal for rows whose pictures
    are. Pictures are compared within a view, and one that a part shows twice is there once. Of
    parts with the same pictures the first row's is the original; a part with some of the pictures
    of another is a copy of that. A part with a picture of its own is no copy.
    """
    ids = np.unique(np.asarray(contents), return_inverse=True)[1].reshape(-1)
    pictures = table.select("part", picture=pl.struct("view", content=pl.Series(ids)).rank("dense"))
    parts = pictures.group_by("part", maintain_order=True).agg(pl.col("picture").unique().sort())
    key = pl.col("picture").cast(pl.List(pl.String)).list.join(" ")
    parts = parts.with_columns(original=pl.col("part").first().over(key))
    copies = parts.filter(pl.col("part") != pl.col("original")).select("part", "original")
    distinct = parts.filter(pl.col("part") == pl.col("original"))
    within = _within_larger(distinct["part"].to_list(), distinct["picture"])
    return {
        **{part: within.get(original, original) for part, original in copies.iter_rows()},
        **within,
    }


def _within_larger(names: Sequence[str], pictures: pl.Series) -> dict[str, str]:
    """Of parts that all differ: each that shows some of the pictures of another, the largest."""
    if not names or pictures.list.len().max() == 1:
        return {}
    rows = pl.DataFrame({"number": np.arange(len(names)), "picture": pictures}).explode("picture")
    shared = rows.filter(pl.len().over("picture") > 1)
    having: dict[int, set[int]] = defaultdict(set)
    for number, picture in shared.iter_rows():
        having[picture].add(number)
    sizes = pictures.list.len().to_list()
    found = {}
    for number, kept in shared.group_by("number", maintain_order=True).agg("picture").iter_rows():
        if len(kept) == sizes[number]:
            others = sorted((having[picture] for picture in kept), key=len)
            larger = set.intersection(*others) - {number}
            if larger:
                found[names[number]] = names[min(larger, key=lambda one: (-sizes[one], one))]
    return found


def equal_pictures(images: Sequence[Path], scores: ArrayLike) -> NDArray[np.int64]:
    """A number for each image, the same for those of equal pixels.

    `scores`, float [n], are those of one model: only images of nearly equal scores are decoded,
    since what is equal scores alike. One that cannot be read is like no other.
    """
    values = np.asarray(scores, np.float64)
    numbers = np.arange(len(values))
    order = np.argsort(values, kind="stable")
    steps = np.diff(values[order])
    near = steps <= _CLOSE * np.maximum(1.0, np.abs(values[order][1:]))
    candidates = order[np.append(near, False) | np.insert(near, 0, False)] if len(values) else order
    first: dict[bytes, int] = {}
    for index in sorted(candidates.tolist()):
        try:
            digest = pixel_digest(read_image(images[index]))
        except ImageError:
            continue
        numbers[index] = first.setdefault(digest, index)
    return numbers
