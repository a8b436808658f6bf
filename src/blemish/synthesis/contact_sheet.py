"""A contact sheet: each defect beside the image it was put on, large enough to judge it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from blemish.errors import BlemishError
from blemish.images import Window, apply_window
from blemish.synthesis._random import image_rng
from blemish.synthesis._reading import read_pixels
from blemish.synthesis.base import Generator, Mask, Pixels, Synthetic

RGB = npt.NDArray[np.uint8]

_SIDE = 240  # of a cell, pixels
_GAP = 6
_LINE = 20  # height of a caption
_CLOSEST = 24  # pixels of the image that an enlarged cell shows at least
_INK, _PAPER, _OUTLINE = (30, 30, 30), (255, 255, 255), (255, 40, 160)
_HEADS = ("before", "after", "mask", "before, enlarged", "after, enlarged")


@dataclass(frozen=True, eq=False)
class Example:
    """An image, the same with a defect, and what to write below."""

    before: Pixels
    after: Synthetic
    caption: str


def some(images: Sequence[Path], *, count: int, seed: int) -> list[Path]:
    """`count` of the images in a seeded order; each comes again only when all have come.

    Raises BlemishError for a count below 1 and for no images.
    """
    if count < 1:
        raise BlemishError(f"--count {count} shows nothing; give 1 or more")
    if not images:
        raise BlemishError("there is no good image to put a defect on; name a folder that has some")
    order = image_rng(seed, "order").permutation(len(images)).tolist()
    return [images[order[number % len(images)]] for number in range(count)]


def examples(images: Sequence[Path], generator: Generator, *, seed: int) -> Iterator[Example]:
    """One example on each image. Raises ImageError where one cannot be read or has float pixels."""
    for number, path in enumerate(images):
        before = read_pixels(path)
        after = generator(before, image_rng(seed, path.name, number))
        area = int(after.mask.sum())
        yield Example(before, after, f"{path.name}: {area} px" if area else f"{path.name}: none")


def contact_sheet(shown: Iterable[Example], window: Window | None = None) -> RGB:
    """One row per example: before, after, the mask's outline, and both enlarged around the mask.

    `window` shows 16-bit images.
    """
    return sheet(_HEADS, ((_cells(example, window), example.caption) for example in shown))


def sheet(heads: Sequence[str], rows_of_cells: Iterable[tuple[Sequence[RGB], str]]) -> RGB:
    """Rows of cells, each with its caption below, under the heads of the columns."""
    width = len(heads) * (_SIDE + _GAP) + _GAP
    rows = [_captions(heads, width)]
    for cells, caption in rows_of_cells:
        row = np.full((_SIDE + _GAP, width, 3), _PAPER, np.uint8)
        for number, cell in enumerate(cells):
            top, left = (_SIDE - cell.shape[0]) // 2, (_SIDE - cell.shape[1]) // 2
            left += _GAP + number * (_SIDE + _GAP)
            row[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
        rows += [row, _captions([caption], width)]
    return np.vstack(rows)


def _cells(example: Example, window: Window | None) -> list[RGB]:
    before, after = _rgb(example.before, window), _rgb(example.after.image, window)
    mask = example.after.mask
    near = _around(mask)
    return [
        fitted(before),
        fitted(after),
        outlined(after, mask),
        fitted(before[near]),
        fitted(after[near]),
    ]


def _rgb(image: Pixels, window: Window | None) -> RGB:
    levels = image if window is None else apply_window(image, window)
    rgb = levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, axis=2)
    return np.asarray(rgb, np.uint8)


def _around(mask: Mask) -> tuple[slice, slice]:
    """The square around the largest spot of the mask, with as much again; all where it is empty."""
    count, _, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return slice(None), slice(None)
    largest = 1 + int(np.argmax(boxes[1:, cv2.CC_STAT_AREA]))
    left, top, width, height = boxes[largest, :4].tolist()
    side = max(_CLOSEST, 2 * max(width, height))
    starts = [
        int(np.clip(middle - side // 2, 0, max(0, limit - side)))
        for middle, limit in zip((top + height // 2, left + width // 2), mask.shape, strict=True)
    ]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def fitted(rgb: RGB) -> RGB:
    """An image [h, w, 3], shrunk, or enlarged pixel by pixel, to fit into a cell."""
    factor = _SIDE / max(rgb.shape[:2])
    size = (max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor)))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(np.ascontiguousarray(rgb), size, interpolation=way), np.uint8)


def outlined(rgb: RGB, mask: Mask) -> RGB:
    """The image in a cell with the mask's outline just outside of it."""
    cell = fitted(rgb).copy()
    small = fitted(np.repeat(mask.astype(np.uint8)[..., None] * 255, 3, axis=2))[..., 0] > 0
    grown = cv2.dilate(small.astype(np.uint8), np.ones((5, 5), np.uint8))
    inner = cv2.dilate(small.astype(np.uint8), np.ones((3, 3), np.uint8))
    cell[(grown > 0) & (inner == 0)] = _OUTLINE
    return cell


def _captions(texts: Sequence[str], width: int) -> RGB:
    line = np.full((_LINE, width, 3), _PAPER, np.uint8)
    for number, text in enumerate(texts):
        place = (_GAP + number * (_SIDE + _GAP), _LINE - 6)
        plain = text.encode("ascii", "replace").decode("ascii")
        cv2.putText(line, plain, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return line
