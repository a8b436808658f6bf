"""`blemish inspect`: pass or reject new parts."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.cli import _shared as shared
from blemish.errors import BlemishError, ImageError
from blemish.util.names import escaped

if TYPE_CHECKING:
    from blemish.dataset.inspection_images import InspectionImages
    from blemish.inspector import Inspector, Verdict

DECISIONS = ("pass", "reject", "unreadable", "incomplete")
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
    from blemish.dataset.inspection_images import open_whatever_is_there
    from blemish.inspector import Inspector

    inspector = Inspector.open(options.model)
    if options.category is not None:
        inspector = inspector.of_category(options.category)
    shared.tell_left_out(options.paths)
    found = open_whatever_is_there(
        options.paths, parts=options.parts, part_pattern=options.part_pattern
    )
    verdicts: list[dict[str, Any]] = []
    faults: list[str] = []
    drawn: dict[str, int] = {}
    for verdict in _verdicts(inspector, found):
        verdicts.append(verdict.to_json())
        faults += [view.reason for view in verdict.views if view.reason is not None]
        if options.json != "-":
            print(_line(verdicts[-1]), flush=True)
        if options.heatmaps is not None:
            faults += _heatmap_faults(verdict, inspector, options.heatmaps, drawn)
    shared.write_json(verdicts, options.json)
    if options.json != "-" and len(verdicts) > 1:
        print(_counts(verdicts))
    if faults:
        others = len(faults) - 1
        more = f" ({others} more file{'s' * (others > 1)} could not be used)" if others else ""
        raise ImageError(faults[0] + more)
    return 0


def _verdicts(inspector: Inspector, found: InspectionImages) -> Iterator[Verdict]:
    """The verdict on every part, then on every path at which there is no image."""
    parts: dict[str, list[tuple[str | None, Path]]] = {}
    for row in () if found.images is None else found.images.rows():
        parts.setdefault(row.part, []).append((row.view, row.image))
    for part, images in parts.items():
        yield inspector.inspect(images, part)
    for path, reason in found.refused.items():
        yield inspector.unreadable(path, reason)


def _heatmap_faults(
    verdict: Verdict, inspector: Inspector, folder: Path, used: dict[str, int]
) -> list[str]:
    """Write the heat maps of a part; what could not be written, or was gone by then."""
    from blemish.report import write_heatmaps

    try:
        write_heatmaps(verdict, inspector, folder, used)
    except BlemishError as error:
        return [str(error)]
    return []


def _counts(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """How many parts there are of each decision."""
    numbers = Counter(verdict["decision"] for verdict in verdicts)
    each = [f"{numbers[decision]} {decision}" for decision in DECISIONS if numbers[decision]]
    return f"{len(verdicts)} parts: {', '.join(each)}"


def _line(verdict: dict[str, Any]) -> str:
    line = f"{verdict['decision']:<10} {escaped(verdict['part'])}"
    if verdict["score"] is not None:
        line += f"  score {verdict['score']:.4g}"
    if "reason" in verdict:
        line += f"  {escaped(verdict['reason'])}"
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
