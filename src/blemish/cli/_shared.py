"""Arguments that several verbs take, the progress line, and JSON output."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from blemish.errors import BlemishError
from blemish.util.durations import seconds_of
from blemish.util.names import printable

if TYPE_CHECKING:
    from blemish.calibration.promise import Promise
    from blemish.dataset import Dataset, Finding
    from blemish.features.backbone import Backbone
    from blemish.images.listing import FolderContents
    from blemish.training import Trained
    from blemish.util.progress import Progress

log = logging.getLogger("blemish")

MAX_FPR, CONFIDENCE = "1%", "95%"
NAME_OPTIONS = ("--good", "--defect")  # each takes one name or several

_NO_ASCII = re.compile(r"[^\x00-\x7e]")


def add_data(parser: argparse.ArgumentParser, name: str = "DATA") -> None:
    """Add the data argument and the options on how to read it."""
    parser.add_argument(name.lower(), metavar=name, type=Path, help="a folder, .csv, .parquet, .h5")
    parser.add_argument("--category", metavar="C", help="one category of a set with several")
    parser.add_argument("--layout", metavar="L", help="read DATA as this layout, or by a .py file")
    parser.add_argument(
        "--split", metavar="FILE", type=Path, help="use this file of `blemish data split`"
    )
    for option, what in (NAME_OPTIONS[0], "are good"), (NAME_OPTIONS[1], "show defects"):
        parser.add_argument(
            option,
            dest=f"{option[2:]}_folders",
            metavar="NAME",
            action="append",
            default=[],
            help=f"folders below {name} whose pictures {what}, by name or path",
        )
    add_parts(parser)


def add_parts(parser: argparse.ArgumentParser) -> None:
    """Add the two ways to say which images show one part."""
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--parts", metavar="FILE", type=Path, help="CSV: file, part, view, label")
    parts.add_argument(
        "--part-pattern", metavar="REGEX", help="named groups `part` and `view`, on the path"
    )


def add_promise(parser: argparse.ArgumentParser) -> None:
    """Add the promise on the false-reject rate."""
    parser.add_argument("--max-fpr", metavar="P", default=MAX_FPR, help="default: 1%%")
    parser.add_argument("--confidence", metavar="P", default=CONFIDENCE, help="default: 95%%")
    parser.add_argument(
        "--strict", action="store_true", help="exit 1 when the good parts cannot prove the promise"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json FILE`."""
    parser.add_argument("--json", metavar="FILE", help="write the figures; - is standard output")


def open_data(
    options: argparse.Namespace, path: Path | None = None, *, any_name: bool = False
) -> Dataset:
    """The data set that the options name; its folders, and what is left out of it, are told.

    Raises DatasetError for a picture that is not read for its name, unless `any_name`.
    """
    from blemish.dataset import open_dataset
    from blemish.dataset.check import ensure_named
    from blemish.dataset.folder_meaning import sentence

    place = options.data if path is None else path
    data = open_dataset(
        place,
        layout=getattr(options, "layout", None),
        category=getattr(options, "category", None),
        parts=options.parts,
        part_pattern=options.part_pattern,
        split=getattr(options, "split", None),
        good=getattr(options, "good_folders", ()),
        defect=getattr(options, "defect_folders", ()),
    )
    # Even where --quiet: it is no progress, but what all figures to come rest on.
    print(printable(sentence(data)), file=sys.stderr, flush=True)
    _tell_unused(data)
    if not any_name:
        ensure_named(data)
    return data


def _tell_unused(data: Dataset) -> None:
    """Say on standard error which pictures at the place that was opened are in no row."""
    from blemish.dataset.stray_pictures import (
        like_pictures_sentence,
        place_of,
        stray_pictures,
        stray_sentence,
    )
    from blemish.images.listing import contents

    if data.origin is None or not data.origin.place.is_dir():
        return
    opened = data.origin.place
    found = contents(opened)
    _tell_left_out([found])
    inside = found if place_of(data) == opened else None
    if stray := stray_pictures(data, inside):
        log.warning("%s", stray_sentence(data, stray))
    if found.like_pictures:
        log.warning("%s", like_pictures_sentence(found.like_pictures))


def tell_left_out(places: Iterable[Path]) -> None:
    """Say on standard error how many pictures in these folders are not read, and why."""
    from blemish.images.listing import contents

    # `isdir`, which is false for a name that is too long, and no error.
    folders = [one.absolute() for one in dict.fromkeys(places) if os.path.isdir(one)]  # noqa: PTH112
    outer = [one for one in folders if not any(other in one.parents for other in folders)]
    _tell_left_out([contents(folder) for folder in outer])


def _tell_left_out(found: Iterable[FolderContents]) -> None:
    from blemish.images.listing import left_out_sentence, skipped_sentence

    suffixes: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for one in found:
        suffixes.update(one.left_out)
        skipped.update(one.skipped)
    for sentence in (left_out_sentence(suffixes), skipped_sentence(skipped)):
        if sentence is not None:
            log.warning("%s", sentence)


def tell_findings(findings: Iterable[Finding]) -> None:
    """Say on standard error what a verb found while it worked, as warnings."""
    for finding in findings:
        log.warning("%s", finding.message)


def add_settings(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--set KEY=VALUE`, a setting of `what`."""
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help=f"a {what}'s setting"
    )


def settings(options: argparse.Namespace) -> dict[str, str]:
    """The settings that the options name, as texts."""
    return dict(_setting(text) for text in options.set)


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise BlemishError(f"--set {text} has no value; write it as KEY=VALUE")
    return key.strip(), value.strip()


def promise(options: argparse.Namespace) -> Promise:
    """The promise that the options name."""
    from blemish.calibration.promise import Promise

    return Promise.from_text(options.max_fpr, options.confidence)


def promises(trained: Trained) -> list[str]:
    """The promise of each threshold, pooled over categories first, as lines for a person."""
    lines = [trained.calibration.sentence()]
    if near := trained.card.calibration.near_copies_sentence():
        lines.append(near)
    if trained.categories:
        lines.append("By its own threshold, with --category or in `blemish evaluate`:")
    for name, entry in trained.categories.items():
        parts = "1 good part" if entry.good_parts == 1 else f"{entry.good_parts} good parts"
        proven = "provisional" if entry.provisional else "proven"
        lines.append(
            f"  {name}: threshold {entry.threshold:.4g} from {parts}, at most "
            f"{100 * entry.upper_bound:.3g} % rejected ({proven})"
        )
    return lines


def duration(text: str) -> float:
    """Seconds from the "90", "90s", "10m" or "1.5h" of `--budget`."""
    return seconds_of(text, "--budget")


def backbone_lines(backbone: Backbone) -> list[str]:
    """A backbone's hash and layers, as lines to print."""
    return [f"{backbone.name}  sha256 {backbone.sha256}"] + [
        f"    {layer.name}: {layer.channels} channels, stride {layer.stride}"
        for layer in backbone.layers
    ]


def write_json(values: Any, target: str | None) -> None:
    """Write figures as JSON to a file, or to standard output for "-"; nothing for None."""
    if target is None:
        return
    if target == "-":
        sys.stdout.write(json_text(values, ascii_only=not _takes_unicode(sys.stdout)))
        return
    from blemish.util.files import replacing

    with replacing(Path(target)) as file:
        file.write(json_text(values).encode("utf-8"))


def json_text(values: Any, *, ascii_only: bool = False) -> str:
    """JSON in lines, in which nothing speaks to a terminal, and nothing is no UTF-8."""
    text = json.dumps(values, indent=2, ensure_ascii=ascii_only, allow_nan=False) + "\n"
    return _NO_ASCII.sub(_as_printable_json, text)


def _as_printable_json(match: re.Match[str]) -> str:
    return match[0] if match[0].isprintable() else json.dumps(match[0])[1:-1]


def _takes_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


class ProgressLine:
    """Progress on one line of standard error, with the time left."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.silent = options.quiet or not sys.stderr.isatty()
        self.what = ""
        self.started = self.shown = 0.0

    def __call__(self, progress: Progress) -> None:
        """Show the progress, a few times a second."""
        now = time.monotonic()
        if progress.what != self.what:
            self.end()
            self.what, self.started, self.shown = progress.what, now, 0.0
        last = progress.done >= progress.total
        if self.silent or (now - self.shown < 0.2 and not last):
            return
        self.shown = now
        left = (now - self.started) / max(progress.done, 1) * (progress.total - progress.done)
        text = f"{progress.what}: {progress.done} of {progress.total}, {left:.0f} s left"
        print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Finish the line."""
        if self.what and not self.silent:
            print(file=sys.stderr)
        self.what = ""
