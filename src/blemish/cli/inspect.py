"""`blemish inspect`: pass or reject new parts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from blemish.cli import _shared as shared

HELP = "pass or reject parts, with heat maps of where"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("model", metavar="MODEL", type=Path)
    parser.add_argument("paths", metavar="PATH", type=Path, nargs="+", help="images or folders")
    parser.add_argument(
        "--category", metavar="C", help="judge by this category's own threshold and views"
    )
    shared.add_parts(parser)
    parser.add_argument(
        "--json",
        metavar="FILE",
        nargs="?",
        const="-",
        help="verdicts as JSON, to a .json file or to standard output",
    )
    parser.add_argument("--heatmaps", metavar="DIR", type=Path, help="a picture for every image")


def run(options: argparse.Namespace) -> int:
    """Inspect every part; the exit code tells errors, not verdicts."""
    from blemish.inspector import Inspector

    inspector = Inspector.open(options.model)
    if options.category is not None:
        inspector = inspector.of_category(options.category)
    verdicts: list[dict[str, Any]] = []
    for part, images in _parts(options).items():
        verdict = inspector.inspect(images, part)
        verdicts.append(verdict.to_json())
        if options.heatmaps is not None:
            from blemish.report import write_heatmaps

            write_heatmaps(verdict, inspector, options.heatmaps)
        if options.json != "-":
            print(_line(verdicts[-1]), flush=True)
    shared.write_json(verdicts, options.json)
    return 0


def _parts(options: argparse.Namespace) -> dict[str, list[tuple[str | None, Path]]]:
    """The (view, image) pairs of every part; a picture is its own part unless told otherwise."""
    from blemish.dataset.inspection_images import open_images

    parts: dict[str, list[tuple[str | None, Path]]] = {}
    images = open_images(options.paths, parts=options.parts, part_pattern=options.part_pattern)
    for row in images.rows():
        parts.setdefault(row.part, []).append((row.view, row.image))
    return parts


def _line(verdict: dict[str, Any]) -> str:
    line = f"{verdict['decision']:<10} {verdict['part']}  score {verdict['score']:.4g}"
    if verdict["missing_views"]:
        line += f", no image of view {', '.join(verdict['missing_views'])}"
    regions = [region for view in verdict["views"] for region in view["regions"]]
    if regions:
        row, column = regions[0]["peak"]
        line += f", {len(regions)} place(s), the worst at row {row}, column {column}"
    logs = [view["nfa"]["log10"] for view in verdict["views"] if "nfa" in view]
    if logs:
        word = "an anomaly" if min(logs) < 0 else "no anomaly"
        line += f"; without a threshold: {word} (log10 NFA {min(logs):.4g})"
    return line
