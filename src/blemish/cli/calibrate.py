"""`blemish calibrate`: recalibrate a model's threshold on a new calibration set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from blemish.cli import _shared as shared

HELP = "set a model's threshold anew on good parts that it has not seen"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("model", metavar="MODEL", type=Path)
    shared.add_data(parser, "GOOD")
    shared.add_promise(parser)
    parser.add_argument("-o", "--out", metavar="MODEL2", type=Path, help="default: MODEL itself")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Recalibrate; 1 when --strict and the promise is not proven."""
    from blemish.training import recalibrate
    from blemish.util.typed_json import write

    progress = shared.ProgressLine(options)
    data = shared.open_data(options, options.good)
    good = data.good()
    trained = recalibrate(
        options.model,
        good,
        shared.promise(options),
        options.out or options.model,
        progress=progress,
    )
    progress.end()
    if others := len(data) - len(good):
        print(
            f"{len(good)} good pictures set the threshold; {others} others do not count",
            file=sys.stderr,
        )
    shared.write_json(write(trained.card.calibration), options.json)
    if options.json != "-":
        print(f"{trained.path}: " + "\n".join(shared.promises(trained)))
    if trained.previous is not None:
        print(f"the previous model is kept as {trained.previous}", file=sys.stderr)
    return int(options.strict and trained.provisional)
