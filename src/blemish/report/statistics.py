"""The page about a data set: one HTML file without scripts, drawn from `dataset.statistics`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from blemish.report.words import counted, percentage, text
from blemish.util.files import replacing

Figures = Mapping[str, Any]

# The counts of a category, and the colour of each.
STACKED = {
    "train_good": "k1",
    "validation_good": "k5",
    "test_good": "k2",
    "train_defective": "k4",
    "validation_defective": "k3",
    "test_defective": "k0",
    "unlabelled": "other",
}
CHARTS = (
    ("area", "Marked area", "share of the image in %; one count per mask", True),
    ("regions", "Regions", "connected regions in one mask", False),
    ("region_area", "Area of a region", "smallest rectangle, share of the image in %", True),
    ("region_aspect", "Aspect ratio of a region", "long side over short", False),
)
_WIDTH, _HEIGHT, _FOOT, _HEAD = 460, 190, 22, 16


def write_statistics(figures: Figures, folder: Path) -> Path:
    """Write `statistics.html` into `folder` (made if absent) and return its path.

    Raises ArtifactError when the file cannot be written.
    """
    path = folder / "statistics.html"
    with replacing(path) as file:
        file.write(render(figures).encode("utf-8"))
    return path


def render(figures: Figures) -> str:
    """The whole page as HTML text."""
    seen = [name for name in STACKED if any(c[name] for c in figures["categories"])]
    return Template(_asset("statistics.html")).substitute(
        css=_asset("page.css") + _asset("statistics.css"),
        title=text(figures["name"]),
        layout=text(figures["layout"]),
        verdict=text(_verdict(figures)),
        unreadable=_unreadable(figures["unreadable"]),
        terms=text(f"Terms: {figures['terms']}" if figures["terms"] else ""),
        legend="".join(
            f'<li><i class="{STACKED[name]}"></i>{name.replace("_", " ")}</li>' for name in seen
        ),
        categories=_categories(figures["categories"], seen),
        defects=_defects(figures["defects"]),
        histograms=_histograms(figures["histograms"]),
        views=_views(figures["views"]),
    )


def _asset(name: str) -> str:
    return (resources.files("blemish.report") / name).read_text(encoding="utf-8")


def _verdict(figures: Figures) -> str:
    images, parts = figures["images"], figures["parts"]
    of_parts = f" of {counted(parts, 'part')}" if parts < images else ""
    categories = len(figures["categories"])
    kinds = len({(d["category"], d["defect"]) for d in figures["defects"]})
    where = f" in {categories} categories" if categories > 1 else ""
    defects = f", {counted(kinds, 'kind')} of defect" if kinds else ", no defect"
    return f"{counted(images, 'image')}{of_parts}{where}{defects}."


def _unreadable(n: int) -> str:
    if not n:
        return ""
    return f'<p class="warning">{counted(n, "image")} could not be read and are not measured.</p>'


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(heads)
    return (
        f'<table class="wide"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _categories(categories: Sequence[Figures], seen: Sequence[str]) -> str:
    most = max((c["images"] for c in categories), default=1)
    rows = []
    for c in categories:
        stack = "".join(
            f'<i class="{STACKED[name]}" style="width:{100 * c[name] / most:.3f}%"></i>'
            for name in seen
            if c[name]
        )
        size = c["size"] or ""
        if c["sizes"] > 1:
            size = f"{c['smallest']} to {c['largest']}, {c['sizes']} sizes"
        numbers = "".join(f'<td class="n">{c[name]:,}</td>' for name in ("images", "parts", *seen))
        rows.append(
            f'<tr><th scope="row">{text(c["category"])}</th>'
            f'<td class="bars"><span class="stack">{stack}</span></td>{numbers}'
            f'<td class="small">{text(size)}</td></tr>'
        )
    numbers = "".join(
        f'<th class="n">{n.replace("_", " ").capitalize()}</th>' for n in ("images", "parts", *seen)
    )
    heads = ["<th>Category</th><th></th>", numbers, "<th>Pixels</th>"]
    return _table(heads, rows)


def _defects(defects: Sequence[Figures]) -> str:
    if not defects:
        return '<p class="none">No image is labelled defective.</p>'
    most = max(d["images"] for d in defects)
    several = len({d["category"] for d in defects}) > 1
    rows = [
        "<tr>"
        + (f'<th scope="row">{text(d["category"])}</th>' if several else "")
        + f'<th scope="row">{text(d["defect"] or "unnamed")}</th>'
        f'<td class="bars"><span class="stack">'
        f'<i class="k0" style="width:{100 * d["images"] / most:.3f}%"></i></span></td>'
        f'<td class="n">{d["images"]:,}</td><td class="n">{d["regions"]:,}</td>'
        f'<td class="n">{_area(d)}</td><td class="n">{_aspect(d["aspect_median"])}</td></tr>'
        for d in defects
    ]
    heads = ["<th>Category</th>"] * several + [
        "<th>Kind</th><th></th><th class=n>Images</th><th class=n>Regions</th>",
        "<th class=n>Marked area, median (range)</th><th class=n>Aspect ratio, median</th>",
    ]
    return _table(heads, rows)


def _area(defect: Figures) -> str:
    if defect["area_median"] is None:
        return "\u2013"
    middle, low, high = (
        percentage(defect[f"area_{which}"]) for which in ("median", "smallest", "largest")
    )
    return f'{middle}\u00a0% <span class="small">({low} to {high})</span>'


def _aspect(ratio: float | None) -> str:
    return "\u2013" if ratio is None else f"{ratio:.2g}"


def _histograms(histograms: Mapping[str, Sequence[Figures]]) -> str:
    charts = [
        f'<div class="chart"><h3>{title}</h3><p class="small">{what}</p>'
        f"{bars(histograms[key], title, shares=shares)}</div>"
        for key, title, what, shares in CHARTS
        if any(bar["count"] for bar in histograms[key])
    ]
    if not charts:
        return ""
    return f'<section><h2>Masks</h2><div class="charts">{"".join(charts)}</div></section>'


def bars(bins: Sequence[Figures], title: str, *, shares: bool) -> str:
    """A histogram as SVG: a bar per bin with its count above it, its ends below."""
    most = max(bar["count"] for bar in bins) or 1
    step, room = _WIDTH / len(bins), _HEIGHT - _FOOT - _HEAD
    parts = []
    for i, bar in enumerate(bins):
        left, height = i * step, room * bar["count"] / most
        top, middle = _HEIGHT - _FOOT - height, left + step / 2
        parts.append(
            f'<rect class="k1" x="{left + 2:.1f}" y="{top:.1f}" width="{step - 4:.1f}" '
            f'height="{height:.1f}"/>'
            + f'<text class="count" x="{middle:.1f}" y="{top - 4:.1f}">{bar["count"]:,}</text>'
            * bool(bar["count"])
        )
        if i:
            end = percentage(bar["low"]) if shares else f"{bar['low']:g}"
            parts.append(f'<text x="{left:.1f}" y="{_HEIGHT - 6}">{end}</text>')
    base = _HEIGHT - _FOOT
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{text(title)}">'
        f'<line x1="0" x2="{_WIDTH}" y1="{base}" y2="{base}"/>{"".join(parts)}</svg>'
    )


def _views(views: Sequence[Figures]) -> str:
    if not views:
        return ""
    rows = [
        f'<tr><th scope="row">{text(v["category"])}</th><th scope="row">{text(v["view"])}</th>'
        f'<td class="n">{v["images"]:,}</td><td class="n">{v["good"]:,}</td>'
        f'<td class="n">{v["defective"]:,}</td></tr>'
        for v in views
    ]
    heads = [
        "<th>Category</th><th>View</th>",
        *(f"<th class=n>{head}</th>" for head in ("Images", "Good", "Defective")),
    ]
    return f"<section><h2>Views</h2>{_table(heads, rows)}</section>"
