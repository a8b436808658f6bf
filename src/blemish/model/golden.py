"""A picture with the answer it must get, kept in the model so that any client can replay it.

The picture is generated, so no customer's part travels with a model. It goes the whole way: depth
and window, resize or tiles, padding, the graph.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import asdict
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.errors import ArtifactError, BlemishError
from blemish.images import Recipe, Window, apply_window, crops
from blemish.images.formats import NotRead
from blemish.images.formats import png as png_format
from blemish.model.artifact import Artifact
from blemish.util.finite import is_finite

RAW, TENSOR = "golden/raw.png", "golden/tensor.png"
LONGEST = 1024
TOLERANCE = 1e-3  # relative, between runtimes and processors

Pixels = npt.NDArray[np.uint8]
Score = Callable[[Pixels], float]
"""The score of uint8 pixels [H, W, 3] that have gone through the window."""


def golden_members(
    recipe: Recipe, score: Score, shape: tuple[int, ...]
) -> tuple[dict[str, bytes], float]:
    """The members of the artifact, and the score that the picture gets.

    `raw.png` has about the shape of a training image, in 8 bits or, with a window, in 16;
    `tensor.png` is its first crop as the model sees it.
    """
    window = recipe.window
    raw = _picture((min(shape[0], LONGEST), min(shape[1], LONGEST)), window)
    pixels = raw if window is None else apply_window(raw, window)
    crop = next(iter(crops(pixels, recipe)))
    members = {RAW: _png(raw), TENSOR: _png(crop.tensor)}
    return members, score(pixels)


def replay(artifact: Artifact, score: Score) -> None:
    """Raise ArtifactError unless the picture still becomes that tensor and gets that score.

    A model without the picture, which only hands make, has nothing to replay.
    """
    if not artifact.golden:
        return
    path, recipe, expected = artifact.path, artifact.card.recipe, artifact.card.golden_score
    try:
        pixels = golden_picture(artifact)
        crop = next(iter(crops(pixels, recipe)))
        tensor = _decode(artifact, TENSOR, (recipe.height, recipe.width))
        found = score(pixels) if _agree(crop.tensor, tensor) else None
    except ArtifactError:
        raise
    except BlemishError as error:
        raise ArtifactError(f"{path} cannot inspect the picture kept in it: {error}") from error
    if found is None:
        raise ArtifactError(
            f"{path}: the preprocessing {json.dumps(asdict(recipe))} no longer gives the tensor "
            "kept in the model; use the version of blemish that wrote it"
        )
    # Where scores are small, so is the threshold; a score of 0 alone is no scale.
    scale = max(abs(expected), abs(artifact.card.calibration.threshold))
    if not (is_finite(expected) and abs(found - expected) <= TOLERANCE * scale):
        raise ArtifactError(
            f"{path} gives the picture kept in it the score {found:.6g} instead of "
            f"{expected:.6g}; its runtime computes something else"
        )


def golden_picture(artifact: Artifact) -> Pixels:
    """The picture `raw.png` as uint8 RGB [H, W, 3], through the recipe's window if it has one.

    Raises ArtifactError for a model without it, and for a picture that is damaged.
    """
    window = artifact.card.recipe.window
    raw = _decode(artifact, RAW, (LONGEST, LONGEST))
    return raw.astype(np.uint8) if window is None else apply_window(raw, window)


def _agree(tensor: Pixels, kept: npt.NDArray[Any]) -> bool:
    """Whether no value is further than one grey level from the one that was kept."""
    return tensor.shape == kept.shape and int(np.abs(tensor.astype(int) - kept).max()) <= 1


def _picture(size: tuple[int, int], window: Window | None) -> npt.NDArray[Any]:
    """A gradient with rings and noise, RGB [H, W, 3], the same for the same size and window."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    rows, columns = rows / size[0], columns / size[1]
    rings = 0.5 + 0.5 * np.sin(40 * np.hypot(rows - 0.4, columns - 0.6))
    noise = np.random.default_rng(0).random(size, np.float32)
    planes = [0.6 * rows + 0.4 * rings, 0.6 * columns + 0.4 * noise, 0.5 * rings + 0.5 * rows]
    shares = np.stack(planes, axis=2)
    if window is None:
        return (shares * 255).astype(np.uint8)
    low, high = max(window.low, 0), min(window.high, 65535)
    return (low + shares * (high - low)).astype(np.uint16)


def _png(rgb: npt.NDArray[Any]) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def _decode(artifact: Artifact, name: str, most: tuple[int, int]) -> npt.NDArray[Any]:
    """A member as RGB [H, W, 3] of 8 or 16 bits, at most `most` in height and width."""
    png = artifact.members.get(name)
    if png is None:
        raise ArtifactError(
            f"{artifact.path} has no {name}; take the model as it was first written"
        )
    try:
        picture = png_format.picture(BytesIO(png))
        header = picture.header
        # The size first, before anything of that size is there.
        if header.channels == 3 and header.height <= most[0] and header.width <= most[1]:
            return picture.pixels()
    except (NotRead, ValueError, EOFError, OSError, zlib.error):
        pass
    raise ArtifactError(
        f"{artifact.path}: its {name} is damaged; take the model as it was first written"
    )
