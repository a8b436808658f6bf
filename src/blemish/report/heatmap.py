"""Heat maps: the anomaly map over every inspected image, in the image's own pixels."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from blemish.images import read_rgb
from blemish.inspector import Inspector, Verdict
from blemish.report.thumbnails import ColourScale, overlay
from blemish.util.files import harmless, inside, replacing


def write_heatmaps(verdict: Verdict, inspector: Inspector, folder: Path) -> list[Path]:
    """Write `<part>_<image>.png` for each image file of a part; returns the files.

    A part that is named after its only image gives `<part>.png`, without the image's suffix.

    One colour scale for all pictures of a model: nothing at half the map threshold, brightest at
    twice. Regions are outlined and their peaks marked. Raises ArtifactError when the folder cannot
    be written.
    """
    level = inspector.calibration.map_threshold
    scale = ColourScale(0.5 * level, 2 * level)
    files = []
    for result in verdict.views:
        image = Path(result.image)
        bgr = overlay(read_rgb(image, inspector.recipe.window), result.look.map, scale)
        for region in result.regions:
            top, left, bottom, right = region.box
            cv2.rectangle(bgr, (left, top), (right - 1, bottom - 1), (255, 255, 255), 1)
            cv2.drawMarker(bgr, region.peak[::-1], (255, 255, 255), cv2.MARKER_CROSS, 12)
        path = inside(folder, f"{harmless(_name(verdict.part, image))}.png")
        with replacing(path) as file:
            file.write(np.asarray(cv2.imencode(".png", bgr)[1]).tobytes())
        files.append(path)
    return files


def _name(part: str, image: Path) -> str:
    if part in ("", str(image)):
        return image.stem
    if PurePosixPath(part).name == image.name:
        return part.removesuffix(image.suffix)
    return f"{part}_{image.stem}"
