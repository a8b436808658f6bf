"""labelme (and tools that write its files): a JSON file beside each picture."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blemish.dataset.annotations._annotation import Annotation, Unfit
from blemish.dataset.annotations._fields import (
    attempt,
    kind_of,
    listed,
    number,
    refuse_flat,
    ring,
    size_of,
)
from blemish.dataset.annotations._folder import Folder, not_read
from blemish.dataset.check import Finding
from blemish.dataset.run_lengths import runs_by_row
from blemish.dataset.shapes import Outline, Runs, Shape, box, ellipse
from blemish.errors import DatasetError
from blemish.util.file_limit import refusal
from blemish.util.library_errors import shortened, translated
from blemish.util.text_files import read_json

EXPECTS = "a JSON file with shapes and imagePath for each picture"
SUFFIXES = (".json",)
MASK_FOLDERS = ()

_POLYGONS = ("polygon", "oriented_rectangle", "rotation")
_WITHOUT_AREA = ("line", "linestrip", "point", "points")


def recognises(text: str) -> bool:
    """True for JSON with shapes that says where they are."""
    return '"shapes"' in text and ('"imagePath"' in text or '"shape_type"' in text)


def read(folder: Folder) -> Iterator[Annotation | Finding]:
    """An annotation for each JSON file with shapes; the picture inside of it is not read."""
    others = []
    for file in folder.files(*SUFFIXES):
        try:
            value = read_json(folder.root / file, "JSON of labelme", "save it again, or remove it.")
        except DatasetError as error:
            yield Finding("error", str(error), file, "annotations")
            continue
        if not isinstance(value, dict) or "shapes" not in value:
            others.append(file)
            continue
        yield attempt(file, partial(_annotation, value, file))
        yield from _flags(value, file)
    yield from not_read(others, "JSON of labelme")


def _annotation(value: dict[str, Any], file: str) -> Annotation:
    shapes = [_shape(shape, n) for n, shape in enumerate(listed(value, "shapes"), 1)]
    written = value.get("imagePath")
    return Annotation(
        file,
        tuple(shapes),
        written if isinstance(written, str) else None,
        file.rpartition(".")[0],
        size_of(value.get("imageWidth"), value.get("imageHeight")),
    )


def _shape(value: Any, place: int) -> Shape:
    if not isinstance(value, dict):
        raise Unfit(f"has no object for shape {place}; save it again.")
    kind = kind_of(value.get("label"), f"shape {place}")
    type_ = value.get("shape_type") or "polygon"
    where = f"{type_ if isinstance(type_, str) else 'shape'} {place} ({kind})"
    points = value.get("points")
    if type_ in _WITHOUT_AREA:
        return Shape(kind, None)
    if type_ in _POLYGONS or (
        type_ == "rectangle" and isinstance(points, list) and len(points) == 4
    ):
        return Shape(kind, Outline((ring(points, where),)), is_box=type_ != "polygon")
    if type_ not in ("rectangle", "circle", "mask"):
        raise Unfit(f"has a shape {place} ({kind}) of a type that is not known; draw a polygon.")
    (x0, y0), (x1, y1) = _two_points(points, where)
    if type_ == "mask":
        return Shape(kind, _runs(value.get("mask"), (x0, y0, x1, y1), where))
    if type_ == "circle":
        radius = float(np.hypot(x1 - x0, y1 - y0))
        area = ellipse(x0, y0, radius, radius)
    else:
        area = box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    refuse_flat(area.rings[0], where)
    return Shape(kind, area, is_box=type_ == "rectangle")


def _two_points(values: Any, where: str) -> NDArray[np.float64]:
    pairs = values if isinstance(values, list) else []
    if len(pairs) != 2 or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise Unfit(f"has not two points in its {where}; draw it again, or remove it.")
    return np.array([[number(n, where) for n in pair] for pair in pairs])


def _runs(text: Any, sides: tuple[float, float, float, float], where: str) -> Runs:
    """The pixels of a PNG in base64, whose corner pixels are the two points of the shape."""
    left, top, right, bottom = (round(side) for side in sides)
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise Unfit(f"has no picture in base64 for its {where}; draw it again.") from None
    try:
        with translated(DatasetError), Image.open(BytesIO(data), formats=("PNG",)) as picture:
            width, height = picture.size
            if abs(right - left + 1 - width) > 1 or abs(bottom - top + 1 - height) > 1:
                raise DatasetError("it is not of the size of its rectangle")
            if refused := refusal(4 * width * height):
                raise DatasetError(f"it {refused}")
            pixels = np.asarray(picture.convert("L")) > 0
    except DatasetError as error:
        raise Unfit(f"has no sound picture in its {where} ({error}); draw it again.") from None
    return runs_by_row(pixels, (left, top))


def _flags(value: dict[str, Any], file: str) -> Iterator[Finding]:
    flags = value.get("flags")
    if value["shapes"] == [] and isinstance(flags, dict) and any(v is True for v in flags.values()):
        names = ", ".join(str(name) for name, flag in flags.items() if flag is True)
        yield Finding(
            "warning",
            f"{file} has no shape, and the flags {shortened(names)}, which are not read: its "
            "picture is taken as good.",
            file,
            "flags",
        )
