"""A random generator for each image, from one seed and the image's name."""

from __future__ import annotations

import hashlib

import numpy as np


def image_rng(seed: int, name: str, number: int = 0) -> np.random.Generator:
    """The same for the same seed, name and number, whatever else is drawn and in which order."""
    words = hashlib.sha256(f"{seed}\n{number}\n{name}".encode()).digest()
    return np.random.default_rng(list(words))
