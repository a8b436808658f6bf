"""`blemish backbone list`: what is on this machine."""

from __future__ import annotations

import argparse
import logging

from blemish.cli import _shared as shared
from blemish.errors import BlemishError

HELP = "list the backbones on this machine"

log = logging.getLogger("blemish")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print every backbone with its hash and layers; a damaged one is named and left out."""
    from dataclasses import asdict

    from blemish.features.backbone import backbone_names, open_backbone

    found = []
    for name in backbone_names():
        try:
            found.append(open_backbone(name))
        except BlemishError as error:
            log.warning("%s", error)
    shared.write_json([{**asdict(b), "path": str(b.path)} for b in found], options.json)
    if options.json != "-":
        for backbone in found:
            print("\n".join(shared.backbone_lines(backbone)))
    return 0
