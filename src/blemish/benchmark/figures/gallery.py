"""The gallery of a category: the maps of all detectors side by side, on one colour scale."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from blemish.benchmark.figures import _svg as svg
from blemish.benchmark.figures._values import BlockCategory, block_categories, file_name, named
from blemish.benchmark.maps import KeptMap, read_maps
from blemish.benchmark.protocol import Metric
from blemish.benchmark.selection import Selection
from blemish.report.thumbnails import ColourScale, heat_uri, picture_uri, ramp

SCALE = ColourScale(0.0, 2.0)  # in units of each detector: 1 is its map threshold
CELL, TALLEST, GAP, LEFT, HEAD = 150, 200, 10, 150, 112


def draw(selection: Selection, metrics: Sequence[Metric]) -> Iterator[tuple[str, str]]:
    """A gallery for each category of which runs kept maps: of each detector the first run."""
    for where in block_categories(selection):
        maps = {label: read_maps(path) for label, path in _files(selection, where)}
        if maps:
            words = named(where)
            yield file_name("gallery", *words), gallery(maps, ", ".join(words))


def _files(selection: Selection, where: BlockCategory) -> Iterator[tuple[str, Path]]:
    """The kept maps of each detector on a category, by label."""
    for column, label in sorted(selection.labels.items(), key=lambda entry: entry[1]):
        runs = selection.runs(*where, column)
        results = (result for seed in sorted(runs) for result in runs[seed].folds)
        paths = (result.folder / f"{result.key}.maps.npz" for result in results)
        if (path := next(filter(Path.is_file, paths), None)) is not None:
            yield label, path


def gallery(maps: Mapping[str, Sequence[KeptMap]], heading: str) -> str:
    """Pictures and maps as SVG: a row per image, a column per detector.

    The last rows show the closest calls, of each detector its own.
    """
    shared: dict[str, dict[str, KeptMap]] = {}
    closest: dict[str, dict[str, KeptMap]] = {"good": {}, "defective": {}}
    for detector, kept in maps.items():
        for one in kept:
            row = closest[one.label] if one.why == "closest" else shared.setdefault(one.image, {})
            row[detector] = one
    body, y = [_head(list(maps), heading)], float(HEAD)
    for image, row in shared.items():
        drawn, height = _row(row, list(maps), y, picture=True)
        one = next(iter(row.values()))
        body += [drawn, _caption(y, one.defect or one.label, image)]
        y += height
    for label, row in closest.items():
        if row:
            drawn, height = _row(row, list(maps), y, picture=False)
            body += [drawn, _caption(y, "closest call", f"{label}, each own")]
            y += height
    width = LEFT + (CELL + GAP) * (len(maps) + 1) + GAP
    note, bottom = svg.paragraph(GAP * 2, y + 12, _NOTE, width - 4 * GAP)
    return svg.page(width, bottom, heading, _LINES + "".join(body) + note)


_LINES = (
    "<style>path{fill:none;vector-effect:non-scaling-stroke;stroke-linejoin:round}"
    ".casing{stroke:#000;stroke-width:2.6;opacity:.6}"
    ".truth{stroke:#fff;stroke-width:1.4}</style>"
)
_NOTE = (
    "One colour scale, in units of each detector: transparent at the median of its maps of good "
    "images (0), brightest at twice as far from it as its map threshold (2). White: marked by a "
    "person. Under each map: the decision at the calibrated threshold. Closest calls are the good "
    "and the defective image whose scores lie nearest to that threshold."
)


def _head(detectors: Sequence[str], heading: str) -> str:
    stops = ramp()
    step = 120 / len(stops)
    bar = "".join(
        f'<rect x="{LEFT + 70 + step * i:.1f}" y="36" width="{step + 0.3:.1f}" height="10" '
        f'fill="{colour}"/>'
        for i, colour in enumerate(stops)
    )
    ends = [(0, "0"), (0.5, "1: map threshold"), (1, "2")]
    marks = "".join(
        svg.words(LEFT + 70 + 120 * share, 60, said, "soft", "middle") for share, said in ends
    )
    columns = "".join(
        svg.words(_x(place) + CELL / 2, HEAD - 10 - svg.LINE * above, said, "head", "middle")
        for place, name in enumerate(["picture", *detectors])
        for above, said in enumerate(reversed(textwrap.wrap(name, 20)[:2]))
    )
    scale = svg.words(LEFT, 45, "anomaly", "soft")
    return svg.words(GAP * 2, 24, heading, "title") + scale + bar + marks + columns


def _x(place: int) -> float:
    return LEFT + (CELL + GAP) * place


def _row(
    row: Mapping[str, KeptMap], detectors: Sequence[str], y: float, *, picture: bool
) -> tuple[str, float]:
    """The cells of a row that starts at y, and its height."""
    cells = []
    if picture:
        cells.append(_cell(next(iter(row.values())), _x(0), y, heat=False))
    for place, detector in enumerate(detectors, 1):
        if detector not in row:
            cells.append(svg.words(_x(place) + CELL / 2, y + 40, "not kept", "soft", "middle"))
            continue
        one = row[detector]
        decision = "rejected" if one.rejected else "passed"
        wrong = "wrong" if one.rejected != (one.label == "defective") else "soft"
        under = y + _size(one)[1] + 15
        cells.append(_cell(one, _x(place), y, heat=True))
        cells.append(svg.words(_x(place) + CELL / 2, under, decision, wrong, "middle"))
    return "".join(cells), max(_size(one)[1] for one in row.values()) + 30


def _size(one: KeptMap) -> tuple[float, float]:
    """Width and height of a picture in its cell."""
    height, width = one.picture.map.shape
    scale = min(CELL / width, TALLEST / height)
    return width * scale, height * scale


def _cell(one: KeptMap, x: float, y: float, *, heat: bool) -> str:
    """A picture, its map over it, and the outline of what a person marked."""
    width, height = _size(one)
    rows, columns = one.picture.map.shape
    images = [picture_uri(one.picture), *([heat_uri(one.picture, SCALE)] if heat else [])]
    drawn = "".join(
        f'<image width="{columns}" height="{rows}" preserveAspectRatio="none" href="{uri}"/>'
        for uri in images
    )
    truth = svg.escaped(one.picture.truth)
    outline = f'<path class="casing" d="{truth}"/><path class="truth" d="{truth}"/>'
    return (
        f'<svg x="{x + (CELL - width) / 2:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" viewBox="0 0 {columns} {rows}">'
        f"{drawn}{outline if truth else ''}</svg>"
    )


def _caption(y: float, said: str, below: str) -> str:
    """What a row shows, left of it."""
    above = said if len(said) <= 18 else f"{said[:17]}\u2026"
    under = below if len(below) <= 20 else f"\u2026{below[-19:]}"
    return svg.words(GAP * 2, y + 16, above, "head") + svg.words(GAP * 2, y + 34, under, "soft")
