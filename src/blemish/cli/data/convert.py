"""`blemish data convert`: write a data set anew, as folders like MVTec AD's or as one table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from blemish.cli import _shared as shared

if TYPE_CHECKING:
    from blemish.dataset.convert import ConversionSummary

HELP = "write a data set anew, in the layout of MVTec AD or as a table"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    parser.add_argument(
        "-o", "--out", metavar="DIR", type=Path, required=True, help="a new folder; or a table"
    )
    parser.add_argument("--to", choices=("mvtec", "parquet", "csv"), required=True)
    placing = parser.add_mutually_exclusive_group()
    placing.add_argument("--copy", action="store_true", help="copy the images")
    placing.add_argument(
        "--link", action="store_true", help="hard links only (default: links, else copies)"
    )
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Convert, and print what was written."""
    from dataclasses import asdict

    from blemish.dataset.convert import to_mvtec, to_table
    from blemish.dataset.image_copies import CopyMethod
    from blemish.detectors.base import Progress

    data = shared.open_data(options)
    line = shared.ProgressLine(options)

    def progress(done: int, total: int) -> None:
        line(Progress("writing images", done, total))

    placing: CopyMethod | None = "copy" if options.copy else "link" if options.link else None
    if options.to == "mvtec":
        written = to_mvtec(data, options.out, placing or "link or copy", progress=progress)
    else:
        named = options.out.suffix.lower() == f".{options.to}"
        file = options.out if named else options.out / f"{data.name}.{options.to}"
        written = to_table(data, file, placing, progress=progress)
    line.end()
    shared.write_json({**asdict(written), "path": str(written.path)}, options.json)
    if options.json != "-":
        print("\n".join(summary(written)))
    return 0


def summary(written: ConversionSummary) -> list[str]:
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
        lines.append(
            f"{written.masks_left_out} masks were left out: the layout has masks of defective test "
            "images only (a table keeps all)"
        )
    return lines
