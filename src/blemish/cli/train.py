"""`blemish train`: from good pictures to a model with a threshold that keeps its promise."""

from __future__ import annotations

import argparse
from pathlib import Path

from blemish.cli import _shared as shared

HELP = "learn a part from pictures of good ones and write a model"
STOPPED = "--resume goes on where it stopped"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    shared.add_data(parser)
    parser.add_argument("-o", "--out", metavar="MODEL", type=Path, required=True)
    parser.add_argument("--detector", metavar="NAME", help="see `blemish detectors`")
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
        "--tile", metavar="N", type=int, help="learn from overlapping N x N tiles of large images"
    )
    shared.add_promise(parser)
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
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    parser.add_argument("--budget", metavar="TIME", help="stop after 90s, 10m or 1h; see --resume")
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished training")
    parser.add_argument("--cache", metavar="DIR", type=Path, help="folder for features")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Train; 1 when --strict and the promise is not proven."""
    from blemish.calibration.promise import from_text
    from blemish.features.cache import default_folder
    from blemish.training import Plan, train

    given = {
        "detector": options.detector,
        "size": options.size,
        "resize": options.resize,
        "crop": options.crop,
        "tile": options.tile,
        "hold_out": None if options.hold_out is None else from_text(options.hold_out),
    }
    plan = Plan(
        preset=options.preset,
        settings=shared.settings(options),
        promise=shared.promise(options),
        cross_fit=options.cross_fit,
        view_scales=options.view_scales,
        seed=options.seed,
        cache=options.cache or default_folder(),
        **{key: value for key, value in given.items() if value is not None},
    )
    progress = shared.ProgressLine(options)
    trained = train(
        shared.open_data(options),
        options.out,
        plan,
        budget=None if options.budget is None else shared.duration(options.budget),
        resume=options.resume,
        progress=progress,
    )
    progress.end()
    shared.write_json(trained.card, options.json)
    if options.json != "-":
        data = trained.card["data"]["trained_on"]
        print(
            f"{trained.path}: learnt from {data['images']} images of {data['parts']} good parts "
            f"in {trained.seconds:.0f} s."
        )
        if trained.unfinished:
            print(f"The budget ended its training after {trained.unfinished}: --resume goes on.")
        print("\n".join(shared.promises(trained)))
    return int(options.strict and trained.provisional)
