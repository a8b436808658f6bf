"""YOLO: a text file for each picture, with a line for each object, in shares of the picture.

A line is a kind's number, then centre, width and height of a box, or three corners and more.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import yaml

from blemish.dataset.annotations._annotation import Annotation, Unfit
from blemish.dataset.annotations._fields import attempt, kind_of, refuse_flat, ring, whole
from blemish.dataset.annotations._fields import number as number_of
from blemish.dataset.annotations._folder import Folder
from blemish.dataset.check import Finding
from blemish.dataset.shapes import Outline, Shape, box
from blemish.errors import DatasetError
from blemish.util.library_errors import reason_of, shortened
from blemish.util.text_files import read_text

EXPECTS = (
    "a .txt file for each picture, in labels beside images or beside the picture, and the kinds in "
    "data.yaml, classes.txt or obj.names"
)
SUFFIXES = (".txt",)
MASK_FOLDERS = ()

_WAY_OUT = "export it again, or remove it."
_LISTS = ("classes.txt", "obj.names")
_MOST_YAML = 1 << 18  # bytes: it is written by hand, and its reader is slow


def recognises(text: str) -> bool:
    """True for lines of five numbers and more, the first of them a whole one."""
    lines = [line.split() for line in text.splitlines()[:20] if line.strip()]
    return bool(lines) and all(_is_object(line) for line in lines)


def read(folder: Folder) -> Iterator[Annotation | Finding]:
    """An annotation for each text file of objects; an empty one says that there are none."""
    files = [file for file in folder.files(*SUFFIXES) if _is_for_a_picture(file, folder)]
    if not files:
        return
    try:
        kinds = _kinds(folder)
    except DatasetError as error:
        yield Finding("error", str(error), None, "annotations")
        return
    for file in files:
        yield attempt(file, partial(_annotation, folder, file, kinds))


def _is_object(words: list[str]) -> bool:
    return len(words) >= 5 and words[0].isdigit() and all(map(_is_number, words))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _is_for_a_picture(file: str, folder: Folder) -> bool:
    """Not the list of kinds or of files, nor a text for a person."""
    if file.rpartition("/")[2].lower() in _LISTS:
        return False
    return (
        file.rpartition(".")[0] in folder.stems
        or _pictures_stem(file) in folder.stems
        or (recognises(folder.ends_of(file)))
    )


def _pictures_stem(file: str) -> str:
    """The name of a picture, without its suffix: of labels/a.txt it is images/a."""
    steps = file.rpartition(".")[0].split("/")
    for place in range(len(steps) - 2, -1, -1):
        if steps[place].lower() == "labels":
            return "/".join([*steps[:place], "images", *steps[place + 1 :]])
    return "/".join(steps)


def _annotation(folder: Folder, file: str, kinds: list[str]) -> Annotation:
    text = read_text(folder.root / file, _WAY_OUT)
    lines = [(n, line.split()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    shapes = tuple(_shape(words, f"line {n}", kinds) for n, words in lines)
    stem = _pictures_stem(file)
    return Annotation(file, shapes, stem=stem, kinds=frozenset(kinds), in_shares=True)


def _shape(words: list[str], where: str, kinds: list[str]) -> Shape:
    place = whole(words[0], where)
    if not 0 <= place < len(kinds):
        raise Unfit(
            f"has kind {place} in its {where}, and there are {len(kinds)}, from 0 "
            f"({shortened(', '.join(kinds))}); correct it, or add its name."
        )
    values = [number_of(word, where) for word in words[1:]]
    if len(values) < 4 or (len(values) > 4 and len(values) % 2):
        raise Unfit(
            f"has {len(words)} numbers in its {where}; a box has five, a polygon one and "
            "pairs (a confidence after them is no part of it); correct it."
        )
    if len(values) == 4:
        x, y, width, height = values
        if width <= 0 or height <= 0:
            raise Unfit(f"has a box without area in its {where}; draw it again, or remove it.")
        area = box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        refuse_flat(area.rings[0], where)
    else:
        area = Outline((ring(np.reshape(values, (-1, 2)).tolist(), where),))
    if np.abs(area.rings[0] - 0.5).max() > 1.5:
        raise Unfit(
            f"has coordinates in its {where} that are no shares from 0 to 1 of the "
            "picture's sides; export it again as YOLO."
        )
    return Shape(kinds[place], area, is_box=len(values) == 4)


def _kinds(folder: Folder) -> list[str]:
    """The kinds by their numbers. Raises DatasetError for none, and for two lists that differ."""
    found: dict[str, list[str]] = {}
    for file in folder.others:
        name = file.rpartition("/")[2].lower()
        try:
            if name in _LISTS:
                lines = read_text(folder.root / file, _WAY_OUT).splitlines()
                found[file] = [
                    kind_of(line, f"line {n}") for n, line in enumerate(lines, 1) if line.strip()
                ]
            elif name.endswith((".yaml", ".yml")) and (names := _named(folder, file)):
                found[file] = names
        except Unfit as unfit:
            raise DatasetError(f"{file} {unfit}") from None
    if not found:
        raise DatasetError(
            f"{folder.root} does not name the kinds that its numbers stand for; write them into "
            "classes.txt, one a line."
        )
    first, *more = found
    if other := [file for file in more if found[file] != found[first]]:
        raise DatasetError(f"{first} and {other[0]} in {folder.root} name other kinds; keep one.")
    return found[first]


def _named(folder: Folder, file: str) -> list[str]:
    """The `names` of a YAML file, a list or a table by number; none where it has none."""
    path = folder.root / file
    text = read_text(path, _WAY_OUT)
    if len(text) > _MOST_YAML:
        raise Unfit(f"is longer than {_MOST_YAML >> 10} kB; {_WAY_OUT}")
    try:
        value = yaml.safe_load(text)
    # Its constructors raise whatever they meet: a date of month 13 is a ValueError.
    except (yaml.YAMLError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise Unfit(f"is no YAML ({reason_of(error)}); {_WAY_OUT}") from None
    names = value.get("names") if isinstance(value, dict) else None
    if names is None:
        return []
    if "kpt_shape" in value:
        raise Unfit("has kpt_shape: it is of key points, which mark no area; export polygons.")
    if isinstance(names, dict):
        names = _by_number(names)
    if not isinstance(names, list):
        raise Unfit(f"has names that are no list; {_WAY_OUT}")
    return [
        kind_of(name if isinstance(name, str) else _plain(name), f"kind {n}")
        for n, name in enumerate(names)
    ]


def _by_number(names: dict[Any, Any]) -> list[Any]:
    if any(type(key) is not int for key in names) or sorted(names) != list(range(len(names))):
        raise Unfit(f"has names without a number for each from 0; {_WAY_OUT}")
    return [names[key] for key in range(len(names))]


def _plain(name: Any) -> str | None:
    """A number or a truth value, as YAML reads the names 1 and no, as the text that it was."""
    return str(name) if isinstance(name, int | float) else None
