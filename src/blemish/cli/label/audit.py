"""`blemish label audit`: label errors, and the share of hidden defects by random inspection."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from blemish.cli import _shared as shared
from blemish.errors import BlemishError

if TYPE_CHECKING:
    from blemish.audit.rounds import AuditSettings, Round
    from blemish.dataset import Dataset

HELP = "list labels that models of other parts doubt, and apply what a person decides on them"
STOPPED = "the same command goes on where it stopped"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    parser.add_argument(
        "-o", "--out", metavar="DIR", type=Path, required=True, help="folder of the audit"
    )
    parser.add_argument(
        "--groups", metavar="N", type=int, default=3, help="groups of parts (default: 3)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="default: 0")
    parser.add_argument("--detector", metavar="NAME", help="a detector as a further judge")
    parser.add_argument(
        "--list", metavar="P", default="10%", help="share of images to list (default: 10%%)"
    )
    parser.add_argument(
        "--looks",
        metavar="N",
        type=int,
        help="parts called good to draw at random, for the share of hidden defects "
        "(default: 80 of a set of good parts alone, else 0)",
    )
    parser.add_argument("--good-only", action="store_true", help="leave defective images out")
    parser.add_argument("--apply", metavar="FILE", type=Path, help="a filled review list")
    parser.add_argument(
        "--table", metavar="FILE", type=Path, help="corrected table; default: DATA/audited.csv"
    )
    parser.add_argument("--next", action="store_true", help="after --apply, make the next round")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Apply decisions if there are any, then make a round unless only --apply was asked for."""
    from blemish.audit.rounds import apply_decisions, make_round, rounds_summary
    from blemish.report.review_gallery import share_sentence, write_review_gallery

    data = shared.open_data(options)
    settings = _settings(options, data)
    lines: list[str] = []
    if options.next and options.apply is None:
        raise BlemishError("--next goes on after --apply FILE; name the filled review list")
    if options.apply is not None:
        table = options.table or data.root / "audited.csv"
        count = apply_decisions(data, options.out, options.apply, settings, table)
        lines.append(f"{count} decisions applied; corrected table: {table}")
    if options.apply is None or options.next:
        progress = shared.ProgressLine(options)
        made = make_round(data, options.out, settings, progress)
        gallery = write_review_gallery(made, settings.judges, progress)
        progress.end()
        figures = made.figures
        lines += _round_lines(made, gallery)
    else:
        figures = rounds_summary(options.out)
    if share := figures["share_with_looks"]:
        lines.append(share_sentence(share, "looks"))
    if share := figures.get("share_without_looks"):
        lines.append(share_sentence(share, "scores"))
    shared.write_json(figures, options.json)
    if options.json != "-":
        print("\n".join(lines))
    return 0


def _settings(options: argparse.Namespace, data: Dataset) -> AuditSettings:
    from blemish.audit.judge_scores import JudgeSettings
    from blemish.audit.rounds import AuditSettings
    from blemish.features.cache import default_folder

    good_only = options.good_only or not len(data.defective())
    looks = options.looks if options.looks is not None else 80 * good_only
    if looks < 0:
        raise BlemishError(f"--looks {looks} must be 0 or more")
    judges = JudgeSettings(options.groups, options.seed, options.detector, default_folder())
    return AuditSettings(judges, _share(options.list), looks, good_only)


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise BlemishError(f"--list {text} is no share; write it like 10% or 0.1")
    return share


def _round_lines(made: Round, gallery: Path) -> Iterator[str]:
    from blemish.report.review_gallery import round_sentence

    yield f"round {made.number}: {round_sentence(made.figures)}"
    yield f"review list: {made.review}"
    yield f"gallery: {gallery}"
