"""`blemish bench figures`: curves, critical difference diagrams and galleries of results."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from blemish.cli import _shared as shared
from blemish.cli.bench.table import add_code, results_of, tell_other_code

log = logging.getLogger("blemish")

HELP = "draw curves over the defects in training, critical differences and galleries"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "protocol", metavar="PROTOCOL", help="its name, or a .toml file of your own"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="results (default: bench/PROTOCOL)")
    parser.add_argument(
        "-o", dest="target", metavar="FOLDER", type=Path, help="default: DIR/figures"
    )
    parser.add_argument(
        "--metric",
        metavar="PATH",
        action="append",
        help="a figure to draw, such as image.auroc; default: sample, image AUROC and AUPRO",
    )
    add_code(parser)
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Draw every figure that the results suffice for, and name the files."""
    from blemish.benchmark.figures import METRICS, draw_figures, metrics_of
    from blemish.benchmark.selection import select
    from blemish.benchmark.table_spec import table_spec_of
    from blemish.errors import DatasetError
    from blemish.util.files import inside, replacing

    protocol, folder, results = results_of(options)
    selection = select(results, table_spec_of(protocol), options.code)
    for note in selection.notes:
        log.warning(note)
    target = options.target or folder / "figures"
    written = []
    for name, drawn in draw_figures(selection, metrics_of(protocol, options.metric or METRICS)):
        path = inside(target, f"{name}.svg")
        with replacing(path) as file:
            file.write(drawn.encode("utf-8"))
        written.append(path.as_posix())
    if not written:
        raise DatasetError(
            f"{folder} holds nothing to draw yet: curves need two shares of noise or "
            "two numbers of taught parts, ranks two detectors in two categories, a gallery a run "
            f"that kept maps; or no run has {', '.join(options.metric or METRICS)}"
        )
    shared.write_json({"figures": written}, options.json)
    if options.json != "-":
        print("\n".join(written))
    tell_other_code(options, selection)
    return 0
