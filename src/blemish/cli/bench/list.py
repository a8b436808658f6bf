"""`blemish bench list`: the protocols there are, or what one of them calls for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from blemish.cli import _shared as shared

HELP = "the protocols there are; of one, its runs and what is missing for them"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("protocol", metavar="PROTOCOL", nargs="?", help="a name, or a .toml file")
    parser.add_argument("--data", metavar="ROOT", type=Path, help="where the data sets lie")
    parser.add_argument("--out", metavar="DIR", type=Path, help="default: bench/PROTOCOL")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print the protocols, or one of them."""
    from blemish.benchmark.protocol import open_protocol, protocol_names

    if options.protocol is None:
        protocols = {name: open_protocol(name).title for name in protocol_names()}
        shared.write_json(protocols, options.json)
        if options.json != "-":
            width = max(map(len, protocols))
            print("\n".join(f"{name:<{width}}  {title}" for name, title in protocols.items()))
        return 0
    found = _describe(options)
    shared.write_json(found, options.json)
    if options.json != "-":
        print("\n".join(_summary(found)))
    return 0


def _describe(options: argparse.Namespace) -> dict[str, Any]:
    from blemish.benchmark.protocol import open_protocol
    from blemish.benchmark.runner import other_code_notes, unmade
    from blemish.benchmark.runs import expand
    from blemish.benchmark.store import read_results
    from blemish.detectors import DETECTORS

    protocol = open_protocol(options.protocol)
    found: dict[str, Any] = {
        "protocol": protocol.name,
        "title": protocol.title,
        "source": protocol.source,
        "data": [data.name for data in protocol.data],
        "splits": [split.name for split in protocol.splits if split.name],
        "metrics": [metric.name for metric in protocol.metrics],
        "seeds": protocol.seeds,
        "detectors": {one.label: DETECTORS.has(one.name) for one in protocol.detectors},
        "notes": [*protocol.notes, *(t for one in protocol.detectors for t in one.departures())],
    }
    if options.data is not None:
        folder = options.out or Path("bench") / protocol.name
        matrix, results = expand(protocol, options.data), read_results(folder)
        shared.tell_left_out(Path(job.location.path) for job in matrix.jobs)
        left = unmade(matrix.jobs, results)
        found["runs"] = len(matrix.jobs)
        found["made"] = len(matrix.jobs) - len(left)
        found["missing"] = [vars(missing) for missing in matrix.missing]
        found["other_code"] = other_code_notes(results)
    return found


def _summary(found: dict[str, Any]) -> list[str]:
    detectors = [
        name if available else f"{name} (not available)"
        for name, available in found["detectors"].items()
    ]
    lines = [
        f"{found['protocol']}: {found['title']}",
        f"source: {found['source']}",
        f"data: {', '.join(found['data'])}",
        f"splits: {', '.join(found['splits']) or 'one'}",
        f"detectors: {', '.join(detectors)}",
        f"metrics: {', '.join(found['metrics'])}",
        f"seeds: {found['seeds']}",
        *(f"note: {note}" for note in found["notes"]),
    ]
    if "runs" in found:
        lines += missing_lines(found["missing"])
        lines += found["other_code"]
        lines.append(f"{found['runs']} runs with what is there; {found['made']} of them are made")
    return lines


def missing_lines(missing: list[dict[str, str]]) -> list[str]:
    """What is missing, one line for each reason."""
    names: dict[tuple[str, str], list[str]] = {}
    for one in missing:
        names.setdefault((one["kind"], one["reason"]), []).append(one["name"])
    return [f"missing {kind}: {', '.join(some)} ({why})" for (kind, why), some in names.items()]
