"""Shapes of Perlin noise filled with a strange texture: DRAEM's anomalies.

After Zavrtanik et al., "DRAEM: A discriminatively trained reconstruction embedding for surface
anomaly detection" (ICCV 2021), with its ranges. Textures are the user's images, the place of DTD in
the paper, or procedural ones, which are ours. That half of the items stay clean, and that images
are turned, is left to whoever trains.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from blemish.errors import BlemishError
from blemish.synthesis._distort import distorted
from blemish.synthesis._noise import perlin
from blemish.synthesis._ranges import Range, refuse_no_range, refuse_no_share, uniform
from blemish.synthesis._sources import Sources, alike
from blemish.synthesis._textures import TEXTURES
from blemish.synthesis.base import Mask, Pixels, Synthetic
from blemish.synthesis.visible import Floats, Greys, PixelChange, around, first_visible, noise_of
from blemish.util.settings import setting


@dataclass(frozen=True)
class Perlin:
    """Settings of DRAEM's anomalies; a range is LOW,HIGH.

    `sources` are images of textures, without which procedural ones are used.

    Attributes:
        octaves: Range of the power of 2 that is the number of the noise's cells a side.
        threshold: The shape is where the noise exceeds this.
        through: Range of the share by which the image shows through the texture.
        texture: One procedural texture: blocks, cells, clouds, grating, or any.
    """

    octaves: Range = setting((0, 5), unit="octaves")
    threshold: float = setting(0.5, unit="factor")
    through: Range = setting((0.0, 0.8), unit="share")
    texture: str = "any"
    sources: Sources = field(default=Sources(), metadata={"wordless": True})

    def __post_init__(self) -> None:
        """Refuse settings that make no sense."""
        refuse_no_range(self, "octaves", least=0, most=8)
        refuse_no_range(self, "through", least=0, most=1)
        refuse_no_share(self, "threshold")
        if self.texture not in {"any", *TEXTURES}:
            known = ", ".join(["any", *TEXTURES])
            raise BlemishError(
                f"setting texture={self.texture} of generator perlin must be one of: {known}"
            )

    def __call__(self, image: Pixels, rng: np.random.Generator) -> Synthetic:
        """A copy of the image, uint8 or uint16 [H, W] or [H, W, 3], with shapes of a texture.

        Outside the mask no pixel changes by more than three grey levels, or the local noise where
        that is more. Raises ImageError for an array of another kind and for a bad source.
        """
        return first_visible(image, lambda greys: self._draw(image, greys, rng))

    def _draw(self, image: Pixels, greys: Greys, rng: np.random.Generator) -> PixelChange | None:
        shape = self._shape((image.shape[0], image.shape[1]), rng)
        left, top, width, height = cv2.boundingRect(shape.astype(np.uint8))
        if not width:
            return None
        inside = (slice(top, top + height), slice(left, left + width))
        under = image[inside].astype(np.float32)
        texture = distorted(self._texture(image, (height, width), greys, rng), rng)
        if under.ndim > texture.ndim:
            texture = texture[..., None] * rng.uniform(0.3, 1, 3).astype(np.float32)
        values = np.float32(greys.black) + np.float32(255 * greys.level) * texture
        share = shape[inside].astype(np.float32) * np.float32(1 - uniform(rng, self.through))
        share = share[..., None] if under.ndim == 3 else share
        noise = noise_of(around(image, top, left, top + height, left + width))
        return PixelChange(top, left, under + (values - under) * share, noise, gap=5)

    def _shape(self, size: tuple[int, int], rng: np.random.Generator) -> Mask:
        """Where turned Perlin noise exceeds the threshold."""
        low, high = (round(end) for end in self.octaves)
        octaves = rng.integers(low, high, 2, endpoint=True).tolist()
        down, across = (
            min(2**octave, max(1, side // 2)) for octave, side in zip(octaves, size, strict=True)
        )
        field = perlin(size, (down, across), rng)
        turn = cv2.getRotationMatrix2D((size[1] / 2, size[0] / 2), rng.uniform(-90, 90), 1)
        return np.asarray(cv2.warpAffine(field, turn, size[::-1]) > self.threshold)

    def _texture(
        self, image: Pixels, size: tuple[int, int], greys: Greys, rng: np.random.Generator
    ) -> Floats:
        """A texture of that size, 0 to 1 for black to the brightest that the image uses."""
        if self.sources:
            piece = _piece(alike(self.sources.draw(rng), image), size, rng)
            levels = (piece - np.float32(greys.black)) / np.float32(greys.level)
        else:
            names = list(TEXTURES)
            name = names[int(rng.integers(len(names)))] if self.texture == "any" else self.texture
            levels = TEXTURES[name](image, size, rng)
        return np.asarray(np.clip(levels / np.float32(255), 0, 1), np.float32)


def _piece(source: Pixels, size: tuple[int, int], rng: np.random.Generator) -> Floats:
    """A piece of the source of that size; a smaller source is enlarged."""
    factor = max(1.0, size[0] / source.shape[0], size[1] / source.shape[1])
    if factor > 1:
        height, width = (
            max(s, round(n * factor)) for s, n in zip(size, source.shape, strict=False)
        )
        source = cv2.resize(source, (width, height), interpolation=cv2.INTER_LINEAR)
    room = np.subtract(source.shape[:2], size)
    top, left = rng.integers(0, room, endpoint=True).tolist()
    return np.asarray(source[top : top + size[0], left : left + size[1]], np.float32)
