"""The contract of a defect generator: an image and a random generator in, image and mask out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Synthetic:
    """An image with a defect, of the given one's shape and type, and where it is, bool [H, W].

    An empty mask says that no visible defect could be made: then the image is unchanged.
    """

    image: Pixels
    mask: Mask


class Generator(Protocol):
    """What the dataclass in a generator's module offers."""

    def __call__(self, image: Pixels, rng: np.random.Generator) -> Synthetic:
        """Put one defect on a copy of an image, uint8 or uint16, [H, W] or [H, W, 3].

        Raises ImageError for an array of another kind.
        """
