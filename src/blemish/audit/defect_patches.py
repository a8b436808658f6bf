"""Patches of 128 pixels: around marked defects, and on good images, with a drawn defect or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from blemish.dataset.scaled_images import ScaledImage, ScaledImages
from blemish.features.backbone import open_backbone
from blemish.features.session import open_session
from blemish.graph.join import trunk
from blemish.synthesis import Generator
from blemish.util.progress import Progress, ShowProgress

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

SIDE = 128  # pixels of a patch
LAYER = "block10"
TRIES = 10  # for a drawn defect to be visible
BATCH = 16
SPOT = 1  # cells around one that departs


@dataclass(frozen=True, eq=False)
class Patch:
    """RGB uint8 [128, 128, 3], and where its defect lies, bool [128, 128]; all False: unknown."""

    pixels: Pixels
    mask: Mask


@dataclass(frozen=True, eq=False)
class PatchEncoder:
    """Encodes patches with a frozen backbone, up to one layer."""

    backbone: str

    @cached_property
    def _run(self) -> Callable[[Pixels], npt.NDArray[np.float32]]:
        backbone = open_backbone(self.backbone)
        backbone.layer(LAYER)
        session = open_session(trunk(backbone.path, [LAYER]))
        return lambda images: session.run([LAYER], {"image": images})[0]

    def __call__(self, patches: Sequence[Patch]) -> npt.NDArray[np.float32]:
        """Features float32 [n, h, w, C] of these patches."""
        groups = [patches[i : i + BATCH] for i in range(0, len(patches), BATCH)]
        found = [self._run(np.stack([patch.pixels for patch in group])) for group in groups]
        return np.concatenate(found).transpose(0, 2, 3, 1)


def draw_defects(
    good: ScaledImages,
    generator: Generator,
    count: int,
    rng: np.random.Generator,
    progress: ShowProgress | None,
) -> tuple[list[Patch], list[Patch]]:
    """Patches with a synthetic defect drawn on them, and the same patches before."""
    after: list[Patch] = []
    before: list[Patch] = []
    for number in range(count):
        for _ in range(TRIES):
            patch = random_patch(good[number % len(good)], rng)
            made = generator(patch.pixels, rng)
            if made.mask.any():
                after.append(Patch(made.image, made.mask))
                before.append(patch)
                break
        if progress:
            progress(Progress("drawing defects", number + 1, count))
    return after, before


def random_patch(picture: ScaledImage, rng: np.random.Generator) -> Patch:
    """A patch at a random position of an image."""
    high, wide = picture.pixels.shape[:2]
    return cut_patch(
        picture, int(rng.integers(high - SIDE + 1)), int(rng.integers(wide - SIDE + 1))
    )


def marked_patches(picture: ScaledImage) -> list[Patch]:
    """The patch around the largest connected piece of the mask; none without a mask."""
    if not picture.spots:
        return []
    spot = max(picture.spots, key=len)
    middle = (spot.min(axis=0) + spot.max(axis=0) + 1) // 2
    middle = spot[((spot - middle) ** 2).sum(axis=1).argmin()]  # of a ring, on the ring
    top, left = (
        int(min(max(0, place - SIDE // 2), side - SIDE))
        for place, side in zip(middle, picture.pixels.shape[:2], strict=True)
    )
    patch = cut_patch(picture, top, left)
    inside = spot - [top, left]
    inside = inside[((inside >= 0) & (inside < SIDE)).all(axis=1)]
    patch.mask[inside[:, 0], inside[:, 1]] = True
    return [patch]


def cell_mask(row: int, column: int, stride: int) -> Mask:
    """A cell of a patch and its neighbours, as a mask in pixels."""
    mask = np.zeros((SIDE, SIDE), bool)
    top, left = (max(0, place - SPOT) * stride for place in (row, column))
    mask[top : (row + SPOT + 1) * stride, left : (column + SPOT + 1) * stride] = True
    return mask


def overlapping_starts(side: int) -> list[int]:
    """First pixels of the patches that cover a side, each overlapping half of the one before."""
    return sorted({*range(0, side - SIDE, SIDE // 2), side - SIDE})


def cut_patch(picture: ScaledImage, top: int, left: int) -> Patch:
    """The patch of an image with this top left pixel, its defect unknown."""
    pixels = picture.pixels[top : top + SIDE, left : left + SIDE]
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return Patch(np.ascontiguousarray(rgb), np.zeros((SIDE, SIDE), bool))
