"""Arguments that the verbs with a recipe share."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from blemish.cli._shared import ProgressLine, tell_left_out
from blemish.errors import BlemishError

if TYPE_CHECKING:
    from blemish.prepare.patch_recipe import PatchRecipe


def add_recipe(parser: argparse.ArgumentParser, out: str, what: str) -> None:
    """Add the recipe, and where the result goes."""
    parser.add_argument("recipe", metavar="RECIPE", type=Path, help="a .toml file")
    parser.add_argument("-o", "--out", metavar=out, type=Path, required=True, help=what)


def add_making(parser: argparse.ArgumentParser) -> None:
    """Add the seed and the number of processes."""
    parser.add_argument("--seed", metavar="N", type=int, help="default: the recipe's")
    parser.add_argument(
        "--workers", metavar="N", type=int, help="processes; default: one for each core"
    )


def recipe(options: argparse.Namespace) -> PatchRecipe:
    """The recipe that the options name, with their seed."""
    from dataclasses import replace

    from blemish.prepare.patch_recipe import open_recipe

    opened = open_recipe(options.recipe)
    named = [*opened.plates.train, *opened.plates.test, opened.region.mask, opened.defects.masks]
    tell_left_out(opened.path(name) for name in named if name is not None)
    seed = getattr(options, "seed", None)
    if seed is None:
        return opened
    if seed < 0:
        raise BlemishError(f"--seed {seed} must be 0 or more")
    return replace(opened, seed=seed)


def workers(options: argparse.Namespace) -> int:
    """The number of worker processes."""
    from blemish.util.threads import default_threads

    if options.workers is not None and options.workers < 1:
        raise BlemishError(f"--workers {options.workers} must be 1 or more")
    return options.workers or default_threads()


@contextlib.contextmanager
def progress_line(options: argparse.Namespace) -> Iterator[ProgressLine]:
    """The progress; Ctrl-C ends with the way on instead of a traceback."""
    line = ProgressLine(options)
    try:
        yield line
    except KeyboardInterrupt:
        print("blemish: stopped; the same command goes on where it stopped", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        line.end()


def refuse_other_ending(out: Path, what: str) -> None:
    """Refuse a name for an HDF5 file of `what` that no verb would read as one."""
    from blemish.images.hdf5 import SUFFIXES

    if out.suffix.lower() not in SUFFIXES:
        raise BlemishError(f"{out} is no name for {what}; end it in .h5")
