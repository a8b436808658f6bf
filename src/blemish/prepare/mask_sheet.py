"""A contact sheet of masks over their images, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from blemish.prepare.scribbles import BACKGROUND, DEFECT, Labels

Pixels = NDArray[np.uint8]

CELL = 240  # longest side of a picture on the sheet, in pixels
COLUMNS = 4
MOST_PICTURES = 48
_GAP, _CAPTION = 8, 18
_MARGIN = 0.6  # of the larger side of what is marked: the surroundings that are shown
_RED, _GREEN, _OUTLINE = (255, 60, 60), (60, 220, 60), (255, 220, 0)


@dataclass(frozen=True, eq=False)
class MaskedImage:
    """An image [H, W(, 3)], its mask bool [H, W], and its scribbles if any."""

    image: NDArray[Any]
    mask: NDArray[np.bool_]
    labels: Labels | None


def cell(masked: MaskedImage) -> Pixels:
    """The part of an image that has marks: strokes in it, and beside it the mask's outline.

    Returns RGB uint8 [h, w, 3].
    """
    top, bottom, left, right = _part(masked)
    part = slice(top, bottom), slice(left, right)
    scale = CELL / max(bottom - top, right - left)
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    plain = cv2.resize(_shown(masked.image[part]), size, interpolation=how)
    drawn, outlined = plain.copy(), plain.copy()
    if masked.labels is not None:
        labels = cv2.resize(masked.labels[part], size, interpolation=cv2.INTER_NEAREST)
        drawn[labels == BACKGROUND] = _GREEN
        drawn[labels == DEFECT] = _RED
    mask: Any = masked.mask[part].astype(np.uint8)
    mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    borders, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(outlined, borders, -1, _OUTLINE, 1)
    gap = np.full((size[1], 2, 3), 255, np.uint8)
    return np.asarray(np.hstack([drawn, gap, outlined]), np.uint8)


def contact_sheet(cells: Sequence[tuple[str, Pixels]]) -> Pixels:
    """Named cells in rows of four, RGB uint8 [h, w, 3]; names are shown in ASCII."""
    wide, high = 2 * CELL + 2, CELL + _CAPTION
    rows = -(-len(cells) // COLUMNS)
    columns = min(COLUMNS, len(cells))
    shape = (rows * (high + _GAP) + _GAP, columns * (wide + _GAP) + _GAP, 3)
    sheet = np.full(shape, 245, np.uint8)
    for place, (name, pixels) in enumerate(cells):
        y = _GAP + place // COLUMNS * (high + _GAP)
        x = _GAP + place % COLUMNS * (wide + _GAP)
        sheet[y + _CAPTION : y + _CAPTION + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        said = name.encode("ascii", "replace").decode()[-60:]
        cv2.putText(sheet, said, (x, y + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, 16)
    return sheet


def _part(masked: MaskedImage) -> tuple[int, int, int, int]:
    """Rows and columns around all that is marked; of an image without marks all of it."""
    height, width = masked.mask.shape
    marked = masked.mask if masked.labels is None else masked.mask | (masked.labels > 0)
    if not marked.any():
        return 0, height, 0, width
    x, y, columns, rows = cv2.boundingRect(marked.astype(np.uint8))
    around = round(_MARGIN * max(rows, columns)) + 8
    return (
        max(0, y - around),
        min(height, y + rows + around),
        max(0, x - around),
        min(width, x + columns + around),
    )


def _shown(image: NDArray[Any]) -> Pixels:
    """An image as 8-bit RGB; 16-bit and float ones from their darkest to their brightest value."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        shares = (image.astype(np.float32) - low) / max(high - low, 1e-9)
        image = np.rint(255 * shares).astype(np.uint8)
    rgb = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    return np.ascontiguousarray(rgb)
