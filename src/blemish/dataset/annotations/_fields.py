"""Values in a file of annotations, each of the type that it must have, or Unfit."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from defusedxml import ElementTree

from blemish.dataset.annotations._annotation import Annotation, Unfit
from blemish.dataset.check import Finding
from blemish.dataset.shapes import Points
from blemish.errors import DatasetError
from blemish.util.files import read_regular
from blemish.util.library_errors import reason_of, shortened

_FARTHEST = 1e6  # pixels: no picture is so large
_OF_XML = 24  # bytes of memory for a byte of XML: an element `<a/>` takes about 90


def attempt(file: str, read: Callable[[], Annotation]) -> Annotation | Finding:
    """What `read` makes, or what is wrong with it as a finding of that file."""
    try:
        return read()
    except Unfit as unfit:
        return Finding("error", f"{file} {unfit}", file, "annotations")
    except DatasetError as error:  # the file itself cannot be read
        return Finding("error", str(error), file, "annotations")


def read_xml(path: Path) -> Element:
    """The root of an XML file without entities. Raises DatasetError for any other file."""
    way_out = "export it again, or remove it."
    try:
        data = read_regular(path, _OF_XML)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {reason_of(error)}; {way_out}") from error
    try:
        root: Element = ElementTree.fromstring(data, forbid_dtd=True)
    except ElementTree.ParseError as error:
        raise DatasetError(f"{path} is no XML ({reason_of(error)}); {way_out}") from error
    except (ValueError, LookupError) as error:  # entities, which may be a bomb, or an encoding
        reason = type(error).__name__ if "Forbidden" in type(error).__name__ else reason_of(error)
        raise DatasetError(f"{path} is no plain XML ({reason}); {way_out}") from error
    return root


def listed(value: Any, key: str) -> list[Any]:
    """The list at a key of a JSON object."""
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise Unfit(f"has no list {key!r}; export it again, or remove it.")
    return found


def kind_of(value: Any, where: str) -> str:
    """The name of a kind of defect, without blanks around it."""
    if not isinstance(value, str) or not value.strip():
        raise Unfit(f"has a {where} without a name of its kind; give it one.")
    return value.strip()


def number(value: Any, where: str) -> float:
    """A finite number, or a text of one, that may be a coordinate."""
    try:
        found = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        raise Unfit(
            f"has {shortened(repr(value))} for a number in its {where}; correct it."
        ) from None
    if not math.isfinite(found) or abs(found) > _FARTHEST:
        raise Unfit(f"has a coordinate of {found:g} in its {where}; draw it again.")
    return found


def whole(value: Any, where: str) -> int:
    """A whole number."""
    found = number(value, where)
    if found != int(found):
        raise Unfit(f"has {found:g} for a whole number in its {where}; correct it.")
    return int(found)


def ring(values: Any, where: str) -> Points:
    """Points [N, 2] from pairs of numbers, at least three of them that enclose something."""
    if not isinstance(values, list) or not all(isinstance(v, list) and len(v) == 2 for v in values):
        raise Unfit(f"has no pairs of numbers for the points of its {where}; draw it again.")
    points = np.array([[number(n, where) for n in pair] for pair in values], np.float64)
    if len(points) < 3:
        raise Unfit(
            f"has {len(points)} points in its {where}, and a polygon needs three; "
            "draw it again, or remove it."
        )
    refuse_flat(points, where)
    return points


def refuse_flat(points: Points, where: str) -> None:
    """Raise Unfit for points without width or without height."""
    if not np.ptp(points, axis=0).all():
        raise Unfit(f"has a {where} without area; draw it again, or remove it.")


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """The declared height and width; None where none is declared, or 0, as some tools write it."""
    found = [0 if value in (None, "") else whole(value, "size") for value in (height, width)]
    return (found[0], found[1]) if min(found) > 0 else None
