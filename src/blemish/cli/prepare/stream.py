"""`blemish prepare stream`: patches at random places, half of them with a synthetic defect."""

from __future__ import annotations

import argparse

from blemish.cli import _shared as shared
from blemish.cli.prepare import _shared

HELP = "make an HDF5 file of good patches and patches with synthetic defects"
STOPPED = "the same command goes on where it stopped"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    _shared.add_recipe(parser, "FILE.h5", "the stream to be written")
    parser.add_argument("--count", metavar="N", type=int, help="patches; default: the recipe's")
    parser.add_argument("--budget", metavar="TIME", help="stop after 90s, 10m or 1h; goes on later")
    _shared.add_making(parser)
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Make the stream, and print what it holds."""
    from dataclasses import asdict

    from blemish.prepare.supervised_stream import prepare_stream

    _shared.refuse_other_ending(options.out, "a stream")
    budget = None if options.budget is None else shared.duration(options.budget)
    with _shared.progress_line(options) as line:
        made = prepare_stream(
            _shared.recipe(options),
            options.out,
            count=options.count,
            workers=_shared.workers(options),
            budget=budget,
            progress=line,
        )
    shared.write_json({**asdict(made), "path": str(made.path)}, options.json)
    if options.json != "-":
        before = f", {made.before} of them made before" if made.before else ""
        print(
            f"{made.path}: {made.patches} patches of {made.plates} plates{before}; "
            f"{made.synthetic} with a synthetic defect, {made.turned} turned"
        )
    return 0
