"""A rectangle of the image pasted at another place of it: CutPaste.

After Li et al., "CutPaste: Self-Supervised Learning for Anomaly Detection and Localization" (CVPR
2021), with its ranges. Ours: the mask shows only where the pasted piece differs visibly from what
it covers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from blemish.synthesis._jitter import jittered
from blemish.synthesis._ranges import (
    Range,
    log_uniform,
    refuse_no_range,
    refuse_no_share,
    uniform,
)
from blemish.synthesis.base import Pixels, Synthetic
from blemish.synthesis.visible import Greys, PixelChange, around, first_visible, noise_of
from blemish.util.settings import setting


@dataclass(frozen=True)
class Cutpaste:
    """Settings of CutPaste; a range is LOW,HIGH.

    Attributes:
        area: Range of the piece's share of the image.
        aspect: Range of the piece's height over its width.
        jitter: Largest change of the piece's colours, as a share.
    """

    area: Range = setting((0.02, 0.15), unit="share")
    aspect: Range = setting((0.3, 3.3), unit="factor")
    jitter: float = setting(0.1, unit="share")

    def __post_init__(self) -> None:
        """Refuse settings that make no sense."""
        refuse_no_range(self, "area", most=1)
        refuse_no_range(self, "aspect", least=0.01, most=100)
        refuse_no_share(self, "jitter")

    def __call__(self, image: Pixels, rng: np.random.Generator) -> Synthetic:
        """A copy of the image, uint8 or uint16 [H, W] or [H, W, 3], with a piece pasted.

        Outside the mask no pixel changes by more than three grey levels, or the local noise where
        that is more. Raises ImageError for an array of another kind.
        """
        return first_visible(image, lambda greys: self._draw(image, greys, rng))

    def _draw(self, image: Pixels, greys: Greys, rng: np.random.Generator) -> PixelChange:
        shape = image.shape[:2]
        pixels = uniform(rng, self.area) * shape[0] * shape[1]
        aspect = log_uniform(rng, self.aspect)
        sides = (math.sqrt(pixels * aspect), math.sqrt(pixels / aspect))
        height, width = (
            min(max(1, round(side)), limit) for side, limit in zip(sides, shape, strict=True)
        )
        (top, left), (row, column) = rng.integers(
            0, [shape[0] - height, shape[1] - width], (2, 2), endpoint=True
        ).tolist()
        piece = image[row : row + height, column : column + width].astype(np.float32)
        noise = noise_of(around(image, top, left, top + height, left + width))
        return PixelChange(top, left, jittered(piece, self.jitter, rng), noise, gap=9)
