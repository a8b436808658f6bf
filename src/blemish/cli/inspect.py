"""`blemish inspect`: pass or reject new parts."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.cli import _shared as shared
from blemish.errors import BlemishError, ImageError
from blemish.util.names import escaped, printable

if TYPE_CHECKING:
    from blemish.inspector import Inspector, Verdict
    from blemish.production.lists import About, Form
    from blemish.production.stream import PartToInspect
    from blemish.report.production_page import ProductionPage

HELP = "pass or reject parts, with heat maps of where"
STOPPED = "lists that were asked for hold the parts inspected until then"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from blemish.production.lists import FORMS, open_form

    parser.add_argument("model", metavar="MODEL", type=Path)
    parser.add_argument("paths", metavar="PATH", type=Path, nargs="*", help="images or folders")
    parser.add_argument(
        "--stdin",
        action="store_true",
        help="inspect also what standard input names, a path a line, as the lines come",
    )
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
    for name in FORMS.own_names():
        form = open_form(name)
        parser.add_argument(f"--{name}", metavar="FILE", type=Path, help=form.HELP)
    parser.add_argument("--heatmaps", metavar="DIR", type=Path, help="a picture for every image")
    parser.add_argument(
        "--copy-rejects", metavar="DIR", type=Path, help="copy the pictures of rejected parts there"
    )
    parser.add_argument(
        "--report", metavar="DIR", type=Path, help="write DIR/report.html: rejects first"
    )


def run(options: argparse.Namespace) -> int:
    """Inspect every part; the exit code tells errors, not verdicts."""
    from blemish.inspector import Inspector
    from blemish.production.entry import Entry
    from blemish.production.totals import Totals

    lists = _lists(options)
    inspector = Inspector.open(options.model)
    if options.category is not None:
        inspector = inspector.of_category(options.category)
    silent = "-" in (options.json, str(options.jsonl))
    totals, faults, stopped = Totals(), _Faults(), False
    verdicts: list[dict[str, Any]] = []
    drawn: dict[str, int] = {}
    with ExitStack() as stack:
        outputs = [
            stack.enter_context(form.write(path, _about(options, inspector)))
            for form, path in lists
        ]
        page = None if options.report is None else _page(options, inspector)
        try:
            for one in _parts(options):
                verdict = _verdict(inspector, one)
                entry = Entry(verdict, inspector.graph, one.taken)
                totals.add(entry)
                if options.json is not None:
                    verdicts.append(entry.to_json())
                if not silent:
                    print(_line(verdict.to_json()), flush=True)
                for output in outputs:
                    output.add(entry)
                if page is not None:
                    page.add(entry)
                faults.add([view.reason for view in verdict.views if view.reason is not None])
                faults.add(_picture_faults(verdict, inspector, options, drawn))
        except KeyboardInterrupt:  # what was inspected until then is inspected
            stopped = True
        for output in outputs:
            output.end(totals)
    shared.write_json(verdicts, options.json)
    if page is not None:
        page.write(totals)
    if stopped:
        raise KeyboardInterrupt
    if not silent and totals.parts > 1:
        print("\n".join(map(printable, totals.lines())))
    faults.refuse()
    return 0


@dataclass
class _Faults:
    """What could not be used: the first reason, and how many there are."""

    first: str = ""
    number: int = 0

    def add(self, reasons: Sequence[str]) -> None:
        self.first = self.first or "".join(reasons[:1])
        self.number += len(reasons)

    def refuse(self) -> None:
        if self.number:
            others = self.number - 1
            more = f" ({others} more file{'s' * (others > 1)} could not be used)" if others else ""
            raise ImageError(self.first + more)


def _lists(options: argparse.Namespace) -> list[tuple[Form, Path]]:
    """The forms and files of the lists that are asked for; BlemishError where they clash."""
    from blemish.production.lists import FORMS, open_form

    if not options.paths and not options.stdin:
        raise BlemishError("name pictures or folders to inspect, or --stdin")
    if options.stdin and options.parts is not None:
        raise BlemishError(
            "--parts tells the parts of pictures that are known before; with --stdin say "
            "--part-pattern"
        )
    asked = {name: path for name in FORMS.own_names() if (path := getattr(options, name))}
    files = {f"--{name}": str(path) for name, path in asked.items()}
    if options.json is not None:
        files["--json"] = options.json
    places: dict[str, str] = {}
    for option, file in files.items():
        place = file if file == "-" else os.path.realpath(file)
        if (other := places.setdefault(place, option)) != option:
            raise BlemishError(f"{other} and {option} both write {file}; name two files")
    for name, path in asked.items():
        suffix = open_form(name).SUFFIX
        if str(path) == "-":
            if name != "jsonl":
                raise BlemishError(f"--{name} writes a file, and - is none; name one")
        elif path.suffix.lower() != suffix:
            raise BlemishError(f"--{name} {path} must end in {suffix}, as what it writes does")
    if options.copy_rejects is not None:
        from blemish.production.rejects import refuse_inside

        refuse_inside(options.copy_rejects, options.paths)
    return [(open_form(name), path) for name, path in asked.items()]


def _about(options: argparse.Namespace, inspector: Inspector) -> About:
    from blemish.production.lists import About

    return About(
        model=options.model.name,
        model_sha256=inspector.name,
        graph_sha256=inspector.graph,
        threshold=inspector.threshold,
        promise=inspector.calibration.limit.sentence(),
    )


def _page(options: argparse.Namespace, inspector: Inspector) -> ProductionPage:
    from blemish.report.production_page import ProductionPage

    return ProductionPage(options.report, inspector, options.model.name)


def _parts(options: argparse.Namespace) -> Iterator[PartToInspect]:
    """The parts at the paths, with progress where verdicts go to files; then those of the lines."""
    from blemish.dataset.folder_meaning import sentence
    from blemish.dataset.inspection_images import open_whatever_is_there
    from blemish.production.stream import parts_of, parts_of_lines
    from blemish.util.progress import Progress

    if options.paths:
        shared.tell_left_out(options.paths)
        found = open_whatever_is_there(
            options.paths, parts=options.parts, part_pattern=options.part_pattern
        )
        if found.images is not None and any(map(os.path.isdir, options.paths)):
            print(printable(sentence(found.images)), file=sys.stderr, flush=True)
        total = len(found.refused)
        total += 0 if found.images is None else len(found.images.parts)
        progress = shared.ProgressLine(options)
        progress.silent |= sys.stdout.isatty()  # which shows the verdicts themselves
        for done, one in enumerate(parts_of(found), 1):
            yield one
            progress(Progress("inspecting", done, total))
        progress.end()
    if options.stdin:
        yield from parts_of_lines(sys.stdin.buffer, options.part_pattern)


def _verdict(inspector: Inspector, one: PartToInspect) -> Verdict:
    if one.images:
        return inspector.inspect(one.images, one.part)
    return inspector.unreadable(one.part, one.reason)


def _picture_faults(
    verdict: Verdict, inspector: Inspector, options: argparse.Namespace, used: dict[str, int]
) -> list[str]:
    """Write heat maps and copies of a part; what could not be written, or was gone by then."""
    faults = []
    if options.heatmaps is not None:
        from blemish.report import write_heatmaps

        try:
            write_heatmaps(verdict, inspector, options.heatmaps, used)
        except BlemishError as error:
            faults.append(str(error))
    if options.copy_rejects is not None:
        from blemish.production.rejects import copy_reject

        faults += copy_reject(verdict, options.copy_rejects)
    return faults


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
