"""CVAT for images 1.1: one XML file with all pictures and what was drawn on each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from xml.etree.ElementTree import Element

from blemish.dataset.annotations._annotation import Annotation, Unfit
from blemish.dataset.annotations._fields import (
    attempt,
    kind_of,
    number,
    read_xml,
    refuse_flat,
    ring,
    size_of,
    whole,
)
from blemish.dataset.annotations._folder import Folder, not_read
from blemish.dataset.check import Finding
from blemish.dataset.run_lengths import runs_of
from blemish.dataset.shapes import Outline, Runs, Shape, box, ellipse
from blemish.errors import DatasetError

EXPECTS = "annotations.xml of CVAT for images 1.1"
SUFFIXES = (".xml",)
MASK_FOLDERS = ()

# A tag is for the whole picture, the others have no area.
_WITHOUT_AREA = ("tag", "polyline", "points", "cuboid", "skeleton")


def recognises(text: str) -> bool:
    """True for XML of annotations, in the plural."""
    return "<annotations" in text


def read(folder: Folder) -> Iterator[Annotation | Finding]:
    """An annotation for each picture of every file; a picture without an object has no shape."""
    others = []
    for file in folder.files(*SUFFIXES):
        try:
            root = read_xml(folder.root / file)
        except DatasetError as error:
            yield Finding("error", str(error), file, "annotations")
            continue
        if root.tag != "annotations":
            others.append(file)
        elif root.find("track") is not None:
            message = f"{file} is of CVAT for video; export it as CVAT for images 1.1."
            yield Finding("error", message, file, "annotations")
        else:
            kinds = {(name.text or "").strip() for name in root.iterfind("meta//label/name")}
            for image in root.iterfind("image"):
                yield attempt(file, partial(_annotation, image, kinds, file))
    yield from not_read(others, "XML of CVAT")


def _annotation(image: Element, kinds: set[str], file: str) -> Annotation:
    name = image.get("name")
    if not name:
        raise Unfit("has an image without a name; export it again.")
    shapes = [shape for item in image if (shape := _shape(item, kinds, name)) is not None]
    size = size_of(image.get("width"), image.get("height"))
    return Annotation(file, tuple(shapes), name, size=size, kinds=frozenset(kinds))


def _shape(item: Element, kinds: set[str], image: str) -> Shape | None:
    kind = kind_of(item.get("label"), f"{item.tag} on {image}")
    where = f"{item.tag} ({kind}) on {image}"
    if kinds and kind not in kinds:
        raise Unfit(f"has a {where}, a kind that its labels do not name; export it again.")
    if item.tag in _WITHOUT_AREA:
        return Shape(kind, None)
    if item.tag == "polygon":
        pairs = [pair.split(",") for pair in item.get("points", "").split(";") if pair.strip()]
        return Shape(kind, Outline((ring(pairs, where),)))
    if item.tag == "mask":
        return Shape(kind, _runs(item, where))
    if item.tag not in ("box", "ellipse"):
        raise Unfit(f"has a {where}, of a type that is not known; draw a polygon.")
    names = ("xtl", "ytl", "xbr", "ybr") if item.tag == "box" else ("cx", "cy", "rx", "ry")
    a, b, c, d = (number(item.get(name), where) for name in names)
    turn = number(item.get("rotation", "0"), where)
    if item.tag == "ellipse":
        area = ellipse(a, b, abs(c), abs(d))
    else:
        area = box(min(a, c), min(b, d), max(a, c), max(b, d))
    refuse_flat(area.rings[0], where)
    made = ellipse(a, b, abs(c), abs(d), turn) if item.tag == "ellipse" else box(a, b, c, d, turn)
    return Shape(kind, made, is_box=item.tag == "box")


def _runs(item: Element, where: str) -> Runs:
    """Runs by row, in the rectangle that the mask names."""
    left, top, width, height = (
        whole(item.get(name), where) for name in ("left", "top", "width", "height")
    )
    words = [word for word in item.get("rle", "").split(",") if word.strip()]
    try:
        return runs_of([whole(word, where) for word in words], (height, width), (left, top))
    except ValueError as error:
        raise Unfit(f"has no sound runs for its {where} ({error}); export it again.") from None
