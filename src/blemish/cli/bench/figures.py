"""`blemish bench figures`: noise curves, critical differences and galleries of results."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from blemish.cli import _shared as shared

log = logging.getLogger("blemish")

HELP = "draw noise curves, critical differences and galleries"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("protocol", metavar="PROTOCOL")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="the bench's results; default: bench/PROTOCOL"
    )
    parser.add_argument(
        "-o", dest="target", metavar="FOLDER", type=Path, help="default: DIR/figures"
    )
    parser.add_argument(
        "--metric",
        metavar="PATH",
        action="append",
        help="a figure to draw, such as image.auroc; default: sample, image AUROC and AUPRO",
    )
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Draw every figure that the results suffice for, and name the files."""
    from blemish.benchmark.figures import METRICS, comparable, draw_figures
    from blemish.benchmark.store import read_results
    from blemish.errors import DatasetError
    from blemish.files import replacing

    folder = options.out or Path("bench") / options.protocol
    results = [result for result in read_results(folder) if result.run.protocol == options.protocol]
    done = [result for result in results if result.status == "done"]
    if not done:
        raise DatasetError(
            f"{folder} holds no finished run of {options.protocol}; "
            f"start with blemish bench run {options.protocol}"
        )
    if left_out := len(done) - len(comparable(done)):
        log.warning("%d results of older code or of repeated runs are left out", left_out)
    target = options.target or folder / "figures"
    written = []
    for name, drawn in draw_figures(done, options.metric or METRICS):
        path = target / f"{name}.svg"
        with replacing(path) as file:
            file.write(drawn.encode("utf-8"))
        written.append(path.as_posix())
    if not written:
        raise DatasetError(
            f"{folder} holds nothing to draw yet: curves need two shares of noise, ranks two "
            "detectors in two categories, a gallery a run that kept maps; or no run has "
            f"{', '.join(options.metric or METRICS)}"
        )
    shared.write_json({"figures": written}, options.json)
    if options.json != "-":
        print("\n".join(written))
    return 0
