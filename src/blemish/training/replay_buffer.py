"""The replay buffer: pictures of real defects that a model keeps for later warm starts.

So nobody has to keep old folders, and no defect is forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl

from blemish.dataset import Dataset, Row
from blemish.dataset.table import conform
from blemish.errors import ArtifactError
from blemish.features.cache import picture_name
from blemish.images import Recipe, read_eight_bit, read_image, read_mask
from blemish.model.artifact import Artifact
from blemish.model.card import KeptDefectEntry
from blemish.util.files import replacing

Pixels = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

FOLDER = "defects/"
TILES = 2  # sides of a tile that a crop is wide and high: as a rule 512 pixels
MOST_OF_A_PART = 5
MOST_PARTS = 500
MOST_BYTES = 64 << 20  # in all, since every inspector reads the whole file


@dataclass(frozen=True)
class KeptDefect:
    """One picture of a defect: its part, kind, name by content, and PNG files (TIFF of floats)."""

    part: str
    kind: str | None
    name: str
    picture: bytes
    mask: bytes | None

    @classmethod
    def of(cls, row: Row, recipe: Recipe) -> list[Self]:
        """What is kept of a picture: where a mask says where to look, the tiles around each defect.

        Raises ImageError for a file that cannot be read, or has not the depth of `recipe`.
        """
        pixels = read_image(row.image)
        if (pixels.dtype == np.uint8) != (recipe.window is None):
            read_eight_bit(row.image, recipe.window)  # says what is wrong with it
        mask = None if row.mask is None else read_mask(row.mask, pixels.shape[:2])
        name = picture_name(row.image)
        if mask is None or not mask.any():
            return [cls(row.part, row.defect, name, _encoded(pixels), None)]
        side = max(mask.shape) if recipe.tile is None else TILES * recipe.tile
        marked = mask.astype(np.uint8) * 255
        return [
            cls(row.part, row.defect, name, _encoded(pixels[inside]), _encoded(marked[inside]))
            for inside in windows(mask, side)
        ]

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.picture) + len(self.mask or b"")

    @property
    def suffix(self) -> str:
        """That of the picture's file."""
        return ".png" if self.picture.startswith(b"\x89PNG") else ".tif"


def named(data: Dataset) -> Dataset:
    """The same rows; a part that is named by its file is named by its picture's content instead.

    A file's name says nothing elsewhere: the next folder may well have another 001.png.
    """
    alone = data.table["part"] == data.table["image"]
    parts = [
        picture_name(row.image) if is_alone else row.part
        for row, is_alone in zip(data.rows(), alone, strict=True)
    ]
    return data.with_table(data.table.with_columns(part=pl.Series(parts, dtype=pl.String)))


def keep(
    known: Sequence[KeptDefect], rows: Dataset, recipe: Recipe
) -> tuple[list[KeptDefect], int]:
    """What a model keeps: `known` pictures and those of `rows`; and how many are left out.

    At most `MOST_OF_A_PART` of a part and `MOST_PARTS` parts; where the bytes are too many, the
    later pictures of each part go first.
    """
    of_part = Counter(one.part for one in known)
    kept, left_out = list(known), 0
    for row in named(rows).rows():
        has_place = row.part in of_part or len(of_part) < MOST_PARTS
        room = MOST_OF_A_PART - of_part[row.part] if has_place else 0
        pictures = KeptDefect.of(row, recipe) if room else []
        kept += pictures[:room]
        left_out += max(1, len(pictures)) - len(pictures[:room])
        if has_place:
            of_part[row.part] += len(pictures[:room])
    fitting = _fitting(kept)
    return fitting, left_out + len(kept) - len(fitting)


def members(kept: Sequence[KeptDefect]) -> tuple[dict[str, bytes], list[KeptDefectEntry]]:
    """The members of the artifact, and what its card says of each picture."""
    files: dict[str, bytes] = {}
    entries: list[KeptDefectEntry] = []
    for number, one in enumerate(kept):
        name = f"{FOLDER}{number:04}"
        files[name + one.suffix] = one.picture
        if one.mask is not None:
            files[name + "_mask.png"] = one.mask
        member, has_mask = name + one.suffix, one.mask is not None
        entries.append(KeptDefectEntry(member, one.part, one.kind, one.name, has_mask))
    return files, entries


def kept_in(artifact: Artifact) -> list[KeptDefect]:
    """The pictures that a model keeps; none where it was taught none. Raises ArtifactError."""
    try:
        return [
            KeptDefect(
                entry.part,
                entry.kind,
                entry.image,
                artifact.members[entry.member],
                artifact.members[_mask_of(entry.member)] if entry.mask else None,
            )
            for entry in artifact.card.defects
        ]
    except KeyError as error:
        raise ArtifactError(
            f"{artifact.path} does not hold the defect {error} that its card names; take a model "
            "as blemish wrote it"
        ) from error


def extract(kept: Sequence[KeptDefect], folder: Path, category: str) -> pl.DataFrame:
    """Write the pictures into `folder`; the rows of a data set, with absolute paths."""
    rows: list[dict[str, str | None]] = []
    for number, one in enumerate(kept):
        image = folder.absolute() / f"{number:04}{one.suffix}"
        mask = image.with_name(f"{number:04}_mask.png")
        for path, data in ((image, one.picture), (mask, one.mask)):
            if data is not None:
                with replacing(path) as file:
                    file.write(data)
        files = {"image": image.as_posix(), "mask": mask.as_posix() if one.mask else None}
        rows.append({**files, "part": one.part, "defect": one.kind})
    schema = dict.fromkeys(("image", "mask", "part", "defect"), pl.String())
    return as_training(pl.DataFrame(rows, schema=schema), category)


def not_extracted(rows: Dataset, folder: Path) -> Dataset:
    """The rows whose pictures do not lie in `folder`, where those that a model kept are."""
    return rows.where(~pl.col("image").str.starts_with(folder.absolute().as_posix() + "/"))


def as_training(frame: pl.DataFrame, category: str) -> pl.DataFrame:
    """Rows of real defects to learn from, of one category."""
    return conform(
        frame.with_columns(
            category=pl.lit(category), split=pl.lit("train"), label=pl.lit("defective")
        )
    )


def windows(mask: Mask, side: int) -> list[tuple[slice, slice]]:
    """Squares of that side, in a picture [H, W], that together show all that is marked.

    One is around all of it where that fits; else the first shows most, the next most of the rest.
    """
    rest, found = mask.copy(), []
    while rest.any():
        found.append(_window(rest, side))
        rest[found[-1]] = False
    return found


def _window(mask: Mask, side: int) -> tuple[slice, slice]:
    spans = [np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    first = [(int(low) + int(high) + 1 - side) // 2 for low, high in spans]
    if any(high - low >= side for low, high in spans):
        marked = cv2.boxFilter(
            mask.astype(np.float32), -1, (side, side), borderType=cv2.BORDER_CONSTANT
        )
        first = [int(place) - side // 2 for place in np.unravel_index(marked.argmax(), mask.shape)]
    top, left = (max(0, min(at, n - side)) for at, n in zip(first, mask.shape, strict=True))
    return slice(top, top + side), slice(left, left + side)


def _fitting(kept: Sequence[KeptDefect]) -> list[KeptDefect]:
    """As many as the bytes allow: the first picture of every part, then the second, and so on."""
    seen: Counter[str] = Counter()
    turns = []
    for place, one in enumerate(kept):
        turns.append((seen[one.part], place))
        seen[one.part] += 1
    total, chosen = 0, []
    for _, place in sorted(turns):
        total += kept[place].size
        if total <= MOST_BYTES:
            chosen.append(place)
    return [kept[place] for place in sorted(chosen)]


def _mask_of(member: str) -> str:
    return member.rpartition(".")[0] + "_mask.png"


def _encoded(pixels: Pixels) -> bytes:
    """A file without loss, at the depth of the pixels, uint8, uint16 or float32."""
    suffix = ".tif" if pixels.dtype == np.float32 else ".png"
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    return cv2.imencode(suffix, np.ascontiguousarray(bgr))[1].tobytes()
