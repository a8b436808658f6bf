"""`blemish prepare grid`: patches of a sliding window, good ones to train and all to test."""

from __future__ import annotations

import argparse

from blemish.cli import _shared as shared
from blemish.cli.prepare import _shared

HELP = "cut plates into a data set of good patches, with a test"
STOPPED = "the same command goes on where it stopped"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    _shared.add_recipe(parser, "DIR", "a new folder, in the layout of MVTec AD")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Cut the plates, and print the counts."""
    from dataclasses import asdict

    from blemish.prepare.grid import prepare_grid
    from blemish.util.threads import default_threads

    with _shared.progress_line(options) as line:
        made = prepare_grid(
            _shared.recipe(options), options.out, threads=default_threads(), progress=line
        )
    shared.write_json({**asdict(made), "path": str(made.path)}, options.json)
    if options.json != "-":
        print(f"{made.path}: {sum(made.patches.values())} patches of {made.plates} plates")
        for folder, count in made.patches.items():
            print(f"  {folder}: {count}")
        if made.train_left_out:
            print(f"{made.train_left_out} to train on were left out: they touch a known defect")
        if made.test_left_out:
            print(f"{made.test_left_out} of the test were left out: they hold a sliver of a defect")
    return 0
