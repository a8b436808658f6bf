"""`blemish prepare defects`: augmented patches of the real defects on plates."""

from __future__ import annotations

import argparse

from blemish.cli import _shared as shared
from blemish.cli.prepare import _shared

HELP = "make an HDF5 file of patches with the known real defects"
STOPPED = "the same command goes on where it stopped"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    _shared.add_recipe(parser, "FILE.h5", "the file to be written")
    parser.add_argument(
        "--each", metavar="N", type=int, help="patches of each defect; default: the recipe's"
    )
    _shared.add_making(parser)
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Make the patches, and print the counts."""
    from dataclasses import asdict

    from blemish.prepare.defect_patches import prepare_defects

    _shared.refuse_other_ending(options.out, "the patches")
    with _shared.progress_line(options) as line:
        made = prepare_defects(
            _shared.recipe(options),
            options.out,
            each=options.each,
            workers=_shared.workers(options),
            progress=line,
        )
    shared.write_json({**asdict(made), "path": str(made.path)}, options.json)
    if options.json != "-":
        counts = ", ".join(f"{count} {kind}" for kind, count in made.defects.items())
        print(f"{made.path}: {made.patches} patches of {counts}")
    return 0
