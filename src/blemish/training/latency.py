"""How long a model takes for an image."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from blemish.inspector import Inspector
from blemish.model.card import Latency

LATENCY_IMAGES = 20


def measure_latency(
    inspector: Inspector, images: Sequence[Path]
) -> tuple[Latency, tuple[int, int]]:
    """The latency on a few images, and the last one's shape."""
    times, shape = [], (1, 1)
    for image in images[:LATENCY_IMAGES]:
        start = time.perf_counter()
        shape = inspector.look(image).shape
        times.append(1000 * (time.perf_counter() - start))
    return Latency(float(np.median(times)), float(np.max(times))), shape
