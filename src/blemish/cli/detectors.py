"""`blemish detectors`: what there is to train."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from blemish.cli import _shared as shared
from blemish.errors import MissingExtraError

HELP = "list the detectors and their settings, or explain those of one"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="explain each setting of this detector"
    )
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print every detector with its settings, or one with what each of them means."""
    from blemish.detectors import detector_names

    names = detector_names() if options.name is None else [options.name]
    found = {name: _told(name, alone=options.name is not None) for name in names}
    shared.write_json(found, options.json)
    if options.json != "-":
        for name, entry in found.items():
            print(f"{name}{' (default)' if entry['default'] else ''}: {entry['about']}")
            if "needs" in entry:
                print(f"    {entry['needs']}")
            else:
                print(f"    --size {entry['size']}")
                print("\n".join(_lines(entry, explained=options.name is not None)))
    return 0


def _told(name: str, *, alone: bool) -> dict[str, Any]:
    """What is known of a detector; one among others may lack the library that it needs."""
    from blemish.detectors import describe, open_detector, usual_size
    from blemish.training import DEFAULT_DETECTOR
    from blemish.util.settings import explain

    known = {"about": describe(name), "default": name == DEFAULT_DETECTOR}
    try:
        detector: Any = open_detector(name)
    except MissingExtraError as error:
        if alone:
            raise
        return {**known, "needs": str(error)}
    details = [dataclasses.asdict(each) for each in explain(type(detector))]
    return {
        **known,
        "size": usual_size(name),
        "settings": dataclasses.asdict(detector),
        "details": {each.pop("name"): each for each in details},
    }


def _lines(entry: dict[str, Any], *, explained: bool) -> list[str]:
    import textwrap

    from blemish.util.settings import as_text

    lines = []
    for key, value in entry["settings"].items():
        lines.append(f"    --set {key}={as_text(value)}")
        if explained and (detail := entry["details"].get(key)):
            kind = ", ".join(filter(None, (detail["type"], detail["unit"], detail["limits"])))
            indent = " " * 8
            wide = textwrap.fill(
                detail["about"], 92, initial_indent=indent, subsequent_indent=indent
            )
            lines += [f"{indent}{kind}", *([wide] if detail["about"] else [])]
    return lines
