"""Images from elsewhere, from which a generator takes a piece or a texture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from blemish.synthesis._reading import read_pixels
from blemish.synthesis.base import Pixels
from blemish.synthesis.visible import Greys

Source = str | os.PathLike[str] | Pixels


@dataclass(frozen=True, eq=False)
class Sources:
    """Paths of images, read when they are drawn, or arrays of pixels."""

    items: tuple[Source, ...] = ()

    @classmethod
    def of(cls, items: Sequence[Source]) -> Sources:
        """Of any sequence of them."""
        return cls(tuple(items))

    def __bool__(self) -> bool:
        """False where there are none."""
        return bool(self.items)

    def draw(self, rng: np.random.Generator) -> Pixels:
        """One of them, uint8 or uint16; ImageError where it cannot be read or has float pixels."""
        item = self.items[int(rng.integers(len(self.items)))]
        if isinstance(item, np.ndarray):
            Greys.of(item)
            return item
        return _kept(Path(item))


def alike(source: Pixels, image: Pixels) -> Pixels:
    """A source with the channels and the depth of an image, same height and width as before.

    Of one depth the values stay; else the source's full scale becomes the image's.
    """
    if source.dtype != image.dtype:
        factor = Greys.of(image).top / Greys.of(source).top
        source = np.rint(source * factor).astype(image.dtype)
    if source.ndim == image.ndim:
        return source
    code = cv2.COLOR_GRAY2RGB if image.ndim == 3 else cv2.COLOR_RGB2GRAY
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(source), code), image.dtype)


@lru_cache(maxsize=8)
def _kept(path: Path) -> Pixels:
    pixels = read_pixels(path)
    pixels.setflags(write=False)
    return pixels
