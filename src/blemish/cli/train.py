"""`blemish train`: train on good images, and calibrate the threshold on held-out parts."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.cli import _shared as shared
from blemish.errors import BlemishError

if TYPE_CHECKING:
    from blemish.dataset import Dataset
    from blemish.training import Plan, Start, Trained

log = logging.getLogger("blemish")

HELP = "learn a part from pictures of good ones and write a model"
STOPPED = "--resume goes on where it stopped"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    parser.add_argument("-o", "--out", metavar="MODEL", type=Path, required=True)
    parser.add_argument("--detector", metavar="NAME", help="or a .py file; see `blemish detectors`")
    parser.add_argument("--preset", metavar="NAME", help="the detector's settings by name")
    shared.add_settings(parser, "detector")
    parser.add_argument("--size", metavar="N", type=int, help="side of the model's input, pixels")
    parser.add_argument(
        "--resize", choices=("squash", "pad"), help="squash to a square, or keep the aspect ratio"
    )
    parser.add_argument(
        "--crop",
        metavar="N",
        type=int,
        help="of the --size, see only the centre of N x N; a defect at the rim is then missed",
    )
    parser.add_argument(
        "--tile",
        metavar="N",
        type=int,
        help="learn from overlapping N x N tiles of large images; 0: from whole ones, resized",
    )
    shared.add_promise(parser)
    parser.set_defaults(max_fpr=None, confidence=None)
    parser.add_argument(
        "--hold-out", metavar="P", help="share of the good parts kept for the threshold"
    )
    parser.add_argument(
        "--cross-fit",
        metavar="K",
        type=int,
        default=0,
        help="estimate the threshold from K folds instead of holding parts out (proves nothing)",
    )
    parser.add_argument(
        "--view-scales",
        action="store_true",
        help="learn the scale of each view's scores too, for `evaluate` (twice the time)",
    )
    parser.add_argument("--seed", metavar="N", type=int, help="default: 0")
    parser.add_argument(
        "--from",
        dest="model",
        metavar="MODEL",
        type=Path,
        help="go on from this model, with its detector, settings, seed and promise",
    )
    parser.add_argument(
        "--defects",
        metavar="NEW",
        type=Path,
        help="pictures of real defects to teach MODEL: a folder, with or without one folder for "
        "each kind, masks in ground_truth; or any layout. Several pictures of one scratch are one "
        "part: say so in NEW/parts.csv, or by --part-pattern",
    )
    parser.add_argument("--budget", metavar="TIME", help="stop after 90s, 10m or 1h; see --resume")
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished training")
    parser.add_argument("--cache", metavar="DIR", type=Path, help="folder for features")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Train; 1 when --strict and the promise is not proven."""
    from blemish.training import train
    from blemish.training.replay_buffer import MOST_BYTES, MOST_OF_A_PART, MOST_PARTS

    begin = _warm_start if options.model or options.defects else _fresh_start
    start, plan = begin(options)
    progress = shared.ProgressLine(options)
    data = shared.open_data(options)
    _tell_of_unused_defects(data, plan)
    trained = train(
        data,
        options.out,
        plan,
        start=start,
        budget=None if options.budget is None else shared.duration(options.budget),
        resume=options.resume,
        progress=progress,
    )
    progress.end()
    if trained.not_kept:
        log.warning(
            "%d pictures of defects are learnt but not kept in the model, which holds at most %d "
            "of a part, %d parts and %d MiB: keep their files to teach them again",
            trained.not_kept,
            MOST_OF_A_PART,
            MOST_PARTS,
            MOST_BYTES >> 20,
        )
    shared.write_json(trained.card.to_json(), options.json)
    if options.json != "-":
        print("\n".join(_said(trained, options, start.already)))
    return int(options.strict and trained.provisional)


def _tell_of_unused_defects(data: Dataset, plan: Plan) -> None:
    """Where nothing says which defects train, none does: say how a detector gets them."""
    from blemish.detectors import learns_from_defects

    if not data.has_split and len(data.defective()) and learns_from_defects(plan.detector):
        log.warning(
            "%s can learn from defects too, and learns from none of these: divide them with "
            "`blemish data split %s --protocol supervised -o split.json`, and add "
            "--split split.json",
            plan.detector,
            data.root,
        )


def _fresh_start(options: argparse.Namespace) -> tuple[Start, Plan]:
    """A fresh training, as the options plan it."""
    from blemish.features.cache import default_folder
    from blemish.training import FRESH_START, Plan

    options.max_fpr = options.max_fpr or shared.MAX_FPR
    options.confidence = options.confidence or shared.CONFIDENCE
    given = {
        "detector": options.detector,
        "size": options.size,
        "resize": options.resize,
        "crop": options.crop,
        "tile": options.tile,
        "hold_out": _share(options.hold_out),
        "seed": options.seed,
    }
    plan = Plan(
        preset=options.preset,
        settings=shared.settings(options),
        promise=shared.promise(options),
        cross_fit=options.cross_fit,
        view_scales=options.view_scales,
        cache=options.cache or default_folder(),
        **{key: value for key, value in given.items() if value is not None},
    )
    return FRESH_START, plan


def _warm_start(options: argparse.Namespace) -> tuple[Start, Plan]:
    """The model of a warm start, and the plan of its training."""
    if options.model is None or options.defects is None:
        alone, lacking = ("--from", "--defects") if options.model else ("--defects", "--from")
        raise BlemishError(
            f"{alone} needs {lacking}: a model, and pictures of real defects to teach it"
        )
    from blemish.dataset.defect_images import open_defects
    from blemish.detectors import DETECTORS
    from blemish.features.cache import default_folder
    from blemish.training.warm_start import open_warm_start, plan_of

    shared.tell_left_out([options.defects])
    defects = open_defects(
        options.defects, part_pattern=options.part_pattern, category=options.category
    )
    if options.detector is not None:  # the model of one from outside names it by its hash too
        options.detector = DETECTORS.label(options.detector)
    start = open_warm_start(options.model, defects)
    given: dict[str, Any] = {
        f"--{name.replace('_', '-')}": getattr(options, name)
        for name in ("detector", "size", "resize", "crop", "tile", "seed")
    }
    given |= {
        "--max-fpr": _share(options.max_fpr),
        "--confidence": _share(options.confidence),
        "--cross-fit": options.cross_fit,
        "--view-scales": options.view_scales,
    }
    plan = plan_of(
        start,
        given,
        settings=shared.settings(options),
        preset=options.preset,
        hold_out=_share(options.hold_out),
        cache=options.cache or default_folder(),
    )
    return start, plan


def _share(text: str | None) -> float | None:
    from blemish.calibration.promise import from_text

    return None if text is None else from_text(text)


def _said(trained: Trained, options: argparse.Namespace, already: int) -> list[str]:
    """What the training came to, for a person."""
    from blemish.training.model_comparison import sentences

    learnt, path = trained.card.data.trained_on, trained.path
    lines = [
        f"{path}: learnt from {learnt.images} images of "
        f"{learnt.parts} good parts{_and_taught(trained)} "
        f"in {trained.seconds:.0f} s."
    ]
    if trained.unfinished:
        lines.append(f"The budget ended its training after {trained.unfinished}: --resume goes on.")
    before, comparison = trained.card.continued_from, trained.comparison
    if before is not None and comparison is not None:
        each = ", ".join(f"{parts} {kind}" for kind, parts in before.defects.items())
        if sum(before.defects.values()) > before.taught:
            each += ": some show several kinds"
        more = f"It learnt {_parts(before.taught)} more than {options.model} ({each})"
        skipped = f"; {already} pictures of {options.defects} were taught before" * bool(already)
        lines.append(f"{more}{skipped}.")
        lines += sentences(comparison, options.data)
    if kept := trained.card.defects:
        parts = len({entry.part for entry in kept})
        lines.append(
            f"The model keeps {len(kept)} pictures of {_parts(parts)}, to be taught more later: "
            "whoever gets the file gets them."
        )
    return lines + shared.promises(trained)


def _and_taught(trained: Trained) -> str:
    """The defective parts that the data set itself taught; those of `--defects` are told apart."""
    taught = trained.card.data.taught
    return (
        "" if taught is None or trained.comparison is not None else f" and {_parts(taught.parts)}"
    )


def _parts(number: int) -> str:
    return f"{number} defective part{'s' * (number != 1)}"
