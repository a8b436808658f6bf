"""`blemish data stats`: how many images of what, and what their defects look like."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from blemish.cli import _shared as shared

HELP = "show counts, sizes and the shapes of defects"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    shared.add_json(parser)
    parser.add_argument("--report", metavar="DIR", type=Path, help="write DIR/statistics.html")


def run(options: argparse.Namespace) -> int:
    """Look at every image, print the tables, write what was asked for."""
    from blemish.dataset.statistics import statistics
    from blemish.dataset.survey import survey

    data = shared.open_data(options)
    progress = shared.ProgressLine(options)
    figures = statistics(data, survey(data, progress=progress))
    progress.end()
    shared.write_json(figures, options.json)
    if options.json != "-":
        print("\n".join(summary(figures)))
    if options.report is not None:
        from blemish.report.statistics import write_statistics

        path = write_statistics(figures, options.report)
        if options.json != "-":
            print(f"report: {path}")
    return 0


def summary(figures: dict[str, Any]) -> Iterator[str]:
    """The categories and the kinds of defect as two tables for a person."""
    splits = ["train_good", "train_defective", "validation_good", "test_good", "test_defective"]
    shown = [s for s in splits if any(c[s] for c in figures["categories"])]
    heads = ["category", "images", "parts", *(s.replace("_", " ") for s in shown), "size in pixels"]
    yield from columns(
        [heads]
        + [
            [c["category"], c["images"], c["parts"], *(c[s] for s in shown), sizes(c)]
            for c in figures["categories"]
        ]
    )
    if figures["unreadable"]:
        yield f"{figures['unreadable']} images cannot be read; see blemish data check"
    if figures["defects"]:
        yield ""
        heads = ["category", "defect", "images", "regions", "median area", "median aspect ratio"]
        yield from columns([heads, *([*kind] for kind in map(_kind, figures["defects"]))])


def sizes(category: dict[str, Any]) -> str:
    """The size of a category's images, or the range of their sides."""
    if category["sizes"] <= 1:
        return category["size"] or "-"
    return f"{category['smallest']} to {category['largest']}, {category['sizes']} sizes"


def columns(rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Rows of cells as lines: words to the left, numbers to the right."""
    cells = [[f"{c:,}" if isinstance(c, int) else str(c) for c in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [all(isinstance(row[i], int) for row in rows[1:]) for i in range(len(widths))]
    for row in cells:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        yield "  ".join(padded).rstrip()


def _kind(defect: dict[str, Any]) -> Iterator[object]:
    yield defect["category"]
    yield defect["defect"] or "-"
    yield defect["images"]
    yield defect["regions"]
    area, aspect = defect["area_median"], defect["aspect_median"]
    yield "-" if area is None else f"{100 * area:.3g} %"
    yield "-" if aspect is None else f"{aspect:.2g}"
