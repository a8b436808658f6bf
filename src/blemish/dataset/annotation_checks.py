"""Whether what was drawn on a picture fits the picture: its size, its orientation, its border."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

import numpy as np
from PIL import Image

from blemish.dataset.annotations import Annotation
from blemish.dataset.check import Finding
from blemish.dataset.image_header import image_size
from blemish.dataset.shapes import (
    MOST_CROSSINGS,
    Outline,
    Points,
    Shape,
    bounds,
    crossings,
    draw,
)
from blemish.errors import ImageError
from blemish.util.files import open_regular

_ORIENTATION = 0x0112
_UPRIGHT = 1
_ON_ITS_SIDE = range(5, 9)
_FEW_RINGS = 50
_SILENT = 1.0  # pixels beyond the border: tools round


@dataclass(frozen=True, eq=False)
class Drawing:
    """The shapes on one picture in its pixels, its height and width, and the annotation's file."""

    shapes: tuple[Shape, ...]
    size: tuple[int, int]
    file: str


def fitted(
    root: Path, picture: str, annotation: Annotation
) -> tuple[Drawing | None, list[Finding]]:
    """An annotation in the pixels of its picture, or None; and what does not fit."""
    try:
        size = image_size(root / picture)
    except ImageError as error:
        return None, [Finding("error", str(error), picture, "unreadable")]
    wrong = _size_fault(root, picture, annotation, size)
    if wrong is not None:
        return None, [wrong]
    shapes = annotation.shapes
    if annotation.in_shares:
        shapes = tuple(_in_pixels(shape, size) for shape in shapes)
    drawing = Drawing(shapes, size, annotation.file)
    faults = [found for shape in shapes if (found := _border_fault(shape, drawing, picture))]
    faults += [
        Finding(
            "warning",
            f"{picture} has an object ({shape.kind}) with a polygon inside of another, which fills "
            "it too; if it is a hole, export the object as a mask.",
            picture,
            "polygons inside of another",
        )
        for shape in shapes
        if isinstance(shape.area, Outline) and _is_nested(shape.area.rings, size)
    ]
    without = sorted({shape.kind for shape in shapes if shape.area is None})
    if without:
        faults.append(
            Finding(
                "warning",
                f"{picture} has objects without area ({', '.join(without)}), which its mask lacks; "
                "draw polygons.",
                picture,
                "objects without area",
            )
        )
    return drawing, faults


def _size_fault(
    root: Path, picture: str, annotation: Annotation, size: tuple[int, int]
) -> Finding | None:
    declared = annotation.size
    tag = _orientation(root / picture) if annotation.shapes else _UPRIGHT
    on_side = tag in _ON_ITS_SIDE
    said = f"{picture} has an EXIF orientation tag ({tag})"
    way_out = "save it turned and without the tag, and export its annotation again."
    if declared is not None and declared != size:
        is_turned = on_side and declared == size[::-1]
        message = (
            f"{said}, and {annotation.file} was drawn on the turned picture; {way_out}"
            if is_turned
            else f"{picture} is {_text(size)} pixels, and {annotation.file} was drawn on "
            f"{_text(declared)}; give the picture that was drawn on."
        )
        return Finding("error", message, picture, "turned pictures" if is_turned else "other sizes")
    told = declared is not None and on_side and size[0] != size[1]  # by the size: it was not turned
    if tag != _UPRIGHT and not told:
        message = f"{said}, and nothing tells whether {annotation.file} was drawn on it turned; "
        return Finding("error", message + way_out, picture, "turned pictures")
    return None


def _border_fault(shape: Shape, drawing: Drawing, picture: str) -> Finding | None:
    """A shape outside of its picture, or partly, or one that takes too long to fill."""
    if shape.area is None:
        return None
    height, width = drawing.size
    left, top, right, bottom = bounds(shape.area)
    said = f"{picture} has an object ({shape.kind}) in {drawing.file}"
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        message = f"{said} that lies outside of its {_text(drawing.size)} pixels; draw it again."
        return Finding("error", message, picture, "beyond the border")
    if crossings(shape.area, height) > MOST_CROSSINGS:
        message = f"{said} with a longer outline than can be filled; draw it again."
        return Finding("error", message, picture, "annotations")
    beyond = max(-left, -top, right - width, bottom - height)
    if beyond <= _SILENT:
        return None
    message = f"{said} that reaches {beyond:.0f} pixels beyond the border, where it is cut off."
    return Finding("warning", message, picture, "beyond the border")


def _is_nested(rings: tuple[Points, ...], size: tuple[int, int]) -> bool:
    """Whether one of the rings, of a few, lies in another and so adds no pixel to it."""
    if not 1 < len(rings) <= _FEW_RINGS:
        return False
    areas = [Outline((ring,)) for ring in rings]
    sides = [bounds(area) for area in areas]
    for inner, outer in permutations(range(len(rings)), 2):
        (left, top, right, bottom), around = sides[inner], sides[outer]
        if left > around[0] and top > around[1] and right < around[2] and bottom < around[3]:
            less, more = (draw([Shape("", areas[which])], size) for which in (inner, outer))
            if less.any() and not (less & ~more).any():
                return True
    return False


def _in_pixels(shape: Shape, size: tuple[int, int]) -> Shape:
    if not isinstance(shape.area, Outline):
        return shape
    scale = np.array([size[1], size[0]], np.float64)
    return replace(shape, area=Outline(tuple(ring * scale for ring in shape.area.rings)))


def _orientation(path: Path) -> int:
    """The orientation that a picture's EXIF data names; 1, upright, where it names none."""
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # of damaged EXIF data, and of large pictures
            open_regular(path) as file,
            Image.open(file) as picture,
        ):
            value = picture.getexif().get(_ORIENTATION, _UPRIGHT)
    except Exception:  # Pillow raises any for damage, which whoever decodes the picture tells of
        return _UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else _UPRIGHT


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"
