"""Thumbnails of the report: heat maps on one colour scale, outlines, embedded as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SIDE = 420  # longest side of an embedded picture, in pixels
LONGEST = 2.5  # a picture longer than this many times its width is shown as a cut-out
OUTLINES = 100  # at most so many outlines of a kind are drawn on one picture
STOPS = 12  # colours in the legend's ramp


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A thumbnail of one image with its anomaly map.

    rgb uint8 [h, w, 3] and map float32 [h, w] are shrunk to a side; `truth` outlines the mask and
    `found` the map above the map threshold, as SVG paths in the same pixels. `median` and `peak`
    are those of the whole map. `cut` says which stretch of a long image is shown.
    """

    rgb: Pixels
    map: Floats
    truth: str
    found: str
    median: float
    peak: float
    cut: str | None


@dataclass(frozen=True)
class ColourScale:
    """One scale for all pictures: `low` is transparent, `high` and above the brightest colour."""

    low: float
    high: float


def thumbnail(
    rgb: Pixels, map_: Floats, mask: Mask | None, level: float | None, side: int = SIDE
) -> Thumbnail:
    """Prepare an image [H, W, 3], its map [H, W] and its mask; `level` is the map threshold."""
    part, cut = _cut_out(map_, mask)
    rgb_part, map_part = np.ascontiguousarray(rgb[part]), np.ascontiguousarray(map_[part])
    height, width = map_part.shape
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Thumbnail(
        rgb=cv2.resize(rgb_part, size, interpolation=cv2.INTER_AREA).astype(np.uint8),
        map=cv2.resize(map_part, size, interpolation=cv2.INTER_AREA).astype(np.float32),
        truth="" if mask is None else _outlines(mask[part], scale),
        found="" if level is None else _outlines(map_part > level, scale),
        median=float(np.median(map_)),
        peak=float(map_.max()),
        cut=cut,
    )


def colour_scale(
    good: Sequence[Thumbnail], defective: Sequence[Thumbnail], level: float | None
) -> ColourScale:
    """Fix the ends of the scale from the pictures looked at.

    `low` is the median of the maps of good images. `high` is the median peak of the maps of
    defective ones, but at least twice as far from `low` as the map threshold.
    """
    seen = [*good, *defective]
    if not seen:
        return ColourScale(0.0, 1.0)
    low = float(np.median([picture.median for picture in good or seen]))
    high = float(np.median([picture.peak for picture in defective or seen]))
    if level is not None:
        high = max(high, low + 2 * (level - low))
    return ColourScale(low, high if high > low else low + max(1e-6, abs(low)))


def picture_uri(picture: Thumbnail) -> str:
    """The plain picture as a JPEG data URI."""
    bgr = cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2BGR)
    return _uri("jpeg", bgr.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 82])


def heat_uri(picture: Thumbnail, scale: ColourScale) -> str:
    """The map as a transparent WebP data URI: the larger the value, the less transparent."""
    share = _share(picture.map, scale)
    alpha = np.rint(255 * 0.85 * share**1.2).astype(np.uint8)
    return _uri("webp", np.dstack([_colours(share), alpha]), [cv2.IMWRITE_WEBP_QUALITY, 70])


def overlay(rgb: Pixels, map_: Floats, scale: ColourScale) -> Pixels:
    """The map [H, W] over its picture [H, W, 3], as BGR pixels for OpenCV."""
    share = _share(map_, scale)
    alpha = 0.85 * share[..., None] ** 1.2
    mixed = (1 - alpha) * cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR) + alpha * _colours(share)
    return np.rint(mixed).astype(np.uint8)


def _share(map_: Floats, scale: ColourScale) -> Floats:
    """Where the map lies between the ends of the scale, 0 to 1."""
    share = np.clip((map_ - scale.low) / (scale.high - scale.low), 0, 1)
    return np.asarray(share, np.float32)


def ramp() -> list[str]:
    """The colours of the scale from low to high, as CSS colours."""
    shares = np.linspace(0, 1, STOPS, dtype=np.float32)[None]
    return [f"#{r:02x}{g:02x}{b:02x}" for b, g, r in _colours(shares)[0]]


def _colours(share: Floats) -> Pixels:
    """BGR colours [h, w, 3] of shares [h, w]: inferno without its black end.

    Its lightness rises with the value, so that it reads alike with any colour vision.
    """
    index = np.rint(70 + 178 * share).astype(np.uint8)
    return cv2.applyColorMap(index, cv2.COLORMAP_INFERNO).astype(np.uint8)


def _cut_out(map_: Floats, mask: Mask | None) -> tuple[tuple[slice, slice], str | None]:
    """The whole image; of a long one, a stretch around the largest value, in the mask if any."""
    height, width = map_.shape
    length = round(LONGEST * min(height, width))
    if max(height, width) <= length:
        return (slice(None), slice(None)), None
    values = np.where(mask, map_, -np.inf) if mask is not None and mask.any() else map_
    centre = np.unravel_index(int(values.argmax()), values.shape)
    axis = 0 if height > width else 1
    start = int(np.clip(centre[axis] - length // 2, 0, map_.shape[axis] - length))
    stretch = slice(start, start + length)
    name = ("rows", "columns")[axis]
    cut = f"{name} {start} to {start + length - 1} of {map_.shape[axis]}"
    return ((stretch, slice(None)) if axis == 0 else (slice(None), stretch)), cut


def _outlines(mask: Mask, scale: float) -> str:
    """The borders of a mask as one SVG path, the largest first if there are too many."""
    borders, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    largest = sorted(borders, key=cv2.contourArea, reverse=True)[:OUTLINES]
    return "".join(_path(cv2.approxPolyDP(border, 0.4 / scale, True), scale) for border in largest)


def _path(border: npt.NDArray[np.generic], scale: float) -> str:
    """One closed border [k, 1, 2] of pixel centres as SVG path commands."""
    points = (border.reshape(-1, 2).astype(np.float64) + 0.5) * scale
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z"


def _uri(kind: str, image: Pixels, settings: list[int]) -> str:
    _, data = cv2.imencode(f".{kind}", image, settings)
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
