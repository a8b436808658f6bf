"""The page of a day's production: rejects first, closest calls, scores in time; no labels."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from itertools import count
from pathlib import Path
from string import Template

from blemish.calibration.views import part_score
from blemish.errors import BlemishError
from blemish.images import read_rgb
from blemish.inspector import Inspector, ViewResult
from blemish.production.columns import DECISIONS
from blemish.production.entry import Entry
from blemish.production.totals import Totals
from blemish.report.score_course import Point, course
from blemish.report.thumbnails import ColourScale, Thumbnail, heat_uri, picture_uri, thumbnail
from blemish.report.words import counted, number, text
from blemish.util.files import replacing

SHOWN_REJECTS = 60
SHOWN_CLOSE = 12
LISTED = 500  # names in a list


@dataclass(frozen=True)
class _Card:
    """A part's worst picture, small."""

    part: str
    view: ViewResult
    decision: str
    time: str
    picture: Thumbnail


@dataclass(eq=False)
class ProductionPage:
    """Takes parts as they come, keeps what the page shows of them, and writes it at the end.

    Memory grows by a few numbers a part. `model` is the name of the model's file.
    """

    folder: Path
    inspector: Inspector
    model: str
    rejects: list[tuple[float, int, _Card]] = field(default_factory=list)
    close: list[tuple[float, int, _Card]] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    not_decided: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # rejected parts without a picture here
    turns: count[int] = field(default_factory=count)

    def add(self, entry: Entry) -> None:
        """Take one part into account."""
        verdict = entry.verdict
        time = entry.time
        shown = "" if time is None else time.isoformat(sep=" ", timespec="minutes")
        if verdict.score is not None:
            stamp = None if time is None else time.timestamp()
            self.points.append(Point(verdict.score, verdict.decision, stamp, shown))
        if verdict.decision == "reject":
            self._keep(self.rejects, SHOWN_REJECTS, entry, shown)
        elif verdict.decision == "pass":
            self._keep(self.close, SHOWN_CLOSE, entry, shown)
        else:
            lacking = f"no image of view {', '.join(verdict.missing)}"
            why = f"{verdict.decision}: {verdict.reason or lacking}"
            self.not_decided.append((verdict.part, why))

    def write(self, totals: Totals) -> Path:
        """Write `report.html` into the folder, whole or not at all; returns its path."""
        path = self.folder / "report.html"
        with replacing(path) as file:
            file.write(self.render(totals).encode())
        return path

    def render(self, totals: Totals) -> str:
        """The page as HTML."""
        calibration = self.inspector.calibration
        limit = calibration.limit
        held_out = [part_score([score for _, score, _ in p.views]) for p in calibration.scores]
        graph = self.inspector.graph
        return Template(_asset("production.html")).substitute(
            css=_asset("page.css"),
            own_css=_asset("production.css"),
            gallery_js=_asset("gallery.js"),
            title=text(f"{counted(totals.parts, 'part')} inspected"),
            model=text(f"{self.model} · graph {graph[:12]} · model {self.inspector.name[:12]}"),
            verdict=text(_verdict(totals)),
            notes=_period(totals),
            promise=f"<p>{text(limit.sentence())}</p><p>{text(self._found())}</p>",
            totals=_totals(totals),
            chart=course(self.points, limit.threshold, held_out),
            gallery=self._gallery(),
            lists=_names("Rejected, without a picture here", self.left_out)
            + _names("Not decided on", [f"{part}: {why}" for part, why in self.not_decided]),
        )

    def _found(self) -> str:
        """The other half of the promise: what of the defects is found."""
        comparison = self.inspector.known.comparison
        if comparison is None or comparison.escapes is None or not comparison.defective:
            return (
                "What of the defects is found at this threshold: not measured. The verb evaluate "
                "measures it, on parts of which it is known whether they are good."
            )
        return (
            f"What of the defects is found at this threshold: when the model was trained, "
            f"{comparison.escapes.after} of {comparison.defective} defective parts escaped."
        )

    def _keep(
        self, heap: list[tuple[float, int, _Card]], most: int, entry: Entry, time: str
    ) -> None:
        """Keep the part among the highest; of a part that goes, a reject's name is kept."""
        verdict = entry.verdict
        scored = [view for view in verdict.views if view.look is not None]
        if not scored or verdict.score is None:
            return
        rejected = verdict.decision == "reject"
        if len(heap) >= most and verdict.score <= heap[0][0]:
            self.left_out += [verdict.part] * rejected
            return
        worst = max(scored, key=lambda view: -1e30 if view.score is None else view.score)
        try:
            rgb = read_rgb(worst.image, self.inspector.recipe.window)
        except BlemishError:  # it is gone by now; its verdict stands
            self.left_out += [verdict.part] * rejected
            return
        assert worst.look is not None
        level = self.inspector.calibration.map_threshold
        picture = thumbnail(rgb, worst.look.map, None, level)
        light = ViewResult(worst.image, worst.view, worst.score, None, worst.regions)
        card = _Card(verdict.part, light, verdict.decision, time, picture)
        heapq.heappush(heap, (verdict.score, -next(self.turns), card))
        if len(heap) > most:
            *_, gone = heapq.heappop(heap)
            self.left_out += [gone.part] * rejected

    def _gallery(self) -> str:
        level = self.inspector.calibration.map_threshold
        scale = ColourScale(0.5 * level, 2 * level)
        groups = (
            (
                "Rejected",
                "The highest score first.",
                self.rejects,
                len(self.rejects) + len(self.left_out),
                "None: no part was rejected.",
            ),
            (
                "Closest calls",
                "Passed, and nearest to the threshold.",
                self.close,
                len(self.close),
                "None: no part was passed.",
            ),
        )
        return "".join(
            _group(title, meaning, [card for *_, card in sorted(heap)[::-1]], total, none, scale)
            for title, meaning, heap, total, none in groups
        )


def _asset(name: str) -> str:
    return (resources.files("blemish.report") / name).read_text(encoding="utf-8")


def _verdict(totals: Totals) -> str:
    words = {"pass": "passed", "reject": "rejected"}
    each = [
        f"{totals.decisions[name]:,} {words.get(name, name)}"
        for name in DECISIONS
        if totals.decisions[name]
    ]
    return (", ".join(each) or "No part was inspected") + "."


def _period(totals: Totals) -> str:
    if totals.first is None or totals.last is None:
        return ""
    ends = [time.replace("T", " ") for time in (totals.first, totals.last)]
    return f'<p class="small">{text(f"Taken from {ends[0]} to {ends[1]}.")}</p>'


def _totals(totals: Totals) -> str:
    head = "".join(f'<th scope="col" class="n">{text(name)}</th>' for name in DECISIONS)
    rows = "".join(
        f'<tr><th scope="row">{text(name)}</th>'
        + "".join(f'<td class="n">{counts[decision]:,}</td>' for decision in DECISIONS)
        + "</tr>"
        for name, counts in (*totals.lots.items(), ("all parts", totals.decisions))
    )
    return (
        f'<table class="totals"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _group(
    title: str, meaning: str, cards: Sequence[_Card], total: int, none: str, scale: ColourScale
) -> str:
    if not cards:
        return (
            f'<section class="group"><h3>{text(title)}</h3><p class="none">{text(none)}</p>'
            "</section>"
        )
    some = f"{len(cards)} of {total:,}" if total > len(cards) else str(len(cards))
    body = "".join(_figure(card, scale, f"{title[:1]}{at}") for at, card in enumerate(cards))
    return (
        f'<section class="group"><h3>{text(title)} <span class="count">{some}</span></h3>'
        f'<p class="small">{text(meaning)}</p><div class="cards">{body}</div></section>'
    )


def _figure(card: _Card, scale: ColourScale, place: str) -> str:
    height, width = card.picture.map.shape
    name = text(Path(card.view.image).name)
    box, size = f'viewBox="0 0 {width} {height}" role="img"', f'width="{width}" height="{height}"'
    found = card.picture.found
    lines = f'<path class="casing found" d="{found}"/><path class="found" d="{found}"/>'
    where = [] if card.view.view is None else [f"view {card.view.view}"]
    if card.view.regions:
        top, left, bottom, right = card.view.regions[0].box
        where.append(f"worst place {right - left} x {bottom - top} px at x {left}, y {top}")
    if card.picture.cut:
        where.append(card.picture.cut)
    shape = " wide" if width > 1.5 * height else ""
    score = number(card.view.score or 0.0)
    return (
        f'<figure class="card{shape}"><button type="button" aria-label="Enlarge {name}">'
        f'<svg {box} aria-label="{name}">'
        f'<image id="picture-{place}" {size} href="{picture_uri(card.picture)}"/></svg>'
        f'<svg {box} aria-label="{name} with its anomaly map"><use href="#picture-{place}"/>'
        f'<image {size} href="{heat_uri(card.picture, scale)}"/>{lines if found else ""}</svg>'
        f'</button><figcaption><span class="line1"><b class="score">{score}</b> '
        f'<span class="decision">{text(card.decision)}</span> '
        f'<span class="what">{text(card.time)}</span></span>'
        f'<span class="file" title="{text(card.part)}">{text(card.part)}</span>'
        f'<span class="where">{text(" · ".join(where))}</span></figcaption></figure>'
    )


def _names(title: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = [*names[:LISTED]]
    if more := len(names) - len(shown):
        shown.append(f"and {more:,} more")
    items = "".join(f"<li>{text(name)}</li>" for name in shown)
    return (
        f'<section><h2>{text(title)} <span class="count">{len(names):,}</span></h2>'
        f'<ul class="names">{items}</ul></section>'
    )
