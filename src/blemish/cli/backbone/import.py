# ruff: noqa: N999 - the file's name is the verb
"""`blemish backbone import`: a backbone from published weights, as one ONNX graph."""

from __future__ import annotations

import argparse
from pathlib import Path

from blemish.cli import _shared as shared

HELP = "make a backbone of a ResNet's weights, from timm or from a file"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "name", metavar="NAME", help="timm/MODEL, or the backbone's name for weights from a file"
    )
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--weights", metavar="FILE", type=Path, help="a state dict, .safetensors or .pth"
    )
    weights.add_argument(
        "--random", metavar="SEED", type=int, help="random weights, where none can be had"
    )
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Import the backbone and say what it is."""
    from dataclasses import asdict

    from blemish.errors import BlemishError
    from blemish.features.import_backbone import import_backbone
    from blemish.util.text_files import read_json

    backbone = import_backbone(options.name, options.weights, options.random)
    card = read_json(backbone.path.with_suffix(".json"), "card", "import it again", BlemishError)
    shared.write_json({**asdict(backbone), "path": str(backbone.path), "card": card}, options.json)
    if options.json != "-":
        print("\n".join(shared.backbone_lines(backbone)))
        print(f"    {card['source']}; licence: {card['licence']}")
        print(f"    {backbone.path}")
    return 0
