"""COCO: JSON files, each with the objects of many pictures, and their kinds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from blemish.dataset.annotations._annotation import Annotation, Unfit
from blemish.dataset.annotations._fields import (
    attempt,
    kind_of,
    listed,
    number,
    refuse_flat,
    ring,
    size_of,
    whole,
)
from blemish.dataset.annotations._folder import Folder, not_read
from blemish.dataset.check import Finding
from blemish.dataset.run_lengths import runs_of, unpacked
from blemish.dataset.shapes import Outline, Runs, Shape, box
from blemish.errors import DatasetError
from blemish.util.library_errors import shortened
from blemish.util.text_files import read_json

EXPECTS = "a JSON file with images, annotations and categories"
SUFFIXES = (".json",)
MASK_FOLDERS = ()

_WAY_OUT = "export it again, or remove it."


def recognises(text: str) -> bool:
    """True for JSON with the keys of COCO."""
    return '"images"' in text and ('"annotations"' in text or '"categories"' in text)


def read(folder: Folder) -> Iterator[Annotation | Finding]:
    """An annotation for each picture of every file; a picture without an object has no shape."""
    others = []
    for file in folder.files(*SUFFIXES):
        try:
            value = read_json(folder.root / file, "JSON of COCO", _WAY_OUT)
        except DatasetError as error:
            yield Finding("error", str(error), file, "annotations")
            continue
        if isinstance(value, dict) and "images" in value:
            yield from _annotations(value, file)
        else:
            others.append(file)
    yield from not_read(others, "JSON of COCO")


def _annotations(value: dict[str, Any], file: str) -> Iterator[Annotation | Finding]:
    try:
        kinds = _categories(value)
        images = {_id(image, "image"): image for image in listed(value, "images")}
        if len(images) < len(value["images"]):
            raise Unfit(f"has images of one id; {_WAY_OUT}")
        objects: dict[int | str, list[Any]] = {image: [] for image in images}
        for item in listed(value, "annotations"):
            image = _id(item, "annotation", "image_id")
            if image not in objects:
                raise Unfit(
                    f"has an object on image {shortened(str(image))}, which it does not "
                    f"list; {_WAY_OUT}"
                )
            objects[image].append(item)
    except Unfit as unfit:
        yield Finding("error", f"{file} {unfit}", file, "annotations")
        return
    for number_, image in images.items():
        yield attempt(file, partial(_annotation, image, objects[number_], kinds, file))


def _categories(value: dict[str, Any]) -> dict[int | str, str]:
    kinds: dict[int | str, str] = {}
    for item in listed(value, "categories"):
        number_, kind = _id(item, "category"), kind_of(item.get("name"), "category")
        if kinds.setdefault(number_, kind) != kind:
            raise Unfit(f"calls category {number_} both {kinds[number_]} and {kind}; {_WAY_OUT}")
    return kinds


def _id(item: Any, what: str, key: str = "id") -> int | str:
    found = item.get(key) if isinstance(item, dict) else None
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise Unfit(f"has an {what} without {key}; {_WAY_OUT}")
    return found


def _annotation(
    image: dict[str, Any], items: list[Any], kinds: dict[int | str, str], file: str
) -> Annotation:
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        raise Unfit(f"has an image without file_name; {_WAY_OUT}")
    size = size_of(image.get("width"), image.get("height"))
    shapes = tuple(_shape(item, kinds, size, shortened(name)) for item in items)
    return Annotation(file, shapes, name, size=size, kinds=frozenset(kinds.values()))


def _shape(
    item: Any, kinds: dict[int | str, str], size: tuple[int, int] | None, image: str
) -> Shape:
    category = _id(item, "annotation", "category_id")
    if category not in kinds:
        raise Unfit(
            f"has an object of category {shortened(str(category))} on {image}, which it "
            f"does not list; {_WAY_OUT}"
        )
    kind = kinds[category]
    where = f"object {item.get('id', '')} ({kind}) on {image}".replace("  ", " ")
    outline = item.get("segmentation")
    if isinstance(outline, dict):
        return Shape(kind, _runs(outline, size, where))
    if isinstance(outline, list) and outline:
        return Shape(kind, Outline(tuple(ring(_pairs(flat, where), where) for flat in outline)))
    if item.get("bbox"):
        return Shape(kind, _box(item["bbox"], where), is_box=True)
    return Shape(kind, None)


def _pairs(flat: Any, where: str) -> list[list[Any]]:
    if not isinstance(flat, list) or len(flat) % 2:
        raise Unfit(f"has no pairs of numbers for the points of its {where}; draw it again.")
    return [list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)]


def _box(values: Any, where: str) -> Outline:
    if not isinstance(values, list) or len(values) != 4:
        raise Unfit(f"has not four numbers for the box of its {where}; draw it again.")
    x, y, width, height = (number(value, where) for value in values)
    if width <= 0 or height <= 0:
        raise Unfit(f"has a box without area for its {where}; draw it again, or remove it.")
    area = box(x, y, x + width, y + height)
    refuse_flat(area.rings[0], where)
    return area


def _runs(value: dict[str, Any], size: tuple[int, int] | None, where: str) -> Runs:
    """Runs over the whole picture."""
    sides, counts = value.get("size"), value.get("counts")
    if not isinstance(sides, list) or len(sides) != 2:
        raise Unfit(f"has runs without their size for its {where}; {_WAY_OUT}")
    height, width = (whole(side, where) for side in sides)
    if size is not None and size != (height, width):
        raise Unfit(
            f"has runs over {width} x {height} pixels for its {where}, and the picture has "
            f"{size[1]} x {size[0]}; {_WAY_OUT}"
        )
    try:
        counts = unpacked(counts) if isinstance(counts, str) else counts
        return runs_of(counts, (height, width), by_column=True)
    except ValueError as error:
        raise Unfit(f"has no sound runs for its {where} ({error}); {_WAY_OUT}") from None
