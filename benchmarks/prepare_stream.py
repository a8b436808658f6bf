"""Patches a second of `blemish prepare stream`, and its memory; prints one line of JSON.

Drawn plates of 4000 x 3000 pixels, 256 x 256 patches with all augmentations of LSM-1, half of them
with a random-walk defect. "memory" makes patches of plates in memory with all cores and drops them;
"to_hdf5" is the whole command, from PNG files to the finished file. Peak memory is the sum over all
of its processes; pages of plates that they share count for each. Processor seconds, which other
work on the machine falsifies less than the time, are told where the system does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from measuring import print_line

HEIGHT, WIDTH = 3000, 4000
RECIPE = """
modality = "LSM-1"
[plates]
train = ["*.png"]
[generator]
preset = "dark_field"
"""


def draw_plate(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Print in grids and waves on a dark plate, on a darker table."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    waves = np.sin(columns / 9 + 3 * np.sin(rows / 90 + seed)) > 0.3
    grid = (rows % 48 < 3) | (columns % 61 < 3)
    grey = 40 + 45 * waves * (rows % 700 < 350) + 60 * grid * (rows % 700 >= 350)
    edge = 100 + 10 * seed
    table = np.ones((HEIGHT, WIDTH), bool)
    table[edge:-edge, edge:-edge] = False
    grey[table] = 5
    noisy = grey + rng.normal(0, 3, grey.shape).astype(np.float32)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


_maker: Any = None  # of each process


def make(numbers: range) -> int:
    """Make patches and drop them; how many there were."""
    for number in numbers:
        _maker(number)
    return len(numbers)


def begin(root: Path) -> None:
    """Hold the plates in memory."""
    from blemish.prepare.known_defects import read_known_defects
    from blemish.prepare.patch_recipe import open_recipe
    from blemish.prepare.plate_opener import open_plates
    from blemish.prepare.plates import Plate, plate_files
    from blemish.prepare.supervised_stream import SupervisedPatches

    global _maker
    cv2.setNumThreads(1)
    recipe = open_recipe(root / "recipe.toml")
    files = plate_files(recipe)
    plates = [
        Plate(plate.name, np.array(plate.pixels()), plate.top, plate.region, plate.places)
        for plate in open_plates(
            files["train"], recipe, read_known_defects(recipe, files), root / "npy"
        )
    ]
    _maker = SupervisedPatches(
        *(plates, 256, recipe.augmentation, recipe.generator, [], 0, (256, 256), "uint8")
    )
    _maker(0)


def from_memory(root: Path, count: int, workers: int) -> dict[str, float | None]:
    """Patches a second, from processes that have been started."""
    before = processor_seconds()
    with ProcessPoolExecutor(workers, initializer=begin, initargs=(root,)) as pool:
        list(pool.map(make, [range(1)] * 4 * workers))  # they are ready
        start = time.perf_counter()
        spans = [range(first, min(first + 128, count)) for first in range(0, count, 128)]
        made = sum(pool.map(make, spans))
        seconds = time.perf_counter() - start
    return {"per_second": round(made / seconds, 1), "cpu_seconds": since(before)}


def to_hdf5(root: Path, count: int, workers: int) -> dict[str, float | None]:
    """Patches a second of the command, and the peak memory of its processes."""
    out = root / f"{count}.h5"
    argv = ["-m", "blemish", "prepare", "stream", root / "recipe.toml", "-o", out]
    argv += ["--count", count, "--workers", workers, "--quiet", "--json", root / "told.json"]
    before, start, peak = processor_seconds(), time.perf_counter(), 0
    process = subprocess.Popen([sys.executable, *map(str, argv)], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"prepare stream ended {process.returncode}")
    size = out.stat().st_size
    out.unlink()
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": since(before),
        "per_second": round(count / seconds, 1),
        "peak_rss_mb": round(peak / 2**20, 1),
        "file_mb": round(size / 2**20, 1),
    }


def processor_seconds() -> float | None:
    """Of all processes that were started here and have ended."""
    if sys.platform == "win32":
        return None
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def since(before: float | None) -> float | None:
    """Processor seconds of what has ended since."""
    now = processor_seconds()
    return None if now is None or before is None else round(now - before, 1)


def resident(pid: int) -> int:
    """Bytes in memory of a process and of all that it started."""
    total = 0
    try:
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.Error:
        pass  # one of them has ended
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--plates", type=int, default=4)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for number in range(options.plates):
            cv2.imwrite(str(root / f"plate_{number}.png"), draw_plate(number))
        (root / "recipe.toml").write_text(RECIPE, encoding="utf-8")
        print_line(
            "prepare_stream",
            {
                "patches": options.count,
                "workers": options.workers,
                "memory": from_memory(root, options.count, options.workers),
                "to_hdf5": to_hdf5(root, options.count, options.workers),
            },
        )


if __name__ == "__main__":
    main()
