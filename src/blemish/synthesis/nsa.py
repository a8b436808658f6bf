"""Pieces of another image blended in without a seam: natural synthetic anomalies.

After Schlueter et al., "Natural Synthetic Anomalies for Self-Supervised Anomaly Detection and
Localization" (ECCV 2022), with its ranges. Ours: the blend is solved exactly for the rectangle, in
any depth, and the mask follows the visibility of the change in place of a mean difference above 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from blemish.synthesis._poisson import blend
from blemish.synthesis._ranges import Range, refuse_no_number, refuse_no_range, refuse_no_share
from blemish.synthesis._sources import Sources, alike
from blemish.synthesis.base import Pixels, Synthetic
from blemish.synthesis.visible import Floats, Greys, PixelChange, around, first_visible, noise_of
from blemish.util.settings import setting

SAME_PRODUCT = True

_LEAST_SIDE = 4  # pixels; a smaller piece is all border


@dataclass(frozen=True)
class Nsa:
    """Settings of natural synthetic anomalies; a range is LOW,HIGH.

    Without `sources` the pieces come from the image itself. The halves of a piece's sides are
    `least` plus a gamma variate, as shares of the image's sides.

    Attributes:
        least: Least half of a piece's side, as a share of the image's.
        most: Largest half of a piece's side, as a share of the image's.
        shape: Shape of the gamma distribution.
        spread: Scale of the gamma distribution.
        resize: Range of the factor by which a piece is resized.
        pieces: Number of pieces at most, one for sure and each other one by a coin.
        background: Range of grey values where the part is not; none where it is everywhere.
        overlap: Share of the pixels of a piece, and of its new place, that must lie on the part.
    """

    least: float = setting(0.03, unit="share")
    most: float = setting(0.4, unit="share")
    shape: float = setting(2.0, unit="factor")
    spread: float = setting(0.05, unit="share")
    resize: Range = setting((0.7, 1.3), unit="factor")
    pieces: int = setting(4, unit="pieces")
    background: Range | None = setting(None, unit="grey values")
    overlap: float = setting(0.25, unit="share")
    sources: Sources = field(default=Sources(), metadata={"wordless": True})

    def __post_init__(self) -> None:
        """Refuse settings that make no sense."""
        refuse_no_share(self, "overlap")
        refuse_no_number(self, "least", "most", most=0.5)
        refuse_no_number(self, "shape", "spread", most=100)
        refuse_no_number(self, "pieces", least=1, most=100)
        refuse_no_range(self, "resize", least=0.05, most=20)
        if self.background is not None:
            refuse_no_range(self, "background", least=0, most=65535)

    def __call__(self, image: Pixels, rng: np.random.Generator) -> Synthetic:
        """A copy of the image, uint8 or uint16 [H, W] or [H, W, 3], with pieces blended in.

        Outside the mask no pixel changes by more than three grey levels, or the local noise where
        that is more. Raises ImageError for an array of another kind and for a bad source.
        """
        return first_visible(image, lambda greys: self._draw(image, greys, rng))

    def _draw(self, image: Pixels, greys: Greys, rng: np.random.Generator) -> PixelChange | None:
        source = alike(self.sources.draw(rng), image) if self.sources else image
        count = 1 + int(rng.integers(0, 2, self.pieces - 1).sum())
        drawn = [self._piece(image, source, rng) for _ in range(count)]
        placed = [found for found in drawn if found is not None]
        if not placed:
            return None
        top, left = (min(place[axis] for place, _ in placed) for axis in (0, 1))
        bottom, right = (
            max(place[axis] + piece.shape[axis] for place, piece in placed) for axis in (0, 1)
        )
        window = image[top:bottom, left:right].astype(np.float32)
        for (row, column), piece in placed:
            height, width = piece.shape[:2]
            at = (slice(row - top, row - top + height), slice(column - left, column - left + width))
            window[at] = blend(window[at], piece)
        noise = noise_of(around(image, top, left, bottom, right))
        return PixelChange(top, left, window, noise, gap=9)

    def _piece(
        self, image: Pixels, source: Pixels, rng: np.random.Generator
    ) -> tuple[tuple[int, int], Floats] | None:
        """A piece of the source and where it goes; None when it or its place misses the part."""
        shares = np.clip(self.least + rng.gamma(self.shape, self.spread, 2), self.least, self.most)
        cut = [
            min(max(_LEAST_SIDE, round(2 * share * side)), side)
            for share, side in zip(shares.tolist(), source.shape[:2], strict=True)
        ]
        row, column = rng.integers(0, np.subtract(source.shape[:2], cut), endpoint=True).tolist()
        piece = source[row : row + cut[0], column : column + cut[1]]
        factor = float(np.clip(rng.normal(1, 0.5), *self.resize))
        height, width = (
            min(max(_LEAST_SIDE, round(factor * side)), limit)
            for side, limit in zip(cut, image.shape[:2], strict=True)
        )
        top, left = rng.integers(
            0, [image.shape[0] - height, image.shape[1] - width], endpoint=True
        ).tolist()
        under = image[top : top + height, left : left + width]
        if min(self._on_the_part(piece), self._on_the_part(under)) < self.overlap:
            return None
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(piece.astype(np.float32), (width, height), interpolation=way)
        return (top, left), np.asarray(resized, np.float32)

    def _on_the_part(self, pixels: Pixels) -> float:
        """The share of the pixels that are not background."""
        if self.background is None:
            return 1.0
        grey = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
        low, high = self.background
        return float(((grey < low) | (grey > high)).mean())
