"""Pascal VOC: an XML file with boxes for each picture, or a PNG with a colour for each kind.

Where a picture has both, the PNG in SegmentationClass counts, and the boxes are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blemish.dataset.annotations._annotation import Annotation, Unfit
from blemish.dataset.annotations._fields import (
    attempt,
    kind_of,
    number,
    read_xml,
    refuse_flat,
    ring,
    size_of,
)
from blemish.dataset.annotations._folder import Folder, not_read
from blemish.dataset.check import Finding
from blemish.dataset.run_lengths import runs_by_row
from blemish.dataset.shapes import Outline, Shape, box
from blemish.errors import DatasetError, ImageError
from blemish.images.reading import read_header
from blemish.util.files import open_regular
from blemish.util.library_errors import shortened, translated
from blemish.util.text_files import read_text

EXPECTS = "an XML file for each picture, or SegmentationClass with a PNG for each"
SUFFIXES = (".xml",)
MASK_FOLDERS = ("SegmentationClass", "SegmentationObject")

_BACKGROUND, _BORDER = 0, 255
_BORDER_COLOUR = 0xE0E0C0
_WAY_OUT = "export it again, or remove it."

Colour = tuple[int, int, int]


def recognises(text: str) -> bool:
    """True for XML of an annotation, in the singular."""
    return "<annotation>" in text or "<annotation " in text


def read(folder: Folder) -> Iterator[Annotation | Finding]:
    """An annotation for each PNG of kinds and for each XML file of a picture that has none."""
    elements: dict[str, Element] = {}
    others = []
    for file in folder.files(*SUFFIXES):
        try:
            root = read_xml(folder.root / file)
        except DatasetError as error:
            yield Finding("error", str(error), file, "annotations")
            continue
        if root.tag == "annotation":
            elements[file] = root
        else:
            others.append(file)
    masks = {_stem(name): name for name in folder.images if MASK_FOLDERS[0] in name.split("/")}
    try:
        colours = _colours(folder) if masks else {}
    except DatasetError as error:
        yield Finding("error", str(error), None, "annotations")
        return
    boxed: dict[str, set[str]] = {}
    for file, root in elements.items():
        if _stem(file) in masks:
            boxed[_stem(file)] = {name.text or "" for name in root.iterfind("object/name")}
        else:
            yield attempt(file, partial(_annotation, root, file))
    for stem, name in masks.items():
        yield attempt(name, partial(_masked, folder, name, colours, boxed.get(stem, set())))
    yield from not_read(others, "XML of Pascal VOC")


def _stem(file: str) -> str:
    return file.rpartition("/")[2].rpartition(".")[0]


def _annotation(root: Element, file: str) -> Annotation:
    shapes = [_shape(item, n) for n, item in enumerate(root.iterfind("object"), 1)]
    size = size_of(root.findtext("size/width"), root.findtext("size/height"))
    name = (root.findtext("filename") or "").strip()
    return Annotation(file, tuple(shapes), name or None, file.rpartition(".")[0], size)


def _shape(item: Element, place: int) -> Shape:
    kind = kind_of(item.findtext("name"), f"object {place}")
    where = f"object {place} ({kind})"
    polygon = item.find("polygon")
    if polygon is not None and len(polygon):
        flat = [corner.text for corner in polygon]
        if len(flat) % 2:
            raise Unfit(f"has no pairs of numbers for the points of its {where}; draw it again.")
        pairs = [list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
        return Shape(kind, Outline((ring(pairs, where),)))
    edges = item.find("bndbox")
    if edges is None:
        raise Unfit(f"has no bndbox for its {where}; draw it again.")
    x0, y0, x1, y1 = (number(edges.findtext(n), where) for n in ("xmin", "ymin", "xmax", "ymax"))
    if x1 < x0 or y1 < y0:
        raise Unfit(f"has a box without area for its {where}; draw it again, or remove it.")
    # Its pixels are counted from 1, and both sides belong to the box.
    area = box(x0 - 1, y0 - 1, x1, y1)
    refuse_flat(area.rings[0], where)
    return Shape(kind, area, is_box=True)


def _masked(folder: Folder, name: str, colours: dict[Colour, str], boxed: set[str]) -> Annotation:
    try:
        values, palette = _indices(folder, name)
    except ImageError as error:
        raise Unfit(f"cannot be read ({error}).") from None
    found = [int(value) for value in np.unique(values) if value not in (_BACKGROUND, _BORDER)]
    if not found and (values == _BORDER).any():
        raise Unfit(
            "holds 255 alone, which Pascal VOC means as a border and not as a defect; give "
            "defects the indices 1 and up."
        )
    shapes = []
    for value in found:
        if colours:
            kind = colours.get(palette.get(value, (value, value, value)), "")
            if not kind:
                raise Unfit(
                    f"has the index {value}, whose colour labelmap.txt does not name; add it there."
                )
        else:
            only = len(found) == len(boxed) == 1
            kind = kind_of(next(iter(boxed)), "object") if only else f"class_{value}"
        shapes.append(Shape(kind, runs_by_row(values == value, (0, 0))))
    return Annotation(name, tuple(shapes), stem=_stem(name), size=values.shape)


def _indices(folder: Folder, name: str) -> tuple[NDArray[np.int64], dict[int, Colour]]:
    """The index of each pixel [H, W], and the colours of the indices.

    A picture in colours without a palette has its colours numbered from 1; black is 0, and the
    colour of the border 255.
    """
    path = folder.root / name
    read_header(path)  # refuses what is damaged, and what is too large
    with (
        translated(lambda reason: ImageError(f"{path} is damaged: {reason}; {_WAY_OUT}")),
        open_regular(path) as file,
        Image.open(file) as picture,
    ):
        if picture.mode in ("P", "L"):
            entries = picture.getpalette() or [] if picture.mode == "P" else []
            colours = zip(entries[::3], entries[1::3], entries[2::3], strict=False)
            return np.asarray(picture).astype(np.int64), dict(enumerate(colours))
        pixels = np.asarray(picture.convert("RGB")).astype(np.int64)
    packed = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    values, inverse = np.unique(packed, return_inverse=True)
    if len(values) > _BORDER:
        raise Unfit(f"has {len(values)} colours, more than there are kinds; {_WAY_OUT}")
    special = {0: _BACKGROUND, _BORDER_COLOUR: _BORDER}
    numbers = [special.get(int(value), n) for n, value in enumerate(values, 1)]
    colours_of = {
        n: (int(value) >> 16, int(value) >> 8 & 255, int(value) & 255)
        for n, value in zip(numbers, values, strict=True)
    }
    return np.array(numbers)[inverse].reshape(packed.shape), colours_of


def _colours(folder: Folder) -> dict[Colour, str]:
    """The kind of each colour in labelmap.txt; none where there is no such file."""
    found: dict[Colour, str] = {}
    for file in folder.others:
        if file.rpartition("/")[2].lower() == "labelmap.txt":
            lines = read_text(folder.root / file, _WAY_OUT).splitlines()
            named = [_colour(line, file) for line in lines if line.strip() and line[0] != "#"]
            if not named:
                raise DatasetError(f"{file} names no colour; {_WAY_OUT}")
            found.update(named)
    return found


def _colour(line: str, file: str) -> tuple[Colour, str]:
    """A line `kind:red,green,blue:parts:actions`."""
    kind, _, rest = line.partition(":")
    levels = [word.strip() for word in rest.partition(":")[0].split(",")]
    if len(levels) != 3 or not all(level.isdecimal() and len(level) < 4 for level in levels):
        raise DatasetError(
            f"{file} has no kind and colour in its line {shortened(line)}; write kind:R,G,B."
        )
    red, green, blue = map(int, levels)
    return (red, green, blue), kind.strip()
