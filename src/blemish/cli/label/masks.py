"""`blemish label masks`: masks of defects from a few strokes of a person."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from blemish.cli import _shared as shared

if TYPE_CHECKING:
    from blemish.prepare.mask_making import MaskSummary

log = logging.getLogger("blemish")

HELP = "make masks from a few strokes drawn on the images"
STOPPED = "the same command goes on where it stopped"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("images", metavar="IMAGES", type=Path, help="a folder of images")
    parser.add_argument(
        "--scribbles",
        metavar="DIR",
        type=Path,
        required=True,
        help="PNG overlays named like their images: red is defect, green background",
    )
    parser.add_argument(
        "-o", "--out", metavar="DIR", type=Path, required=True, help="a folder for the masks"
    )
    parser.add_argument(
        "--all", action="store_true", help="masks of the images without scribbles too"
    )
    shared.add_settings(parser, "mask")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Make the masks, and say what to look at."""
    from dataclasses import asdict

    from blemish.dataset.label_words import name_some
    from blemish.prepare.mask_making import make_masks
    from blemish.prepare.mask_settings import MaskSettings
    from blemish.prepare.scribbles_matching import match_scribbles
    from blemish.util.settings import with_settings

    chosen = with_settings("label masks", MaskSettings(), shared.settings(options))
    shared.tell_left_out([options.images, options.scribbles])
    matched = match_scribbles(options.images, options.scribbles, options.out)
    if matched.lost:
        lost = name_some([path.as_posix() for path in matched.lost])
        log.warning("%d scribbles have no image: %s", len(matched.lost), lost)
    line = shared.ProgressLine(options)
    made = make_masks(matched, options.out, chosen, every=options.all, progress=line)
    line.end()
    told = {"settings": asdict(chosen), "scribbled": sorted(matched.scribbles)}
    shared.write_json({**asdict(made), "sheet": made.sheet.as_posix(), **told}, options.json)
    if options.json != "-":
        print("\n".join(summary(made, options.out)))
    return 0


def summary(made: MaskSummary, out: Path) -> list[str]:
    """What was made, as a few lines for a person."""
    lines = [f"{out}: {len(made.made)} masks made, {len(made.kept)} kept from before"]
    if made.changed:
        lines.append(
            f"{len(made.changed)} masks were changed by hand and are left as they are; remove "
            "them to have them made anew"
        )
    if made.empty:
        lines.append(f"{len(made.empty)} masks are empty")
    lines.append(f"look at {made.sheet}")
    return lines
