"""Pictures of a weave, good ones and ones with a weak defect, that a detector must tell apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from blemish.images import Recipe, unfit

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
Size = tuple[int, int]

DEFECT = 8  # side in pixels
MARGIN = 2 * DEFECT  # to the edge, where a backbone's zero padding draws the map's peak
STRENGTH = 3 * 1.4826  # times the local MAD: three standard deviations, were the texture Gaussian


def good_pictures(count: int, size: int | Size, seed: int) -> Pixels:
    """Pictures [count, h, w, 3] of a grey weave, each shifted and grainy in its own way.

    `size` is their side, or height and width.
    """
    rng = np.random.default_rng(seed)
    return np.stack([_pixels(_weave(rng, _both(size))) for _ in range(count)])


def defective_pictures(count: int, size: int | Size, seed: int) -> tuple[Pixels, list[Box]]:
    """The same weave with one square each that is too bright or too dark, and where it lies.

    The square's side is `DEFECT`, its step `STRENGTH` times the MAD of what lies within `DEFECT`
    pixels of it; it stays `MARGIN` pixels off the edge. Boxes are (top, left, bottom, right).
    """
    rng = np.random.default_rng(seed)
    planted = [_plant(rng, _weave(rng, _both(size))) for _ in range(count)]
    return np.stack([_pixels(texture) for texture, _ in planted]), [box for _, box in planted]


def peaks_inside(map_: Floats, box: Box, recipe: Recipe) -> bool:
    """Whether a map's largest value lies in the box, grown by one cell of the map's grid."""
    whole = np.array([0, 0, recipe.height, recipe.width])
    pixels = unfit(map_, whole, recipe, (recipe.height, recipe.width))
    row, column = divmod(int(pixels.argmax()), recipe.width)
    down, across = recipe.height / map_.shape[0], recipe.width / map_.shape[1]
    top, left, bottom, right = box
    return bool(top - down <= row < bottom + down and left - across <= column < right + across)


def _both(size: int | Size) -> Size:
    return (size, size) if isinstance(size, int) else size


def _weave(rng: np.random.Generator, size: Size) -> Floats:
    rows, columns = np.indices(size) * (2 * np.pi / DEFECT)
    down, right = rng.uniform(0, 2 * np.pi, 2)
    threads = 12 * np.sin(rows + down) * np.sin(columns + right)
    grey = 128 + threads + rng.normal(0, 2, size)
    return np.asarray(grey, np.float32)


def _plant(rng: np.random.Generator, texture: Floats) -> tuple[Floats, Box]:
    last = np.array(texture.shape) - MARGIN - DEFECT
    top, left = (int(start) for start in rng.integers(MARGIN, last, endpoint=True))
    bottom, right = top + DEFECT, left + DEFECT
    around = texture[top - DEFECT : bottom + DEFECT, left - DEFECT : right + DEFECT]
    mad = np.median(np.abs(around - np.median(around)))
    texture[top:bottom, left:right] += rng.choice([-1, 1]) * STRENGTH * mad
    return texture, (top, left, bottom, right)


def _pixels(texture: Floats) -> Pixels:
    grey = np.clip(np.rint(texture), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
