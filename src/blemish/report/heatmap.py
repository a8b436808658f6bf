"""Heat maps: the anomaly map over every inspected image, in the image's own pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from blemish.dataset.file_names import free_name
from blemish.errors import BlemishError
from blemish.images import read_rgb
from blemish.inspector import Inspector, Region, Verdict
from blemish.report.thumbnails import ColourScale, overlay
from blemish.util.files import harmless, inside, replacing


def write_heatmaps(
    verdict: Verdict, inspector: Inspector, folder: Path, used: dict[str, int] | None = None
) -> list[Path]:
    """Write `<part>_<image>.png` for each image file of a part that was read; returns the files.

    A part that is named after its only image gives `<part>.png`, without the image's suffix. A name
    that is in `used` gets a number, and is then in it.

    One colour scale for all pictures of a model: nothing at half the map threshold, brightest at
    twice. Regions are outlined and their peaks marked. Writes all that can be written before it
    raises BlemishError for one that cannot be: no place for it, or an image that is gone.
    """
    level = inspector.calibration.map_threshold
    scale = ColourScale(0.5 * level, 2 * level)
    used = {} if used is None else used
    files: list[Path] = []
    errors: list[BlemishError] = []
    for result in verdict.views:
        if result.look is None:
            continue
        image = Path(result.image)
        name = free_name(harmless(_name(verdict.part, image)), used)
        try:
            path = inside(folder, f"{name}.png")
            rgb = read_rgb(image, inspector.recipe.window)
            _write(path, overlay(rgb, result.look.map, scale), result.regions)
        except BlemishError as error:
            errors.append(error)
        else:
            files.append(path)
    if errors:
        raise errors[0]
    return files


def _write(path: Path, bgr: NDArray[np.uint8], regions: Sequence[Region]) -> None:
    for region in regions:
        top, left, bottom, right = region.box
        cv2.rectangle(bgr, (left, top), (right - 1, bottom - 1), (255, 255, 255), 1)
        cv2.drawMarker(bgr, region.peak[::-1], (255, 255, 255), cv2.MARKER_CROSS, 12)
    with replacing(path) as file:
        file.write(np.asarray(cv2.imencode(".png", bgr)[1]).tobytes())


def _name(part: str, image: Path) -> str:
    if part in ("", str(image)):
        return image.stem
    if PurePosixPath(part).name == image.name:
        return part.removesuffix(image.suffix)
    return f"{part}_{image.stem}"
