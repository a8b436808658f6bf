"""From the probability of a defect at every pixel to a clean mask."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from blemish.prepare.mask_settings import MaskSettings
from blemish.prepare.scribbles import distance, reach

Mask = NDArray[np.bool_]

_EPSILON = 0.01


def clean_mask(
    probability: NDArray[np.float32],
    image: NDArray[Any],
    settings: MaskSettings,
    defect: Mask | None = None,
) -> Mask:
    """Refine, threshold, erode, dilate, fill holes, drop small regions, keep; bool [H, W].

    `probability` is float32 [H, W], `image` [H, W] or [H, W, 3]; `defect` is where a person drew
    defect, bool [H, W], None for an image without scribbles. What was drawn is part of the mask
    unless `erode` takes it away.
    """
    if settings.refine:
        probability = led_by_edges(probability, image, settings.refine)
    if settings.smooth:
        probability = np.asarray(cv2.GaussianBlur(probability, (0, 0), settings.smooth))
    if defect is None or not defect.any():
        mask = probability > settings.threshold
    else:
        # Below 0 at the strokes, above 0 beyond half their reach.
        far = np.clip(2 * distance(defect) / reach(defect) - 1, -1, 1)
        mask = (probability > settings.threshold + settings.near * far) | defect
    mask = _morphed(cv2.erode, mask, settings.erode)
    mask = _morphed(cv2.dilate, mask, settings.dilate)
    mask = fill_holes(mask, settings.fill_holes)
    labels, areas = _regions(mask)
    kept = areas >= settings.min_area
    if defect is not None and settings.keep == "touching":
        touched = np.zeros(len(areas), bool)
        touched[labels[defect]] = True
        kept &= touched
    kept[0] = False
    if settings.keep == "largest" and kept.any():
        kept &= np.arange(len(areas)) == np.argmax(np.where(kept, areas, 0))
    return np.asarray(kept[labels])


def led_by_edges(
    probability: NDArray[np.float32], image: NDArray[Any], radius: int
) -> NDArray[np.float32]:
    """The guided filter (He, Sun and Tang 2010) of a probability [H, W] by the image's brightness.

    In every window of that radius the result is a linear function of the brightness, so that its
    steps fall on those of the image. The filter's epsilon is a share of the image's variance.
    """
    grey = np.asarray(image if image.ndim == 2 else image.mean(axis=2), np.float32)
    grey = (grey - grey.mean()) / np.float32(max(float(grey.std()), 1e-12))

    def mean(values: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(values, (2 * radius + 1, 2 * radius + 1)), np.float32)

    mean_grey, mean_probability = mean(grey), mean(probability)
    covariance = mean(grey * probability) - mean_grey * mean_probability
    slope = covariance / (mean(grey * grey) - mean_grey * mean_grey + np.float32(_EPSILON))
    led = mean(slope) * grey + mean(mean_probability - slope * mean_grey)
    return np.asarray(led, np.float32)


def fill_holes(mask: Mask, area: int) -> Mask:
    """Fill the holes of up to so many pixels in a mask bool [H, W].

    A hole is 4-connected, and does not reach the edge of the image.
    """
    if area == 0:
        return mask
    labels, areas = _regions(~mask, connectivity=4)
    hole = areas <= area
    hole[0] = False
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        hole[edge] = False
    return np.asarray(mask | hole[labels])


def _morphed(change: Any, mask: Mask, radius: int) -> Mask:
    if radius == 0:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(change(mask.astype(np.uint8), disc) > 0)


def _regions(mask: Mask, connectivity: int = 8) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The number of the region of each pixel [H, W], 0 outside, and the area of each region."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=connectivity
    )
    return np.asarray(labels, np.int32), np.asarray(stats[:, cv2.CC_STAT_AREA], np.int64)
