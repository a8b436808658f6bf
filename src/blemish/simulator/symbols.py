"""Lettering and symbols, as they stand on the panel of a machine; uint8 [h, w], smooth-edged."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from blemish.simulator.random_fields import Pixels

WORDS = (
    "AUTO", "MODE", "MAX", "OFF", "SET", "REAR", "FRONT", "TEMP", "A/C", "SYNC", "MENU", "ECO",
    "LOCK", "HEAT", "COOL", "22.5", "18.0", "km/h", "x 1000", "P R N D", "0.35 A", "230 V",
    "Type 4", "IP 54", "START", "STOP", "RESET", "1 2 3 4", "LEVEL", "min", "bar", "No. 7",
)  # fmt: skip
_FINE = 4


@cache
def word(text: str, height: int) -> Pixels:
    """A word, its letters about `height` pixels high."""
    font = ImageFont.load_default(size=height * 1.35)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    image = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), text, fill=255, font=font)
    return np.asarray(image, np.uint8)


def symbol(rng: np.random.Generator, size: int) -> Pixels:
    """One of the symbols in a square of `size` pixels."""
    drawings = (_power, _fan, _warning, _arrow, _sun, _drop, _level, _lock)
    canvas = np.zeros((size * _FINE, size * _FINE), np.uint8)
    drawings[int(rng.integers(len(drawings)))](canvas, size * _FINE)
    return np.asarray(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def ruler(rng: np.random.Generator, length: int, height: int) -> Pixels:
    """A scale of short and long ticks with numbers, [height, length]."""
    canvas = np.zeros((height, length), np.uint8)
    step, start = int(rng.integers(6, 12)), 8
    for index, column in enumerate(range(start, length - 4, step)):
        long = index % 10 == 0
        reach = int(height * (0.5 if long else 0.36 if index % 5 == 0 else 0.24))
        canvas[height - reach :, column : column + (3 if long else 2)] = 255
        if long and height >= 34:
            number = word(str(index), max(int(height * 0.28), 9))
            paste(canvas, number, 0, column - number.shape[1] // 2)
    return canvas


def paste(canvas: Pixels, stamp: Pixels, top: int, left: int) -> None:
    """Put a stamp on a canvas where it covers; what lies outside is cut off."""
    row, column = max(top, 0), max(left, 0)
    bottom = min(top + stamp.shape[0], canvas.shape[0])
    right = min(left + stamp.shape[1], canvas.shape[1])
    if bottom > row and right > column:
        part = stamp[row - top : bottom - top, column - left : right - left]
        place = canvas[row:bottom, column:right]
        np.maximum(place, part, out=place)


def _power(canvas: Pixels, size: int) -> None:
    middle = (size // 2, int(size * 0.54))
    cv2.ellipse(canvas, middle, (int(size * 0.34),) * 2, -90, 38, 322, 255, size // 11)
    cv2.line(canvas, (size // 2, int(size * 0.08)), (size // 2, size // 2), 255, size // 11)


def _fan(canvas: Pixels, size: int) -> None:
    for blade in range(4):
        angle = np.pi / 2 * blade + 0.4
        at = size / 2 + 0.24 * size * np.array([np.cos(angle), np.sin(angle)])
        axes = (int(size * 0.22), int(size * 0.12))
        place = (int(at[0]), int(at[1]))
        cv2.ellipse(canvas, place, axes, np.rad2deg(angle) + 28, 0, 360, 255, -1)
    cv2.circle(canvas, (size // 2, size // 2), size // 9, 0, -1)
    cv2.circle(canvas, (size // 2, size // 2), size // 15, 255, -1)


def _warning(canvas: Pixels, size: int) -> None:
    corners = np.array([[0.5, 0.1], [0.93, 0.86], [0.07, 0.86]]) * size
    cv2.polylines(canvas, [corners.astype(np.int32)], True, 255, size // 12)
    middle = size // 2
    cv2.line(canvas, (middle, int(size * 0.38)), (middle, int(size * 0.62)), 255, size // 11)
    cv2.circle(canvas, (middle, int(size * 0.74)), size // 20, 255, -1)


def _arrow(canvas: Pixels, size: int) -> None:
    middle = size // 2
    cv2.line(canvas, (size // 8, middle), (int(size * 0.7), middle), 255, size // 9)
    head = np.array([[0.62, 0.24], [0.92, 0.5], [0.62, 0.76]]) * size
    cv2.fillPoly(canvas, [head.astype(np.int32)], 255)


def _sun(canvas: Pixels, size: int) -> None:
    cv2.circle(canvas, (size // 2, size // 2), int(size * 0.2), 255, size // 13)
    for ray in range(8):
        way = np.array([np.cos(ray * np.pi / 4), np.sin(ray * np.pi / 4)])
        inner, outer = (size / 2 + part * size * way for part in (0.3, 0.44))
        start, end = (tuple(point.astype(int).tolist()) for point in (inner, outer))
        cv2.line(canvas, start, end, 255, size // 14)


def _drop(canvas: Pixels, size: int) -> None:
    cv2.circle(canvas, (size // 2, int(size * 0.62)), int(size * 0.26), 255, -1)
    tip = np.array([[0.5, 0.08], [0.735, 0.52], [0.265, 0.52]]) * size
    cv2.fillPoly(canvas, [tip.astype(np.int32)], 255)
    cv2.circle(canvas, (int(size * 0.57), int(size * 0.66)), size // 10, 0, -1)


def _level(canvas: Pixels, size: int) -> None:
    for step in range(5):
        left, high = int(size * (0.1 + 0.17 * step)), int(size * (0.18 + 0.15 * step))
        bottom = int(size * 0.88)
        cv2.rectangle(canvas, (left, bottom - high), (left + size // 9, bottom), 255, -1)


def _lock(canvas: Pixels, size: int) -> None:
    cv2.rectangle(canvas, (size // 4, size // 2), (size * 3 // 4, int(size * 0.88)), 255, -1)
    middle = (size // 2, size // 2)
    cv2.ellipse(canvas, middle, (int(size * 0.17), int(size * 0.32)), 0, 180, 360, 255, size // 12)
    cv2.circle(canvas, (size // 2, int(size * 0.68)), size // 16, 0, -1)
