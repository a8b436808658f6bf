"""`blemish defects curve`: a learning curve, recall by the number of real defects in training."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from blemish.cli import _shared as shared
from blemish.cli.defects import _shared as defects
from blemish.errors import BlemishError

HELP = "train with more and more real defects, and see what that buys in recall"
STOPPED = "the same command goes on where it stopped"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    parser.add_argument(
        "-o", "--out", metavar="DIR", type=Path, required=True, help="folder of results and report"
    )
    parser.add_argument(
        "--numbers",
        metavar="A,B",
        help="real defective parts to learn from: 0,5,10; default: 0, 1/16, 1/8, 1/4, 1/2 and all",
    )
    parser.add_argument(
        "--groups", action="store_true", help="also each kind of defect alone, at equal numbers"
    )
    parser.add_argument(
        "--folds",
        metavar="K",
        type=int,
        help="test every part once, in so many folds (default: 5, unless training has defects)",
    )
    defects.add_runs(parser)


def run(options: argparse.Namespace) -> int:
    """Train what is not trained yet, print the table and the conclusion; 1 where runs failed."""
    from blemish.benchmark.defects import curve_table
    from blemish.benchmark.defects.curve import make_curve, to_json
    from blemish.benchmark.defects.curve_page import write_curve
    from blemish.benchmark.defects.curve_plan import plan_curve

    numbers = None if options.numbers is None else _numbers(options.numbers)
    experiment = defects.experiment(options)
    planned = plan_curve(experiment, numbers, groups=options.groups, folds=options.folds)
    if not options.quiet:
        for note in planned.notes:
            print(f"note: {note}", file=sys.stderr)
    with defects.running(options, planned.in_order()) as how:
        curve, made = make_curve(experiment, planned, options.out, **how)
    written = write_curve(curve, options.out)
    figures = {**to_json(curve), "failed": len(made.failed), "left": made.left}
    shared.write_json(figures, options.json)
    if options.json != "-":
        lines = curve_table.lines(curve) if curve.points else []
        where = f"{', '.join(path.name for path in written)} are in {options.out}"
        print("\n".join([*lines, *defects.closing(made), curve.conclusion(), where]))
    return int(bool(made.failed))


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise BlemishError(
            f"--numbers {text} are no numbers of parts; write them like 0,5,10,20"
        ) from None
