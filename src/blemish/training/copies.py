"""Copies among good parts: what shows the same pixels again proves nothing again.

Every good picture is looked at once before the parts are divided, so that all copies of a part stay
on one side. The looks are kept in the cache by the files' content, whatever the detector.
"""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import polars as pl

import blemish
from blemish.calibration.part_calibration import PartCalibration
from blemish.calibration.promise import percent_up
from blemish.dataset import Dataset
from blemish.dataset.copies import copied_parts
from blemish.dataset.label_words import name_some
from blemish.dataset.near_duplicates import near_duplicates
from blemish.dataset.survey import comparable
from blemish.detectors.base import Clock, Progress, ShowProgress
from blemish.features.cache import Shelf, image_key
from blemish.images import hdf5, read_image
from blemish.images.pixel_digest import DIGEST_BYTES, pixel_digest
from blemish.util.threads import default_threads, in_order

log = logging.getLogger("blemish")

MOST_COMPARED = 500  # pairs of look-alikes that are decoded again
NAME_DIGITS = 16  # of a picture's digest in a card
LOOKS = pl.Schema(
    {
        "image": pl.String(),
        "pixels": pl.Binary(),
        "bytes": pl.Int64(),
        "brightness": pl.Float64(),
        "contrast": pl.Float64(),
        "sharpness": pl.Float64(),
        "hash": pl.UInt64(),
        "thumbnail": pl.Binary(),
    }
)
_LOOK = struct.Struct(f"<{DIGEST_BYTES}sqdddQ256s")
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Copies:
    """Of good parts: which of them are copies, `original` tells of what, and the looks at all.

    A part is a copy where each of its pictures is one of the original's, pixel for pixel, in the
    same view. `looks` has a row for each picture, with the columns of LOOKS; `categories` counts
    the copies in each category that has some.
    """

    original: Mapping[str, str]
    looks: pl.DataFrame
    categories: Mapping[str, int]

    @classmethod
    def among(
        cls,
        good: Dataset,
        *,
        cache: Path | None = None,
        clock: Clock | None = None,
        progress: ShowProgress | None = None,
    ) -> Copies:
        """Look at all pictures of `good`, of each category and split.

        Of equal parts a training part is the original rather than one of the validation split, then
        the one with the shortest name. Raises ImageError for a picture that cannot be read, and
        BudgetExceeded.
        """
        looks = _looks(good, cache, clock or Clock(None), progress)
        rows = good.table.hstack(looks.select("pixels"))
        first = [pl.col("split") == "validation", pl.col("part").str.len_chars(), "part"]
        rows = rows.sort(first, maintain_order=True)
        contents = rows["pixels"].rank("dense").to_numpy()
        original = copied_parts(rows, contents)
        copies = rows.filter(pl.col("part").is_in(list(original)))
        counts = copies.group_by("category").agg(pl.col("part").n_unique()).iter_rows()
        return cls(original, looks, dict(counts))

    def without(self, data: Dataset) -> Dataset:
        """`data` without the good rows of parts that are copies."""
        if not self.original:
            return data
        is_copy = pl.col("part").is_in(list(self.original))
        return data.where(~(is_copy & pl.col("label").eq_missing("good")))

    def without_looks(self) -> Copies:
        """The same, without what only a search for near copies needs: 300 bytes a picture."""
        return replace(self, looks=self.looks.select("image", "pixels"))

    def of(self, parts: list[str]) -> list[str]:
        """The copies of these parts."""
        known = set(parts)
        return [copy for copy, original in self.original.items() if original in known]

    @cached_property
    def names(self) -> Mapping[str, str]:
        """What a card calls each picture by its pixels."""
        pixels = self.looks["pixels"].bin.encode("hex").str.head(NAME_DIGITS)
        return dict(zip(self.looks["image"], pixels, strict=True))

    def tell(self, good: Dataset) -> None:
        """Warn how many of the parts of `good` are copies, and of what."""
        if not (number := len(self.original)):
            return
        pairs = [f"{copy} of {original}" for copy, original in sorted(self.original.items())]
        are = "is a copy of another" if number == 1 else "are copies of others"
        log.warning(
            "%s: %d of %d good parts %s, pixel for pixel (%s): each different part counts once, "
            "and copies are left out",
            *(good.root, number, len(good.parts), are, name_some(pairs)),
        )


@dataclass(frozen=True)
class NearCopies:
    """Held-out parts that look like a near copy of another part, and that part, by name.

    `not_compared` is above 0 where so many pictures look alike that there may be more.
    """

    original: Mapping[str, str]
    not_compared: int = 0

    @classmethod
    def among(
        cls, learnt: Dataset, held: Dataset, copies: Copies, progress: ShowProgress | None = None
    ) -> NearCopies:
        """Of the parts of `held` those like one of `learnt`, or like another that is held."""
        both = held.with_table(pl.concat([learnt.table, held.table]))
        looks = both.table.select("image").join(
            copies.looks, on="image", how="left", maintain_order="left"
        )
        is_held = np.arange(len(both)) >= len(learnt)
        found = near_duplicates(both, looks, among=is_held, most=MOST_COMPARED, progress=progress)
        if not found.groups:
            return cls({}, found.not_compared)
        contents = np.arange(len(both))
        for group in found.groups:
            contents[group] = group[0]
        parts = set(held.parts)
        like = copied_parts(both.table, contents)
        return cls(
            {part: other for part, other in like.items() if part in parts}, found.not_compared
        )


def with_copies(calibration: PartCalibration, copies: Copies, near: NearCopies) -> PartCalibration:
    """The calibration with the numbers of copies and near copies; warns of the latter."""
    like = [entry for entry in calibration.scores if entry.part in near.original]
    categories = {
        name: replace(
            own,
            copies=copies.categories.get(name, 0),
            near_copies=sum(entry.category == name for entry in like),
        )
        for name, own in calibration.categories.items()
    }
    found = replace(
        calibration, copies=len(copies.original), near_copies=len(like), categories=categories
    )
    if like:
        pairs = [f"{entry.part} of {near.original[entry.part]}" for entry in like]
        look = "look like near copies" if len(like) > 1 else "looks like a near copy"
        more = "; there may be more, for not all look-alikes were compared" * bool(
            near.not_compared
        )
        log.warning(
            "%d of the %d good parts that set the threshold %s of others (%s): if they counted "
            "once, the bound would be %s instead of %s%s",
            *(len(like), found.good_parts, look, name_some(pairs)),
            *(percent_up(found.counted_once), percent_up(found.upper_bound), more),
        )
    return found


def _looks(
    good: Dataset, cache: Path | None, clock: Clock, progress: ShowProgress | None
) -> pl.DataFrame:
    """A row for each picture, in order, with the columns of LOOKS."""
    shelf = _shelf(cache)

    def look(image: str) -> tuple[bytes, bytes, bool]:
        """The key of a file, what is kept of it, and whether that is new."""
        path = good.root / image
        in_file = hdf5.file_and_name(path) is not None
        key = b"" if shelf is None or in_file else image_key(path)
        if key and shelf is not None and shelf.crops(key):
            return key, shelf.get(key, 0).tobytes(), False
        return key, _looked_at(path, 0 if in_file else path.stat().st_size), True

    frames = [LOOKS.to_frame()]
    rows: list[tuple[object, ...]] = []
    images = good.table["image"].to_list()
    keeps = shelf is not None
    try:
        looks = in_order(look, images, default_threads())
        for done, (image, (key, kept, new)) in enumerate(zip(images, looks, strict=True), 1):
            clock.check(f"looking for copies, {done - 1} of {len(images)} pictures done")
            if shelf is not None and keeps and new and key:
                try:
                    shelf.put(key, 0, 1, np.frombuffer(kept, np.float16))
                except OSError:  # a full disk: the features will say so
                    keeps = False
            rows.append((image, *_LOOK.unpack(kept)))
            if len(rows) == _ROWS_AT_ONCE or done == len(images):
                frames.append(pl.DataFrame(rows, LOOKS, orient="row"))
                rows.clear()
            if progress is not None:
                progress(Progress("looking for copies", done, len(images)))
    finally:
        if shelf is not None:
            shelf.close()
    return pl.concat(frames)


def _looked_at(path: Path, size: int) -> bytes:
    pixels = read_image(path)
    look = comparable(pixels)
    grey = (look["brightness"], look["contrast"], look["sharpness"])
    return _LOOK.pack(pixel_digest(pixels), size, *grey, look["hash"], look["thumbnail"])


def _shelf(cache: Path | None) -> Shelf | None:
    """Where looks are kept; None without a cache, and where it cannot be written."""
    if cache is None:
        return None
    name = f"looks 1, blemish {blemish.__version__}, OpenCV {cv2.__version__}"
    try:
        return Shelf(cache / hashlib.sha256(name.encode()).hexdigest()[:32], _LOOK.size // 2)
    except OSError:  # the features will say so
        return None
