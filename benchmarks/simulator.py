"""Speed and peak memory of simulated plates in every modality; prints one line of JSON.

Each modality draws a plate with twelve defects on one core in a fresh process, which tells how many
megapixels it draws in a second of processor time: design, print, defects and scan. Another process
draws one with `blemish prepare simulate`, which writes the files too.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from measuring import print_line, run_blemish, run_child

MODALITIES = ("dark_field", "transmission", "bright_field")
DRAW = """
import sys, time
import cv2
from blemish.simulator import simulate_plate
cv2.setNumThreads(1)
modality, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
simulate_plate(1, 1, modality, 300, 300, 1)
start = time.process_time()
simulate_plate(2, 3, modality, height, width, 12)
print(width * height / 1e6 / (time.process_time() - start))
"""
ONE_CORE = {"BLEMISH_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def drawing(modality: str, width: int, height: int, folder: Path) -> dict[str, Any]:
    """What one plate of a modality costs."""
    child = run_child(["-c", DRAW, modality, str(width), str(height)], ONE_CORE)
    plate = ["--plates", "1", "--test-plates", "0", "--size", f"{width}x{height}"]
    out = folder / modality
    command = ["prepare", "simulate", "--modality", modality, *plate, "--quiet", "-o"]
    written = run_blemish([*command, out], folder / "cache")
    size = (out / "train" / "train_0001.png").stat().st_size
    return {
        "megapixels_per_second": round(float(child.output), 1),
        "command": written.cost,
        "file_mb": round(size / 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", nargs=2, type=int, default=[8000, 6000], metavar=("W", "H"))
    options = parser.parse_args()
    width, height = options.size
    with tempfile.TemporaryDirectory() as name:
        found = {m: drawing(m, width, height, Path(name)) for m in MODALITIES}
    figures = {
        "size": options.size,
        "slowest": min(each["megapixels_per_second"] for each in found.values()),
        "peak_rss_mb": max(each["command"]["peak_rss_mb"] for each in found.values()),
        "modalities": found,
    }
    print_line("simulator", figures)


if __name__ == "__main__":
    main()
