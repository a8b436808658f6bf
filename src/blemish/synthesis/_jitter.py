"""Colour jitter, so that a pasted piece differs from its new place."""

from __future__ import annotations

import numpy as np

from blemish.synthesis.visible import Floats


def jittered(piece: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """A piece [h, w] or [h, w, 3] with its brightness, contrast and colour changed by that share.

    Each factor is uniform between 1 - strength and 1 + strength.
    """
    gain, contrast, colour = rng.uniform(1 - strength, 1 + strength, 3)
    mean = piece.mean()
    piece = np.float32(gain) * (mean + np.float32(contrast) * (piece - mean))
    if piece.ndim == 3:
        grey = piece.mean(axis=2, keepdims=True)
        piece = grey + np.float32(colour) * (piece - grey)
    return np.asarray(piece, np.float32)
