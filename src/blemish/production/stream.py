"""Parts whose pictures come one by one, as a program names them on standard input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from re import Pattern

from blemish.dataset.inspection_images import InspectionImages, open_whatever_is_there
from blemish.dataset.parts import part_expression
from blemish.dataset.taken import Taken, taken_by_match
from blemish.errors import BlemishError, DatasetError
from blemish.util.names import escaped


@dataclass(frozen=True, eq=False)
class PartToInspect:
    """The pictures of one part with their views; or, without any, why nothing can be inspected."""

    part: str
    images: tuple[tuple[str | None, Path], ...] = ()
    reason: str = ""
    taken: Mapping[str, Taken] = field(default_factory=dict)


def parts_of(found: InspectionImages) -> Iterator[PartToInspect]:
    """Every part, then every path at which there is no image."""
    images: dict[str, list[tuple[str | None, Path]]] = {}
    for row in () if found.images is None else found.images.rows():
        images.setdefault(row.part, []).append((row.view, row.image))
    taken = {}
    if found.images is not None:
        root = found.images.root
        taken = {str(root / image): when for image, when in found.taken.items()}
    for part, of_part in images.items():
        known = {str(path): taken[str(path)] for _, path in of_part if str(path) in taken}
        yield PartToInspect(part, tuple(of_part), taken=known)
    for path, reason in found.refused.items():
        yield PartToInspect(path, reason=reason)


def parts_of_lines(lines: Iterable[bytes], part_pattern: str | None) -> Iterator[PartToInspect]:
    """The parts of pictures that are named line by line, each as soon as it is complete.

    A picture is a part of its own, unless the pattern finds the same part in the names of pictures
    that follow each other. A folder stands for the pictures in it. Empty lines are skipped.
    """
    expression = None if part_pattern is None else part_expression(part_pattern)
    singles = (one for line in lines for one in _named(line, part_pattern, expression))
    if expression is None:
        yield from singles
        return
    for _, group in groupby(singles, key=lambda one: one.part if one.images else object()):
        yield _together(list(group))


def _named(
    line: bytes, part_pattern: str | None, expression: Pattern[str] | None
) -> Iterator[PartToInspect]:
    name = os.fsdecode(line.rstrip(b"\r\n"))
    if not name:
        return
    path, shown = Path(name), escaped(name)
    try:
        if path.is_dir():
            yield from parts_of(open_whatever_is_there([path], part_pattern=part_pattern))
            return
        found = open_whatever_is_there([path])
    except (BlemishError, OSError, ValueError) as error:  # a name that no file can have, too
        yield PartToInspect(shown, reason=f"{shown}: {error}")
        return
    for one in parts_of(found):
        if expression is None or not one.images:
            yield PartToInspect(shown, one.images, one.reason)
        else:
            yield _by_pattern(one, shown, expression)


def _by_pattern(one: PartToInspect, shown: str, expression: Pattern[str]) -> PartToInspect:
    match = expression.search(shown.replace(os.sep, "/"))
    if match is None or not match["part"]:
        return PartToInspect(shown, reason=f"the part pattern matches no part in {shown}; widen it")
    [(_, path)] = one.images[:1]
    try:
        taken = {str(path): taken_by_match(match, shown)}
    except DatasetError as error:
        return PartToInspect(shown, reason=str(error))
    view = match.groupdict().get("view")
    return PartToInspect(match["part"], tuple((view, path) for _, path in one.images), taken=taken)


def _together(group: list[PartToInspect]) -> PartToInspect:
    first = group[0]
    if len(group) == 1:
        return first
    images = tuple(image for one in group for image in one.images)
    return PartToInspect(
        first.part, images, taken={k: v for o in group for k, v in o.taken.items()}
    )
