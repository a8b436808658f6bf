"""`blemish backbone`: the frozen networks that features come from."""

from __future__ import annotations

import argparse

from blemish.cli import _shared as shared

HELP = "list the backbones on this machine"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    shared.add_json(actions.add_parser("list", help=HELP))


def run(options: argparse.Namespace) -> int:
    """Print every backbone with its hash and layers."""
    from dataclasses import asdict

    from blemish.features.backbone import backbone_names, open_backbone

    found = [open_backbone(name) for name in backbone_names()]
    shared.write_json([{**asdict(b), "path": str(b.path)} for b in found], options.json)
    if options.json != "-":
        for backbone in found:
            print(f"{backbone.name}  sha256 {backbone.sha256}")
            for layer in backbone.layers:
                print(f"    {layer.name}: {layer.channels} channels, stride {layer.stride}")
    return 0
