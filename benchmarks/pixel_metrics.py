"""Time and memory of pixel AUROC and AUPRO; prints one line of JSON. Run it in a fresh process."""

from __future__ import annotations

import argparse
import json
import sys
import time

import cv2
import numpy as np
from numpy.typing import NDArray

from blemish.metrics.pixel import PixelScores


def example(
    rng: np.random.Generator, size: int, defective: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A smooth map float32 [size, size] and its mask, with three defects of about 1 % each."""
    mask = np.zeros((size, size), np.uint8)
    if defective:
        for centre in rng.integers(size // 8, size - size // 8, size=(3, 2)):
            cv2.circle(mask, (int(centre[0]), int(centre[1])), size // 18, 1, -1)
    coarse = rng.normal(size=(size // 8, size // 8)).astype(np.float32)
    smooth = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    noise = rng.standard_normal((size, size), dtype=np.float32)
    return smooth + np.float32(0.1) * noise + mask.astype(np.float32), mask.astype(bool)


def peak_rss_mb() -> float | None:
    """Largest resident memory of this process so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=100)
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    seconds = 0.0
    with PixelScores() as pixels:
        for number in range(options.maps):
            anomaly_map, mask = example(rng, options.size, defective=number % 2 == 1)
            start = time.perf_counter()
            pixels.add(anomaly_map, mask)
            seconds += time.perf_counter() - start
        start = time.perf_counter()
        auroc, aupro = pixels.auroc(), pixels.aupro()
        ranking = time.perf_counter() - start
    figures = {
        "benchmark": "pixel_metrics",
        "maps": options.maps,
        "size": options.size,
        "seconds": round(seconds + ranking, 3),
        "seconds_adding": round(seconds, 3),
        "peak_rss_mb": peak_rss_mb(),
        "auroc": auroc,
        "aupro": aupro,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
