"""What a pixel classifier sees of a pixel: its surroundings at several scales."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Channel = NDArray[np.float32]

PER_SCALE = 8  # features of one channel at one scale
_BAND_VALUES = 1 << 25  # 128 MiB of float32


def count(channels: int, scales: Sequence[float]) -> int:
    """How many features a pixel has: its own values, and those of each channel at each scale."""
    return channels * (1 + PER_SCALE * len(scales))


def margin(scales: Sequence[float]) -> int:
    """How many pixels around a pixel its features depend on, at most."""
    return int(2 * np.ceil(4 * 1.6 * max(scales)) + 2)


def bands(image: NDArray[Any], scales: Sequence[float]) -> Iterator[slice]:
    """Rows whose features fit into memory together, from top to bottom."""
    width, channels = image.shape[1], image.shape[2] if image.ndim == 3 else 1
    rows = _BAND_VALUES // (width * count(channels, scales)) - 2 * margin(scales)
    rows = max(16, rows)
    for top in range(0, image.shape[0], rows):
        yield slice(top, min(top + rows, image.shape[0]))


def pixel_features(image: NDArray[Any], scales: Sequence[float], rows: slice) -> Features:
    """The features of the pixels in some rows, float32 [h, W, features].

    `image` is uint8, uint16 or float32, [H, W] or [H, W, 3]; integers are read as 0 to 1. Of each
    channel: its value, then per scale sigma (pixels) the Gaussian, the Laplacian, the gradient's
    magnitude, the difference of Gaussians (1.6 sigma), and the larger and smaller eigenvalue of
    the structure tensor and of the Hessian matrix. The same as those of the whole image at once.
    """
    reach = margin(scales)
    top, bottom = max(0, rows.start - reach), min(image.shape[0], rows.stop + reach)
    part = _as_float(image[top:bottom])
    channels = [part] if part.ndim == 2 else list(cv2.split(part))
    kept = slice(rows.start - top, rows.stop - top)
    height = rows.stop - rows.start
    features = np.empty((height, image.shape[1], count(len(channels), scales)), np.float32)
    place = 0
    for channel in channels:
        features[:, :, place] = channel[kept]
        place += 1
        for sigma in scales:
            for feature in _at_scale(np.asarray(channel, np.float32), sigma):
                features[:, :, place] = feature[kept]
                place += 1
    return features


def _as_float(image: NDArray[Any]) -> NDArray[np.float32]:
    if image.dtype == np.float32:
        return np.ascontiguousarray(image)
    return np.asarray(image * np.float32(1 / np.iinfo(image.dtype).max), np.float32)


def _at_scale(channel: Channel, sigma: float) -> Iterator[Channel]:
    """The eight features of a channel at one scale, made comparable by powers of sigma."""
    smooth = _blur(channel, sigma)
    dx, dy = _derivative(smooth, 1, 0) * sigma, _derivative(smooth, 0, 1) * sigma
    xx, yy = _derivative(smooth, 2, 0) * sigma**2, _derivative(smooth, 0, 2) * sigma**2
    xy = _derivative(smooth, 1, 1) * sigma**2
    yield smooth
    yield xx + yy
    yield np.hypot(dx, dy)
    yield _blur(channel, 1.6 * sigma) - smooth
    yield from _eigenvalues(_blur(dx * dx, sigma), _blur(dx * dy, sigma), _blur(dy * dy, sigma))
    yield from _eigenvalues(xx, xy, yy)


def _blur(channel: Channel, sigma: float) -> Channel:
    side = 2 * int(np.ceil(4 * sigma)) + 1
    blurred = cv2.GaussianBlur(channel, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.float32)


def _derivative(smooth: Channel, x: int, y: int) -> Channel:
    scale = 1 / 8 if x + y == 1 else 1 / 4  # of the Sobel kernels' weights
    derived = cv2.Sobel(smooth, cv2.CV_32F, x, y, ksize=3, scale=scale)
    return np.asarray(derived, np.float32)


def _eigenvalues(xx: Channel, xy: Channel, yy: Channel) -> tuple[Channel, Channel]:
    """The larger and the smaller eigenvalue of symmetric 2 x 2 matrices."""
    middle = np.asarray((xx + yy) / 2, np.float32)
    spread = np.asarray(np.hypot((xx - yy) / 2, xy), np.float32)
    return middle + spread, middle - spread
