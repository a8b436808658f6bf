"""A thin strip of the image pasted elsewhere and turned: CutPaste's scar.

After Li et al., "CutPaste: Self-Supervised Learning for Anomaly Detection and Localization" (CVPR
2021), with its ranges. Ours: smooth edges of one pixel, and a mask that shows only where the strip
differs visibly from what it covers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from blemish.synthesis._jitter import jittered
from blemish.synthesis._ranges import (
    Range,
    refuse_no_number,
    refuse_no_range,
    refuse_no_share,
    uniform,
)
from blemish.synthesis.base import Pixels, Synthetic
from blemish.synthesis.visible import Greys, PixelChange, around, first_visible, noise_of
from blemish.util.settings import setting


@dataclass(frozen=True)
class CutpasteScar:
    """Settings of CutPaste's scar; a range is LOW,HIGH.

    Attributes:
        width: Range of the strip's short side.
        length: Range of the strip's long side.
        angle: Range of the strip's turn.
        jitter: Largest change of the strip's colours, as a share.
        scale: Enlarges the sides, for images that are larger than 256 pixels.
    """

    width: Range = setting((2, 16), unit="pixels")
    length: Range = setting((10, 25), unit="pixels")
    angle: Range = setting((-45, 45), unit="degrees")
    jitter: float = setting(0.1, unit="share")
    scale: float = setting(1.0, unit="factor")

    def __post_init__(self) -> None:
        """Refuse settings that make no sense."""
        refuse_no_range(self, "width", "length", least=1, most=4096)
        refuse_no_range(self, "angle", least=-360, most=360)
        refuse_no_share(self, "jitter")
        refuse_no_number(self, "scale", least=0.1, most=100)

    def __call__(self, image: Pixels, rng: np.random.Generator) -> Synthetic:
        """A copy of the image, uint8 or uint16 [H, W] or [H, W, 3], with a strip pasted.

        Outside the mask no pixel changes by more than three grey levels, or the local noise where
        that is more. Raises ImageError for an array of another kind.
        """
        return first_visible(image, lambda greys: self._draw(image, greys, rng))

    def _draw(self, image: Pixels, greys: Greys, rng: np.random.Generator) -> PixelChange:
        shape = image.shape[:2]
        height, width = (
            min(max(1, round(self.scale * uniform(rng, sides))), limit)
            for sides, limit in zip((self.length, self.width), shape, strict=True)
        )
        row, column = rng.integers(0, [shape[0] - height, shape[1] - width], endpoint=True).tolist()
        piece = image[row : row + height, column : column + width].astype(np.float32)
        piece = jittered(piece, self.jitter, rng)
        side = min(math.ceil(math.hypot(height, width)) + 2, *shape)
        turn = cv2.getRotationMatrix2D(
            ((width - 1) / 2, (height - 1) / 2), uniform(rng, self.angle), 1
        )
        turn[:, 2] += (side - np.array([width, height])) / 2
        strip = cv2.warpAffine(piece, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
        share = cv2.warpAffine(np.ones((height, width), np.float32), turn, (side, side))
        top, left = rng.integers(0, [shape[0] - side, shape[1] - side], endpoint=True).tolist()
        under = image[top : top + side, left : left + side].astype(np.float32)
        share = share[..., None] if under.ndim == 3 else share
        noise = noise_of(around(image, top, left, top + side, left + side))
        return PixelChange(top, left, under + (strip - under) * share, noise, gap=5)
