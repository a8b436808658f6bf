"""Ten augmentations of a texture, three of which DRAEM applies to each."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from blemish.synthesis.visible import Floats

Distortion = Callable[[Floats, np.random.Generator], Floats]


def distorted(texture: Floats, rng: np.random.Generator, count: int = 3) -> Floats:
    """A texture, 0 to 1, [h, w] or [h, w, 3], after `count` different ones of the ten changes."""
    for number in rng.choice(len(_DISTORTIONS), count, replace=False).tolist():
        changed = _DISTORTIONS[number](texture, rng)
        texture = np.clip(changed, 0, 1).astype(np.float32)
    return texture


def _gamma(texture: Floats, rng: np.random.Generator) -> Floats:
    return np.asarray(texture ** np.float32(rng.uniform(0.5, 2)), np.float32)


def _brightness(texture: Floats, rng: np.random.Generator) -> Floats:
    return texture * np.float32(rng.uniform(0.8, 1.2)) + np.float32(rng.uniform(-0.12, 0.12))


def _sharpness(texture: Floats, rng: np.random.Generator) -> Floats:
    smooth = np.asarray(cv2.GaussianBlur(texture, (0, 0), 1.5), np.float32)
    return texture + np.float32(rng.uniform(0.5, 2)) * (texture - smooth)


def _hue(texture: Floats, rng: np.random.Generator) -> Floats:
    """Turned about the grey axis, and more or less colourful; a grey texture stays."""
    if texture.ndim == 2:
        return texture
    angle, colour = rng.uniform(-0.9, 0.9), rng.uniform(0.5, 1.5)
    grey = texture.mean(axis=2, keepdims=True)
    third, root = (1 - np.cos(angle)) / 3, np.sin(angle) / np.sqrt(3)
    first = np.array([third, third - root, third + root])
    turn = np.stack([np.roll(first, shift) for shift in range(3)]) + np.cos(angle) * np.eye(3)
    turned = (texture - grey) @ turn.T.astype(np.float32)
    return np.asarray(grey + np.float32(colour) * turned, np.float32)


def _solarise(texture: Floats, rng: np.random.Generator) -> Floats:
    limit = rng.uniform(0.12, 0.5)
    return np.where(texture >= np.float32(limit), 1 - texture, texture)


def _posterise(texture: Floats, rng: np.random.Generator) -> Floats:
    steps = np.float32(2 ** int(rng.integers(2, 5)) - 1)
    return np.asarray(np.rint(texture * steps) / steps, np.float32)


def _invert(texture: Floats, rng: np.random.Generator) -> Floats:
    return 1 - texture


def _autocontrast(texture: Floats, rng: np.random.Generator) -> Floats:
    low, high = texture.min(), texture.max()
    return np.asarray((texture - low) / max(high - low, np.float32(1e-6)), np.float32)


def _equalise(texture: Floats, rng: np.random.Generator) -> Floats:
    levels = np.rint(255 * texture).astype(np.uint8)
    share = np.cumsum(np.bincount(levels.ravel(), minlength=256)) / levels.size
    return np.asarray(share[levels], np.float32)


def _rotate(texture: Floats, rng: np.random.Generator) -> Floats:
    height, width = texture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-45, 45), 1)
    turned = cv2.warpAffine(texture, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(turned, np.float32)


_DISTORTIONS: tuple[Distortion, ...] = (
    _gamma,
    _brightness,
    _sharpness,
    _hue,
    _solarise,
    _posterise,
    _invert,
    _autocontrast,
    _equalise,
    _rotate,
)
