"""A data set from pictures and the annotations of a labelling tool, checked picture by picture."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from blemish.dataset.annotation_checks import Drawing, fitted
from blemish.dataset.annotations import Annotation, Folder, Format, formats_seen, open_format
from blemish.dataset.check import Finding, by_severity
from blemish.dataset.file_names import free_name
from blemish.dataset.label_words import DEFECTIVE_WORDS, GOOD_WORDS, name_some
from blemish.dataset.licence import read_terms
from blemish.dataset.picture_index import PictureIndex, split_word
from blemish.dataset.shapes import draw
from blemish.dataset.table import Dataset, conform
from blemish.errors import DatasetError
from blemish.util.library_errors import shortened
from blemish.util.names import path_of

Unlabelled = Literal["refuse", "good", "skip"]

# Kinds of object that are no defect; the words 0 and false stand for a label, not for an object.
_GOOD_KINDS = frozenset(word for word in GOOD_WORDS if word.isalpha() and word != "false")
_ORIGINS = {
    "mask": pl.String,
    "objects": pl.Int64,
    "boxes": pl.Int64,
    "without_area": pl.Int64,
    "annotation": pl.String,
}


@dataclass(frozen=True, eq=False)
class AnnotatedSet:
    """A data set whose masks are shapes, by the name that the table has for each mask."""

    data: Dataset
    shapes: Mapping[str, Drawing]
    findings: list[Finding]

    def read_mask(self, image: str, mask: str) -> NDArray[np.bool_]:
        """The mask of that name, bool [H, W]."""
        drawing = self.shapes[mask]
        return draw(drawing.shapes, drawing.size)

    def origins(self) -> pl.DataFrame:
        """How each mask came to be: mask, objects, boxes, without_area, annotation (a file)."""
        rows = [
            (
                mask,
                len(found.shapes),
                sum(shape.is_box for shape in found.shapes),
                sum(shape.area is None for shape in found.shapes),
                found.file,
            )
            for mask, found in self.shapes.items()
        ]
        return pl.DataFrame(rows, schema=_ORIGINS, orient="row")

    def ensure_sound(self) -> None:
        """Raise DatasetError with the first error among the findings and the number of all."""
        errors = [finding for finding in self.findings if finding.severity == "error"]
        if errors:
            more = f" ({len(errors) - 1} more errors)" if len(errors) > 1 else ""
            raise DatasetError(f"{self.data.root}: {errors[0].message}{more}")


def read_annotated(
    path: str | os.PathLike[str], format_: str, unlabelled: Unlabelled = "refuse"
) -> AnnotatedSet:
    """The pictures in a folder, or beside a file, with their annotations in that format.

    The kind of a picture is that of its objects, joined by commas where they are of several. A
    picture with an object is defective and in the test; any other is good, and in the split that
    its folders name, else in training. A picture without an annotation is refused, or taken as good
    or left out, as `unlabelled` says. What is wrong is among the findings. Raises DatasetError for
    a folder without pictures or without annotations of the format.
    """
    reader = open_format(format_)
    place = Path(os.path.abspath(path_of(path, "the data set", DatasetError)))  # noqa: PTH100
    if not place.exists():
        raise DatasetError(f"{place} does not exist; check the path.")
    folder = Folder.at(place)
    pictures = [name for name in folder.images if not _is_mask(name, reader)]
    if not pictures:
        raise DatasetError(f"{folder.root} holds no pictures; put them beside their annotations.")
    items = list(reader.read(folder))
    found = [item for item in items if isinstance(item, Finding)]
    annotations = [item for item in items if isinstance(item, Annotation)]
    if not annotations and not any(finding.severity == "error" for finding in found):
        raise DatasetError(_why_none(folder, format_, reader))
    found += _other_formats(folder, format_)
    by_picture, lost = _by_picture(annotations, PictureIndex(folder.root, pictures))
    found += lost
    drawings: dict[str, Drawing] = {}
    for picture, annotation in by_picture.items():
        found += _good_objects(picture, annotation)
        drawing, faults = fitted(folder.root, picture, _without_good(annotation))
        found += faults
        if drawing is not None:
            drawings[picture] = drawing
    data, shapes = _dataset(folder.root, pictures, drawings, unlabelled)
    found += _unlabelled_pictures(pictures, by_picture, drawings, unlabelled)
    listed = {kind for annotation in by_picture.values() for kind in annotation.kinds}
    found += _folder_words(data, listed)
    found += _boxes(shapes)
    return AnnotatedSet(data, shapes, by_severity(found))


def _is_mask(name: str, reader: Format) -> bool:
    return not set(reader.MASK_FOLDERS).isdisjoint(name.split("/")[:-1])


def _why_none(folder: Folder, format_: str, reader: Format) -> str:
    other = [name for name in formats_seen(folder) if name != format_]
    way_out = f"say --from {other[0]}" if other else "put them beside the pictures"
    return f"{folder.root} holds no annotations of {format_}, {reader.EXPECTS}; {way_out}."


def _other_formats(folder: Folder, format_: str) -> Iterator[Finding]:
    for name, file in formats_seen(folder).items():
        if name != format_:
            yield Finding(
                "warning",
                f"{folder.root} also holds annotations of {name}, such as {file}, which are not "
                "read.",
                file,
                "other formats",
            )


def _by_picture(
    annotations: list[Annotation], index: PictureIndex
) -> tuple[dict[str, Annotation], list[Finding]]:
    """The annotation of each picture, and those of no picture, of several, or of one twice."""
    found: dict[str, Annotation] = {}
    lost: list[Finding] = []
    for annotation in annotations:
        file = annotation.file
        pictures = index.named(annotation.picture, file) if annotation.picture else []
        if not pictures and annotation.stem:
            pictures = index.of_stem(annotation.stem, file)
        name = shortened(annotation.picture or annotation.stem or "")
        if not pictures:
            message = f"{file} is of the picture {name}, which is missing; put it there, or remove "
            lost.append(Finding("error", message + "its annotation.", file, "missing pictures"))
        elif len(pictures) > 1:
            message = (
                f"{file} is of the picture {name}, and there are {len(pictures)} of that name: "
                f"{name_some(pictures)}; rename or remove all but one."
            )
            lost.append(Finding("error", message, file, "pictures of one name"))
        elif pictures[0] in found:
            other = found[pictures[0]].file
            both = f"{other} and {file} both are" if other != file else f"{file} twice is"
            message = f"{both} of {pictures[0]}; keep one."
            lost.append(Finding("error", message, pictures[0], "pictures annotated twice"))
        else:
            found[pictures[0]] = annotation
    return found, lost


def _is_good(kind: str) -> bool:
    return kind.casefold() in _GOOD_KINDS


def _without_good(annotation: Annotation) -> Annotation:
    kept = tuple(shape for shape in annotation.shapes if not _is_good(shape.kind))
    return replace(annotation, shapes=kept)


def _good_objects(picture: str, annotation: Annotation) -> Iterator[Finding]:
    kinds = sorted({shape.kind for shape in annotation.shapes if _is_good(shape.kind)})
    if kinds:
        message = f"{picture} has objects called {', '.join(kinds)}, which are taken as no defect."
        yield Finding("note", message, picture, "good objects")


def _dataset(
    root: Path, pictures: list[str], drawings: Mapping[str, Drawing], unlabelled: Unlabelled
) -> tuple[Dataset, dict[str, Drawing]]:
    """The table, and the drawings by the names of their masks."""
    home = "masks"
    while any(picture.startswith(home + "/") for picture in pictures):
        home += "_"
    used: dict[str, int] = {}
    shapes: dict[str, Drawing] = {}
    rows = []
    for picture in pictures:
        drawing = drawings.get(picture)
        if drawing is None and unlabelled != "good":
            continue
        mask, kinds = None, sorted({s.kind for s in drawing.shapes} if drawing else ())
        if drawing and any(shape.area is not None for shape in drawing.shapes):
            mask = free_name(f"{home}/{picture.rpartition('.')[0]}", used) + ".png"
            shapes[mask] = drawing
        split = "test" if kinds else split_word(picture) or "train"
        label = "defective" if kinds else "good"
        rows.append((picture, mask, split, label, ",".join(kinds) or None))
    schema = dict.fromkeys(("image", "mask", "split", "label", "defect"), pl.String)
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    table = conform(frame.with_columns(category=pl.lit(root.name)))
    return Dataset(root, root.name, "annotations", table, read_terms(root)), shapes


def _unlabelled_pictures(
    pictures: list[str],
    by_picture: Mapping[str, Annotation],
    drawings: Mapping[str, Drawing],
    unlabelled: Unlabelled,
) -> Iterator[Finding]:
    """Pictures of which nothing says what they show."""
    missing = [picture for picture in pictures if picture not in by_picture]
    choice = "say --unlabelled good, or --unlabelled skip"
    if unlabelled != "good" and not any(annotation.shapes for annotation in by_picture.values()):
        yield Finding(
            "error",
            f"no object is on any of {len(pictures)} pictures, which says nothing of defects; "
            "export with the objects, or, if all are good, say --unlabelled good.",
            None,
            "unlabelled pictures",
        )
    elif missing and unlabelled == "refuse":
        yield Finding(
            "error",
            f"{len(missing)} of {len(pictures)} pictures have no annotation, and may be good or "
            f"not yet looked at: {name_some(missing)}; {choice}.",
            missing[0],
            "unlabelled pictures",
        )
    elif missing:
        done = "taken as good" if unlabelled == "good" else "left out"
        message = f"{len(missing)} of {len(pictures)} pictures have no annotation, and are {done}."
        yield Finding("note", message, missing[0], "unlabelled pictures")


def _folder_words(data: Dataset, listed: set[str]) -> Iterator[Finding]:
    """Pictures whose folder says something else than their objects; `listed` are kinds."""
    bad = {word for word in DEFECTIVE_WORDS if word.isalpha() and word != "true"}
    listed = listed.union(data.table["defect"].drop_nulls().unique())
    bad |= {kind.casefold() for kind in listed} - _GOOD_KINDS
    for picture, label in data.table.select("image", "label").iter_rows():
        steps = {step.casefold(): step for step in picture.split("/")[:-1]}
        if label == "good" and (called := sorted(bad & steps.keys())):
            message = (
                f"{picture} has no object, and lies in a folder called {steps[called[0]]}; draw "
                "its defect, or move it."
            )
            yield Finding("error", message, picture, "folders of defects")
        elif label == "defective" and (called := sorted(_GOOD_KINDS & steps.keys())):
            message = (
                f"{picture} has objects, and lies in a folder called {steps[called[0]]}; it is "
                "taken as defective."
            )
            yield Finding("warning", message, picture, "folders of good pictures")


def _boxes(shapes: Mapping[str, Drawing]) -> Iterator[Finding]:
    boxes = sum(any(shape.is_box for shape in found.shapes) for found in shapes.values())
    if boxes:
        message = (
            f"{boxes} of {len(shapes)} masks are boxes: they overstate the area; pixel figures "
            "then mean boxes."
        )
        yield Finding("warning", message, None, "boxes")
