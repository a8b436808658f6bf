"""`blemish demo`: the main job from end to end on pictures that anyone can get."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from blemish.cli import _shared as shared

HELP = "learn good solar cells, find cracked ones, and write a report"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("demo"), help="default: ./demo"
    )
    parser.add_argument(
        "--synthetic", action="store_true", help="draw metal plates instead: needs no data package"
    )
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Run the main job with its default settings and say what happened."""
    from blemish.demo import drawn_plates, run_demo, solar_cells

    progress = shared.ProgressLine(options)
    speak = options.json != "-"
    if options.synthetic:
        product = drawn_plates(options.out / "data", progress=progress)
    else:
        product = solar_cells()
    if speak:
        print(f"{product.data.name}: {product.data.terms}.", flush=True)
    demo = run_demo(product, options.out, progress=progress)
    progress.end()
    shared.write_json(demo.to_json(), options.json)
    if speak:
        print()
        for line in demo.story():
            print(textwrap.fill(line, 96, subsequent_indent="  ", break_long_words=False))
        print(f"\nReport:    {demo.report}\nHeat maps: {options.out / 'heatmaps'}")
        print(f"Model:     {demo.trained.path} (blemish inspect {demo.trained.path} PICTURE)")
    return 0
