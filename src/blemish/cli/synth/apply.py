"""`blemish synth apply`: a data set with synthetic defects among its test images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from blemish.cli import _shared as shared
from blemish.cli.synth import _shared as generators

if TYPE_CHECKING:
    from blemish.synthesis.defective_set import DefectiveSetSummary

HELP = "write a data set whose test has synthetic defects with masks"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    generators.add_generator(parser)
    parser.add_argument(
        "--share", metavar="P", type=float, default=0.5, help="of the test parts (default: 0.5)"
    )
    parser.add_argument(
        "--per-image", metavar="N", type=int, default=1, help="defective images of each (default 1)"
    )
    parser.add_argument(
        "--held-out",
        metavar="P",
        type=float,
        default=0.2,
        help="of the training parts, where there is no good test image (default: 0.2)",
    )
    parser.add_argument("--copy", action="store_true", help="copy the good images, do not link")
    parser.add_argument("-o", "--out", metavar="DIR", type=Path, required=True, help="a new folder")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Write the set, and print what it holds."""
    from dataclasses import asdict

    from blemish.synthesis.defective_set import SynthesisPlan, write_defective_set

    plan = SynthesisPlan(options.share, options.per_image, options.held_out, options.seed)
    data = shared.open_data(options)
    generator, manifest = generators.generator_of(options, data)
    line = shared.ProgressLine(options)
    made = write_defective_set(
        data,
        options.out,
        generator,
        name=generators.folder_name(options),
        plan=plan,
        manifest=manifest,
        placing="copy" if options.copy else "link or copy",
        progress=line,
    )
    line.end()
    shared.write_json({**asdict(made), "path": str(made.path)}, options.json)
    if options.json != "-":
        print("\n".join(summary(made)))
    return 0


def summary(made: DefectiveSetSummary) -> list[str]:
    """What was written, as a few lines for a person."""
    lines = [
        f"{made.path}: {made.train} good images to train on, {made.good} good and "
        f"{made.defective} defective ones to test on"
    ]
    if made.none_visible:
        lines.append(f"{made.none_visible} images took no defect that can be seen: left out")
    if made.left_out:
        lines.append(f"{made.left_out} images of parts that are not known to be good: left out")
    return lines
