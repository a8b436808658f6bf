"""`blemish export`: a model for programs without blemish."""

from __future__ import annotations

import argparse
from pathlib import Path

from blemish.cli import _shared as shared

HELP = "write a model as ONNX or OpenVINO files, for programs without blemish"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("model", metavar="MODEL", type=Path)
    parser.add_argument("--to", choices=("onnx", "openvino"), required=True)
    parser.add_argument("-o", "--out", metavar="DIR", type=Path, required=True)
    parser.add_argument(
        "--images", metavar="DIR", type=Path, help="openvino must agree on these images too"
    )
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Export and name the files."""
    from blemish.export import export
    from blemish.images import image_files

    if options.images is not None:
        shared.tell_left_out([options.images])
    images = [] if options.images is None else image_files(options.images)
    files = export(options.model, options.to, options.out, images)
    shared.write_json([str(file) for file in files], options.json)
    if options.json != "-":
        print("\n".join(str(file) for file in files))
    return 0
