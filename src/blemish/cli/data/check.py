"""`blemish data check`: what is wrong with a data set, before training on it."""

from __future__ import annotations

import argparse

from blemish.cli import _shared as shared

HELP = "list what is wrong with a data set"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    parser.add_argument("--strict", action="store_true", help="exit 1 on any finding")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print findings by severity; 1 for an error, and with --strict for any finding."""
    from dataclasses import asdict

    from blemish.dataset import findings

    data = shared.open_data(options)
    found = findings(data, training=len(data.split("train")) > 0)
    shared.write_json([asdict(finding) for finding in found], options.json)
    if options.json != "-":
        for finding in found:
            print(f"{finding.severity}: {finding.message}")
        print(f"{data.root}: {len(data)} images, {len(found)} findings")
    return int(any(f.severity == "error" for f in found) or (options.strict and bool(found)))
