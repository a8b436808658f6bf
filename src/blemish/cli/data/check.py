"""`blemish data check`: what is wrong with a data set, before training on it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from blemish.cli import _shared as shared
from blemish.util.names import escaped

if TYPE_CHECKING:
    from blemish.dataset import Finding

HELP = "list what is wrong with a data set"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    parser.add_argument("--strict", action="store_true", help="exit 1 on any finding")
    parser.add_argument("--quick", action="store_true", help="do not decode the images")
    parser.add_argument(
        "--limit", metavar="N", type=int, default=5, help="lines per kind of finding (default: 5)"
    )
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print findings by severity; 1 for an error, and with --strict for any finding."""
    import time
    from dataclasses import asdict

    from blemish.dataset import findings
    from blemish.dataset.check import by_severity, of_kind
    from blemish.dataset.pixel_checks import audit
    from blemish.dataset.published_counts import published_counts
    from blemish.dataset.shortcuts import by_category
    from blemish.dataset.stray_pictures import stray_findings
    from blemish.dataset.survey import survey

    data = shared.open_data(options, any_name=True)
    training = len(data.split("train")) > 0
    cues, rate = None, None
    if options.quick:
        found = findings(data, training=training)
    else:
        progress, start = shared.ProgressLine(options), time.perf_counter()
        seen = audit(data, survey(data, progress=progress), training=training, progress=progress)
        progress.end()
        rate = len(data) / (time.perf_counter() - start)
        found, cues = seen.findings, by_category(seen.shortcuts)
    found = by_severity([*found, *stray_findings(data)])
    if getattr(options, "split", None) is None:  # a split of one's own leaves images out
        found = by_severity([*found, *of_kind("published counts", published_counts(data))])
    figures = {
        "findings": [asdict(finding) for finding in found],
        "shortcuts": cues,
        "images": len(data),
        "images_per_second": rate,
    }
    shared.write_json(figures, options.json)
    if options.json != "-":
        print("\n".join(summary(found, options.limit)), end="\n" if found else "")
        speed = "" if rate is None else f", {rate:,.0f} images per second"
        print(f"{data.root}: {len(data):,} images, {len(found):,} findings{speed}")
    return int(any(f.severity == "error" for f in found) or (options.strict and bool(found)))


def summary(found: Sequence[Finding], limit: int) -> Iterator[str]:
    """The findings by severity and kind, the first few of each kind in full."""
    for severity, of_severity in groupby(found, key=lambda finding: finding.severity):
        kinds: dict[str, list[Finding]] = {}
        for finding in of_severity:
            kinds.setdefault(finding.kind, []).append(finding)
        for kind, members in kinds.items():
            yield f"{severity}: {kind} ({len(members):,})"
            yield from (f"  {escaped(finding.message)}" for finding in members[:limit])
            if len(members) > limit:
                yield f"  and {len(members) - limit:,} more"
