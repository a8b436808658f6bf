"""A picture with the answer it must get, kept in the model so that any client can replay it.

The picture is generated, so no customer's part travels with a model. It goes the whole way: depth
and window, resize or tiles, padding, the graph.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.errors import ArtifactError
from blemish.images import Recipe, Window, apply_window, crops
from blemish.inspector import Inspector
from blemish.util.finite import is_finite

RAW, TENSOR = "golden/raw.png", "golden/tensor.png"
_LONGEST = 1024
TOLERANCE = 1e-3  # relative, between runtimes and processors


def golden_members(inspector: Inspector, shape: tuple[int, ...]) -> tuple[dict[str, bytes], float]:
    """The members of the artifact, and the score that the picture gets.

    `raw.png` has about the shape of a training image, in 8 bits or, with a window, in 16;
    `tensor.png` is its first crop as the model sees it.
    """
    window = inspector.recipe.window
    raw = _picture((min(shape[0], _LONGEST), min(shape[1], _LONGEST)), window)
    pixels = raw if window is None else apply_window(raw, window)
    crop = next(iter(crops(pixels, inspector.recipe)))
    members = {RAW: _png(raw), TENSOR: _png(crop.tensor)}
    return members, inspector.look_at(pixels).score


def replay(inspector: Inspector, members: dict[str, bytes], expected: float) -> None:
    """Raise ArtifactError unless the picture still becomes that tensor and gets that score."""
    pixels = pixels_of(members[RAW], inspector.recipe)
    crop = next(iter(crops(pixels, inspector.recipe)))
    if np.abs(crop.tensor.astype(int) - _decode(members[TENSOR])).max() > 1:
        raise ArtifactError(
            f"the preprocessing {json.dumps(asdict(inspector.recipe))} no longer gives the tensor "
            "kept in the model; use the version of blemish that wrote it"
        )
    score = inspector.look_at(pixels).score
    if not (is_finite(expected) and abs(score - expected) <= TOLERANCE * max(1.0, abs(expected))):
        raise ArtifactError(
            f"the model gives the picture kept in it the score {score:.6g} instead of "
            f"{expected:.6g}; its runtime computes something else"
        )


def pixels_of(png: bytes, recipe: Recipe) -> npt.NDArray[np.uint8]:
    """The picture `raw.png` as uint8 RGB [H, W, 3], through the recipe's window if it has one."""
    raw = _decode(png)
    return raw.astype(np.uint8) if recipe.window is None else apply_window(raw, recipe.window)


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


def _decode(png: bytes) -> npt.NDArray[Any]:
    image: Any = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
