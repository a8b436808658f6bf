"""Pictures for benchmarks: a generated set of good parts, and changed copies of real pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def plate(rng: np.random.Generator, height: int = 600, width: int = 800) -> Pixels:
    """A brushed plate with a row of holes, uint8 [height, width, 3]; no two are alike."""
    lines = rng.normal(150, 12, (height, 1, 3)) + rng.normal(0, 6, (height, width, 3))
    picture = cv2.GaussianBlur(lines, (9, 1), 0).clip(0, 255).astype(np.uint8)
    shift = rng.integers(-6, 7, size=2)
    for column in range(1, 6):
        centre = (column * width // 6 + int(shift[0]), height // 2 + int(shift[1]))
        cv2.circle(picture, centre, height // 12, (40, 40, 45), -1, cv2.LINE_AA)
    return picture


def write_plates(folder: Path, images: int, seed: int = 0) -> list[Path]:
    """Write that many plates as good training pictures of a set in `folder`."""
    rng = np.random.default_rng(seed)
    return [_write(folder, f"plate{i:04}.jpg", plate(rng)) for i in range(images)]


def write_copies(folder: Path, sources: Sequence[Path], copies: int, seed: int = 0) -> None:
    """Write each picture `copies` times as good training pictures of a set in `folder`.

    Every copy is moved by up to 8 pixels and gets Gaussian noise of 2 grey values.
    """
    rng = np.random.default_rng(seed)
    for source in sources:
        picture = cv2.imread(str(source))
        if picture is None:
            raise SystemExit(f"{source} cannot be read")
        for number in range(copies):
            moved = np.roll(picture, rng.integers(-8, 9, size=2), axis=(0, 1))
            noisy = moved + 2 * rng.standard_normal(moved.shape, dtype=np.float32)
            pixels = np.rint(noisy).clip(0, 255).astype(np.uint8)
            _write(folder, f"{source.stem}_{number}.jpg", pixels)


def _write(folder: Path, name: str, picture: Pixels) -> Path:
    path = folder / "train" / "good" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    path.write_bytes(data.tobytes())
    return path
