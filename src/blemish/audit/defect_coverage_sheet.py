"""A contact sheet of the least covered real defects, each beside its nearest synthetic one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2

from blemish.audit.defect_coverage import RealDefect
from blemish.audit.defect_patches import Patch
from blemish.synthesis.contact_sheet import RGB, fitted, outlined, sheet
from blemish.util.files import replacing

HEADS = ("real", "real, marked", "nearest synthetic", "nearest synthetic, marked")
SHOWN = 12


def coverage_sheet(defects: Sequence[RealDefect]) -> RGB:
    """The first `SHOWN` defects, one per row: RGB uint8 [h, w, 3]."""
    return sheet(HEADS, ((_cells(defect), _caption(defect)) for defect in defects[:SHOWN]))


def write_sheet(defects: Sequence[RealDefect], path: Path) -> None:
    """Write the sheet as PNG. Raises ArtifactError when it cannot be written."""
    with replacing(path) as file:
        file.write(cv2.imencode(".png", coverage_sheet(defects)[..., ::-1])[1].tobytes())


def _cells(defect: RealDefect) -> list[RGB]:
    return [cell for patch in (defect.shown, defect.nearest) for cell in _pair(patch)]


def _pair(patch: Patch) -> list[RGB]:
    return [fitted(patch.pixels), outlined(patch.pixels, patch.mask)]


def _caption(defect: RealDefect) -> str:
    told = f"{defect.ratio:.2f} times as far as is usual between synthetic ones"
    also = "; a good patch is nearer" if defect.like_good else ""
    return f"{defect.kind}: {defect.part}: {told}{also}"
