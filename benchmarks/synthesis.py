"""Milliseconds of each defect generator for one 256 x 256 patch on one thread, by preset and kind.

Prints one line of JSON. `ms` is wall time, `cpu_ms` processor time, which other work on the machine
falsifies less. Patches are pieces of generated plates; NSA takes its pieces from another plate.
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np
import numpy.typing as npt

from blemish.demo.steel_plates import Shot, draw_plate, photograph
from blemish.synthesis import generator_names, of_same_product, open_generator, preset_names
from blemish.synthesis.base import Generator, Pixels
from measuring import print_line

KINDS = ("grey", "rgb", "grey 12 bits")
SIDE = 256
PLATES = 8


def patches() -> list[npt.NDArray[np.uint8]]:
    """One RGB piece of each of a few plates."""
    found = []
    for seed in range(PLATES):
        rng = np.random.default_rng(seed)
        plate = cv2.resize(photograph(draw_plate(rng), Shot.drawn(rng)), (640, 480))
        top, left = rng.integers(0, [480 - SIDE, 640 - SIDE]).tolist()
        found.append(np.ascontiguousarray(plate[top : top + SIDE, left : left + SIDE], np.uint8))
    return found


def as_kind(patch: npt.NDArray[np.uint8], kind: str) -> Pixels:
    """The patch in grey, or in 12 of 16 bits."""
    if kind == "rgb":
        return patch
    grey = patch[..., 1]
    return np.ascontiguousarray(grey if kind == "grey" else grey.astype(np.uint16) * 16)


def measure(generator: Generator, images: list[Pixels], count: int) -> dict[str, float]:
    """Milliseconds per patch, and the share of patches with a visible defect."""
    for image in images:
        generator(image, np.random.default_rng(0))
    found = 0
    start, cpu = time.perf_counter(), time.process_time()
    for number in range(count):
        image = images[number % len(images)]
        found += bool(generator(image, np.random.default_rng(number)).mask.any())
    return {
        "ms": round(1000 * (time.perf_counter() - start) / count, 2),
        "cpu_ms": round(1000 * (time.process_time() - cpu) / count, 2),
        "visible": round(found / count, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=1000, help="for each generator")
    count = parser.parse_args().patches
    cv2.setNumThreads(1)
    drawn = patches()
    figures: dict[str, dict[str, dict[str, float]]] = {"ms": {}, "cpu_ms": {}, "visible": {}}
    for name in generator_names():
        few = count if name == "random_walk" else max(1, count // 10)
        for kind in (*KINDS, *preset_names(name)):
            images = [as_kind(patch, kind if kind in KINDS else "grey") for patch in drawn]
            generator = open_generator(
                name,
                preset=None if kind in KINDS else kind,
                sources=images[:1] if of_same_product(name) else [],
            )
            for what, figure in measure(generator, images, few).items():
                figures[what].setdefault(name, {})[kind] = figure
    print_line("synthesis", {"patches": count, **figures})


if __name__ == "__main__":
    main()
