"""`blemish data`: what a data set holds, and what is wrong with it."""

from __future__ import annotations

import argparse
import json

from blemish.cli import _shared as shared

HELP = "show or check a data set before training on it"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("action", choices=("show", "check"))
    shared.add_data(parser)
    parser.add_argument("--strict", action="store_true", help="check: exit 1 on any finding")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print counts, or findings by severity; 1 for an error, and with --strict for any finding."""
    from dataclasses import asdict

    from blemish.dataset import findings

    data = shared.open_data(options)
    if options.action == "show":
        shown = {"name": data.name, "layout": data.layout, "terms": data.terms, **data.counts()}
        shared.write_json(shown, options.json)
        if options.json != "-":
            print(json.dumps(shown, indent=2, ensure_ascii=False))
        return 0
    found = findings(data, training=len(data.split("train")) > 0)
    shared.write_json([asdict(finding) for finding in found], options.json)
    if options.json != "-":
        for finding in found:
            print(f"{finding.severity}: {finding.message}")
        print(f"{data.root}: {len(data)} images, {len(found)} findings")
    return int(any(f.severity == "error" for f in found) or (options.strict and bool(found)))
