"""`blemish prepare simulate`: draw screen-printed plates with defects at known places."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

from blemish.cli import _shared as shared
from blemish.errors import BlemishError

HELP = "draw plates that exist nowhere, with defects at known places and their masks"
VIEWS = 5


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("-o", "--out", metavar="DIR", type=Path, required=True)
    parser.add_argument("--modality", metavar="M", help="dark_field, transmission or bright_field")
    parser.add_argument("--size", metavar="WxH", help="pixels of a plate; default: 8000x6000")
    parser.add_argument("--plates", metavar="N", type=int, help="to train on; default: 4")
    parser.add_argument("--test-plates", metavar="N", type=int, help="default: 2")
    parser.add_argument("--defects", metavar="N", type=int, help="on each plate; default: 12")
    parser.add_argument("--batches", metavar="N", type=int, default=1, help="designs; default: 1")
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    parser.add_argument(
        "--views", metavar="5", type=int, help="draw small parts in five views, not plates"
    )
    parser.add_argument("--parts", metavar="N", type=int, help="with --views; default: 50")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Draw what is not there yet, and say what lies in the folder."""
    return _parts(options) if options.views is not None else _plates(options)


def _plates(options: argparse.Namespace) -> int:
    from blemish.simulator.plate_set import PlateSet, write_plates

    if options.parts is not None:
        raise BlemishError("--parts is for parts in five views; add --views 5, or give --plates")
    if options.modality is None:
        raise BlemishError("--modality is missing; give dark_field, transmission or bright_field")
    width, height = _size(options.size or "8000x6000")
    counts = {
        name: value
        for name in ("plates", "test_plates", "defects")
        if (value := getattr(options, name)) is not None
    }
    what = PlateSet(
        options.modality, height, width, batches=options.batches, seed=options.seed, **counts
    )
    progress = shared.ProgressLine(options)
    rows = write_plates(options.out, what, progress=progress)
    progress.end()
    kinds = Counter(row["kind"] for row in rows)
    shown = {"folder": str(options.out), "plates": what.plates, "test_plates": what.test_plates}
    shared.write_json({**shown, "defects": dict(sorted(kinds.items()))}, options.json)
    if options.json != "-":
        print(
            f"{options.out}: {what.plates} plates to train on, {what.test_plates} to test, "
            f"{width} x {height}, {what.modality}, simulated"
        )
        told = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        print(f"defects: {told or 'none'}")
    return 0


def _parts(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from blemish.simulator.part_set import PartSet, write_parts

    if options.views != VIEWS:
        raise BlemishError(f"--views is {options.views}; parts are seen in {VIEWS} views")
    for name in ("modality", "size", "plates", "test_plates", "defects"):
        if getattr(options, name) is not None:
            option = name.replace("_", "-")
            raise BlemishError(f"--{option} is for plates; leave it or --views away")
    parts = 50 if options.parts is None else options.parts
    what = PartSet(parts, options.batches, options.seed)
    progress = shared.ProgressLine(options)
    counts = write_parts(options.out, what, progress=progress)
    progress.end()
    shared.write_json({"folder": str(options.out), **asdict(counts)}, options.json)
    if options.json != "-":
        print(
            f"{options.out}: {counts.train} good parts to train on, {counts.good} good and "
            f"{counts.defective} defective to test, in {VIEWS} views, simulated"
        )
        print(f"the defect shows in {counts.defective_views} of {counts.defective * VIEWS} views")
    return 0


def _size(text: str) -> tuple[int, int]:
    """Width and height from "8000x6000"."""
    match = re.fullmatch(r"(\d{1,6})\s*[xX]\s*(\d{1,6})", text.strip())
    if not match:
        raise BlemishError(f"--size {text} is no size; write it as WIDTHxHEIGHT, such as 8000x6000")
    return int(match[1]), int(match[2])
