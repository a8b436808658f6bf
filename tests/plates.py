"""Pictures of brushed plates, good or with a dent at a known place, and data sets of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

SHAPE = (80, 100)
DENT = 16


def plate(seed: int, shape: tuple[int, int] = SHAPE) -> Pixels:
    """A good plate, RGB [H, W, 3]: waves that begin anywhere, uneven light, and noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    start, slope, gain = rng.uniform(0, 40), rng.uniform(-0.3, 0.3), rng.uniform(0.8, 1.2)
    waves = 25 * gain * np.sin((columns + slope * rows + start) / 6)[..., None]
    light = 10 * np.cos((rows + start) / 9)[..., None]
    noise = rng.normal(0, 4, (*shape, 3))
    grey = 120 + waves * np.array([1, 0.8, 0.6]) + light + noise
    return np.clip(grey, 0, 255).astype(np.uint8)


def dent_box(seed: int, shape: tuple[int, int] = SHAPE) -> tuple[int, int, int, int]:
    """Where the dent of `dented` lies: top, left, bottom, right."""
    rng = np.random.default_rng(seed)
    top = int(rng.integers(8, shape[0] - DENT - 8))
    left = int(rng.integers(8, shape[1] - DENT - 8))
    return top, left, top + DENT, left + DENT


def dented(seed: int, shape: tuple[int, int] = SHAPE) -> Pixels:
    """A plate with a dark square that has a bright rim."""
    change = np.zeros(shape, np.int16)
    top, left, bottom, right = dent_box(seed, shape)
    change[top:bottom, left:right] = 50
    change[top + 4 : bottom - 4, left + 4 : right - 4] = -70
    return np.clip(plate(seed, shape) + change[..., None], 0, 255).astype(np.uint8)


def dent_mask(seed: int, shape: tuple[int, int] = SHAPE) -> Pixels:
    mask = np.zeros(shape, np.uint8)
    top, left, bottom, right = dent_box(seed, shape)
    mask[top:bottom, left:right] = 255
    return mask


def save(path: Path, pixels: npt.NDArray[np.generic]) -> Path:
    """Write RGB or grey pixels in the format of the path's suffix, wherever the path leads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    done, data = cv2.imencode(path.suffix, np.ascontiguousarray(bgr))
    assert done
    path.write_bytes(data.tobytes())  # OpenCV itself cannot write to every path on Windows
    return path


def save_good(folder: Path, seeds: Iterable[int], shape: tuple[int, int] = SHAPE) -> Path:
    for seed in seeds:
        save(folder / f"{seed:03}.png", plate(seed, shape))
    return folder


def save_dented(
    root: Path, seeds: Iterable[int], shape: tuple[int, int] = SHAPE, *, masks: bool = True
) -> Path:
    """test/dent and, with masks, ground_truth/dent below `root`."""
    for seed in seeds:
        save(root / f"test/dent/{seed:03}.png", dented(seed, shape))
        if masks:
            save(root / f"ground_truth/dent/{seed:03}_mask.png", dent_mask(seed, shape))
    return root


def save_set(
    root: Path,
    *,
    train: int = 20,
    good: int = 6,
    dents: int = 6,
    shape: tuple[int, int] = SHAPE,
    masks: bool = True,
) -> Path:
    """A data set in the layout of MVTec AD; no picture is in it twice."""
    save_good(root / "train/good", range(train), shape)
    save_good(root / "test/good", range(100, 100 + good), shape)
    return save_dented(root, range(200, 200 + dents), shape, masks=masks)


def save_views(root: Path, parts: Iterable[int], views: Iterable[str] = ("top", "side")) -> Path:
    """A folder of good parts with several views each: <part>_<view>.png."""
    for part in parts:
        for number, view in enumerate(views):
            save(root / f"{part:03}_{view}.png", plate(1000 * (number + 1) + part))
    return root


VIEW_PATTERN = r"(?P<part>\d+)_(?P<view>\w+)\.png"
