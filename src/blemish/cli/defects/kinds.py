"""`blemish defects kinds`: which kinds of real defect to collect, as synthetic ones do not do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.cli import _shared as shared
from blemish.cli.defects import _shared as defects

if TYPE_CHECKING:
    from blemish.audit.defect_coverage import KindCoverage, RealDefect
    from blemish.benchmark.defects.experiment import Experiment
    from blemish.benchmark.defects.unseen_kinds import UnseenKind
    from blemish.benchmark.runner import BenchSummary

HELP = "which kinds of real defect to collect: unlike synthetic ones, and missed when unseen"
STOPPED = "the same command goes on where it stopped"
PICTURE = "unlike.png"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    parser.add_argument(
        "-o", "--out", metavar="DIR", type=Path, required=True, help="folder of results and picture"
    )
    parser.add_argument(
        "--no-training",
        action="store_true",
        help="only compare pictures with synthetic defects; train nothing",
    )
    parser.add_argument(
        "--folds", metavar="K", type=int, default=5, help="in which all kinds are seen; default: 5"
    )
    defects.add_runs(parser)


def run(options: argparse.Namespace) -> int:
    """Compare, write the picture, train with each kind left out; 1 where trainings failed."""
    from blemish.audit.defect_coverage import coverage_by_kind
    from blemish.benchmark.defects import unseen_kinds

    experiment = defects.experiment(options)
    plan = None if options.no_training else unseen_kinds.plan_unseen(experiment, options.folds)
    real = _compared(options, experiment)
    kinds = coverage_by_kind(real)
    lines = [*_kind_lines(kinds), f"{options.out / PICTURE}: the real defects least resembled"]
    told: dict[str, Any] = {
        "kinds": [vars(kind) for kind in kinds],
        "parts": [
            {"part": one.part, "kind": one.kind, "image": one.image, "ratio": one.ratio}
            | {"like_synthetic": one.like_synthetic, "like_good": one.like_good}
            for one in real
        ],
    }
    if options.json != "-":
        print("\n".join(lines), flush=True)
    failed = 0
    if plan is not None:
        found, made = _trained(options, experiment, plan)
        told |= {"unseen": [one.to_json() for one in found], "left": made.left}
        failed = len(made.failed)
        if options.json != "-":
            print("\n".join(["", *_unseen_lines(found), *defects.closing(made)]))
    shared.write_json(told, str(options.out / "kinds.json"))
    shared.write_json(told, options.json)
    return int(failed > 0)


def _compared(options: argparse.Namespace, experiment: Experiment) -> list[RealDefect]:
    from blemish.audit.defect_coverage import compare_defects
    from blemish.audit.defect_coverage_sheet import write_sheet
    from blemish.detectors import open_detector, stated
    from blemish.features.backbone import BUNDLED
    from blemish.synthesis import of_same_product, open_generator

    learner = experiment.learner
    detector: Any = open_detector(learner.detector, dict(learner.settings), preset=learner.preset)
    generator = None
    if stated(type(detector), "draws_defects") and detector.generator is not None:
        sources = experiment.data.good().images if of_same_product(detector.generator) else ()
        generator = open_generator(
            detector.generator, preset=detector.generator_preset, sources=sources
        )
    line = shared.ProgressLine(options)
    real = compare_defects(experiment.data, generator, BUNDLED, seed=experiment.seed, progress=line)
    line.end()
    write_sheet(real, options.out / PICTURE)
    return real


def _trained(
    options: argparse.Namespace, experiment: Experiment, plan: Any
) -> tuple[list[UnseenKind], BenchSummary]:
    from blemish.benchmark.defects.unseen_kinds import make_unseen

    with defects.running(options, plan.in_order()) as how:
        return make_unseen(experiment, plan, options.out, **how)


def _kind_lines(kinds: Sequence[KindCoverage]) -> list[str]:
    """Each kind by how many of its parts resemble a synthetic defect, and a sentence."""
    from blemish.benchmark.defects.curve_table import aligned, share

    heads = ["kind", "parts", "like a synthetic one", "nearer to good", "distance, median"]
    rows = [
        [
            *(kind.kind, str(kind.parts), f"{kind.like_synthetic} ({share(kind.share)})"),
            *(str(kind.like_good), f"{kind.ratio:.2f}"),
        ]
        for kind in kinds
    ]
    first = [kind.kind for kind in kinds if kind.share < 0.5]
    said = "Most parts of every kind are like some synthetic defect."
    if first:
        said = (
            f"Collect these first, which are mostly unlike any synthetic one: {', '.join(first)}."
        )
    return [*aligned([heads, *rows], left=1), said]


def _unseen_lines(found: Sequence[UnseenKind]) -> list[str]:
    from blemish.benchmark.defects.curve_table import NONE, aligned, count, share, within

    heads = ["kind", "parts", "caught unseen", "95 %", "caught seen", "95 %", "FPR unseen", "seen"]
    rows = []
    for one in found:
        row = [one.kind, str(one.unseen.caught()[1])]
        for rates in (one.unseen, one.seen):
            if rates is None:
                row += [NONE, NONE]
                continue
            caught, _ = rates.caught()
            row += [f"{count(caught)} ({share(rates.recall())})", within(rates.recall_interval())]
        for rates in (one.unseen, one.seen):
            rejected, good = (0.0, 0) if rates is None else rates.false_rejects()
            row.append(share(rejected / good) if good else NONE)
        rows.append(row)
    if not rows:
        return ["No kind has been left out yet."]
    proven = [one.kind for one in found if (c := one.change) and c.proven and c.after > c.before]
    said = "For no kind can these parts prove that seeing it raises its recall."
    if proven:
        said = f"Seeing the kind raises its recall, as these parts prove: {', '.join(proven)}."
    return [*aligned([heads, *rows], left=1), said]
