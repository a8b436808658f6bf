"""`blemish data show`: what a data set holds, in numbers."""

from __future__ import annotations

import argparse

from blemish.cli import _shared as shared

HELP = "show what a data set holds"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print the counts."""
    data = shared.open_data(options)
    shown = {"name": data.name, "layout": data.layout, "terms": data.terms, **data.counts()}
    shared.write_json(shown, options.json)
    if options.json != "-":
        shared.write_json(shown, "-")
    return 0
