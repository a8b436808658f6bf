"""`blemish detectors`: what there is to train."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from blemish.cli import _shared as shared

HELP = "list the detectors and their settings"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print every detector with its settings."""
    from blemish.detectors import describe, detector_names, open_detector, usual_size
    from blemish.training import DEFAULT_DETECTOR

    found: dict[str, dict[str, Any]] = {
        name: {
            "about": describe(name),
            "default": name == DEFAULT_DETECTOR,
            "size": usual_size(name),
            "settings": dataclasses.asdict(open_detector(name)),
        }
        for name in detector_names()
    }
    shared.write_json(found, options.json)
    if options.json != "-":
        for name, entry in found.items():
            print(f"{name}{' (default)' if entry['default'] else ''}: {entry['about']}")
            print(f"    --size {entry['size']}")
            for key, value in entry["settings"].items():
                print(f"    --set {key}={_text(value)}")
    return 0


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
