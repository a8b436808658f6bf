"""`blemish data convert`: write a data set anew: folders, a table, or for a labelling tool."""

from __future__ import annotations

import argparse
import contextlib
import logging
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from blemish.cli import _shared as shared
from blemish.errors import DatasetError

if TYPE_CHECKING:
    from blemish.dataset import Dataset
    from blemish.dataset.annotated_set import AnnotatedSet
    from blemish.dataset.check import Finding
    from blemish.dataset.convert import ConversionSummary

HELP = "write a data set anew: folders like MVTec AD's, a table, COCO; or from annotations"

log = logging.getLogger("blemish")

_TOLD = 5  # findings of one kind


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    parser.add_argument(
        "-o", "--out", metavar="DIR", type=Path, required=True, help="a new folder; or a table"
    )
    parser.add_argument(
        "--to",
        choices=("mvtec", "coco", "parquet", "csv"),
        required=True,
        help="folders like MVTec AD's; pictures and annotations.json for a labelling tool; a table",
    )
    parser.add_argument(
        "--from",
        dest="source",
        metavar="TOOL",
        help="make masks and kinds from annotations of labelme, coco, yolo, cvat or voc",
    )
    parser.add_argument(
        "--unlabelled",
        choices=("refuse", "good", "skip"),
        help="with --from: what a picture without an annotation is (default: refuse)",
    )
    placing = parser.add_mutually_exclusive_group()
    placing.add_argument("--copy", action="store_true", help="copy the images")
    placing.add_argument(
        "--link", action="store_true", help="hard links only (default: links, else copies)"
    )
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Convert, and print what was written."""
    from dataclasses import asdict

    from blemish.dataset.coco_set import to_coco
    from blemish.dataset.convert import to_mvtec, to_table
    from blemish.dataset.image_copies import CopyMethod
    from blemish.detectors.base import Progress

    if options.unlabelled is not None and options.source is None:
        raise DatasetError("--unlabelled is for annotations; name their format with --from.")
    drawn = None if options.source is None else _annotated(options)
    data = _opened(options) if drawn is None else drawn.data
    line = shared.ProgressLine(options)

    def progress(done: int, total: int) -> None:
        line(Progress("writing images", done, total))

    placing: CopyMethod | None = "copy" if options.copy else "link" if options.link else None
    if options.to in ("mvtec", "coco"):
        write = to_mvtec if options.to == "mvtec" else to_coco
        how = placing or "link or copy"
        written = write(data, options.out, how, drawn=drawn, progress=progress)
    else:
        named = options.out.suffix.lower() == f".{options.to}"
        file = options.out if named else options.out / f"{data.name}.{options.to}"
        written = to_table(data, file, placing, drawn=drawn, progress=progress)
    line.end()
    figures = {**asdict(written), "path": str(written.path)}
    if drawn is not None:
        figures["findings"] = [asdict(finding) for finding in drawn.findings]
    shared.write_json(figures, options.json)
    if options.json != "-":
        print("\n".join(summary(written, coco=options.to == "coco")))
    return 0


def _opened(options: argparse.Namespace) -> Dataset:
    """The data set, as its layout has it; annotations that lie there are told."""
    from blemish.dataset.annotations import Folder, formats_seen

    place, seen = options.data, {}
    with contextlib.suppress(DatasetError, OSError):  # which opening the data set tells
        seen = formats_seen(Folder.at(place)) if place.is_dir() else {}
    told = " and of ".join(f"{name} ({file})" for name, file in seen.items())
    way_out = f"they are read with --from {' or --from '.join(seen)}"
    try:
        data = shared.open_data(options)
    except DatasetError as error:
        if not seen:
            raise
        raise DatasetError(f"{error} It holds annotations of {told}: {way_out}.") from error
    if seen and data.layout in ("folder", "mvtec"):
        log.warning("%s holds annotations of %s: %s", place, told, way_out)
    if options.to == "coco":
        _tell_without_mask(data)
    return data


def _annotated(options: argparse.Namespace) -> AnnotatedSet:
    """The data set that the annotations make; what was found is told."""
    from dataclasses import replace

    from blemish.dataset.annotated_set import read_annotated
    from blemish.dataset.parts import with_parts

    for name in ("layout", "category", "split"):
        if getattr(options, name) is not None:
            raise DatasetError(
                f"--{name} is for a data set that has labels; leave it out beside --from."
            )
    shared.tell_left_out([options.data])
    found = read_annotated(options.data, options.source, options.unlabelled or "refuse")
    _tell(found.findings)
    found.ensure_sound()
    data = with_parts(found.data, options.parts, options.part_pattern)
    if options.to == "coco":
        _tell_without_mask(data)
    return replace(found, data=data)


def _tell(findings: list[Finding]) -> None:
    """Every kind of finding on standard error, the first few of each in full."""
    from blemish.dataset.check import SEVERITIES

    first = next((finding for finding in findings if finding.severity == "error"), None)
    told = [finding for finding in findings if finding is not first]  # the refusal itself says it

    def order(finding: Finding) -> tuple[int, str]:
        return SEVERITIES.index(finding.severity), finding.kind

    for _, same in groupby(sorted(told, key=order), key=order):
        members = list(same)
        for finding in members[:_TOLD]:
            say = log.error if finding.severity == "error" else log.warning
            say("%s", finding.message)
        if len(members) > _TOLD:
            log.warning("%s: %d more of them", members[0].kind, len(members) - _TOLD)


def _tell_without_mask(data: Dataset) -> None:
    from blemish.dataset.label_words import name_some

    bad = data.defective().table
    without = bad.filter(bad["mask"].is_null())["image"].to_list()
    if without:
        log.warning(
            "%d of %d defective pictures have no mask and so no object: %s; draw their defects",
            *(len(without), bad.height, name_some(without)),
        )


def summary(written: ConversionSummary, *, coco: bool = False) -> list[str]:
    """What was written, as a few lines for a person."""
    lines = [f"{written.path}: {written.images} images, {written.masks} masks"]
    if written.linked:
        lines.append(
            f"{written.linked} images are hard links: to change one in place changes the original "
            "too (--copy makes copies)"
        )
    if written.copied:
        lines.append(f"{written.copied} images are copies")
    if written.decoded:
        lines.append(f"{written.decoded} images were written anew as PNG")
    if written.masks_left_out:
        which = "images" if coco else "test images"
        lines.append(
            f"{written.masks_left_out} masks were left out: the layout has masks of defective "
            f"{which} only (a table keeps all)"
        )
    return lines
