"""Images per second of `blemish data check`, beside bare decoding with the same reader.

Prints one line of JSON. `decode` reads images and masks and does nothing with them, `survey` is
what the check does with each image; both in fresh processes, on the set repeated until it has
`--images` images. `check` is the whole command on the set as it is, near duplicates and all.
`to_decoding` is the processor time of the survey over that of decoding, which other work on the
machine falsifies less.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from measuring import absent, data_set, print_line, run_child

SETS = ("magnetic_tile", "elpv")
THREADS = (1, 2)


def decode(folder: Path, images: int) -> tuple[float, float]:
    """Wall and processor seconds of reading images and masks alone."""
    from blemish.dataset import open_dataset
    from blemish.images import read_image
    from blemish.util.threads import default_threads, in_order

    data = open_dataset(folder)
    rows = list(zip(data.images, data.masks, strict=True))

    def read(number: int) -> None:
        for path in rows[number % len(rows)]:
            if path is not None:
                read_image(path)

    start, cpu = time.perf_counter(), time.process_time()
    for _ in in_order(read, range(images), default_threads()):
        pass
    return time.perf_counter() - start, time.process_time() - cpu


def survey(folder: Path, images: int) -> tuple[float, float]:
    """Wall and processor seconds of the survey."""
    import numpy as np

    from blemish.dataset import open_dataset
    from blemish.dataset.survey import survey

    data = open_dataset(folder)
    repeated = data.take(np.arange(images) % len(data))
    start, cpu = time.perf_counter(), time.process_time()
    survey(repeated)
    return time.perf_counter() - start, time.process_time() - cpu


def measure(folder: Path, images: int) -> dict[str, Any]:
    """Rates by thread count, and the peak memory of the last survey."""
    figures: dict[str, Any] = {"decode": {}, "survey": {}, "check": {}, "to_decoding": {}}
    for threads in THREADS:
        cpu = {}
        for step in ("decode", "survey"):
            arguments: list[str | Path] = [
                __file__,
                "--step",
                step,
                "--folder",
                folder,
                "--images",
                str(images),
            ]
            child = run_child(arguments, {"BLEMISH_THREADS": str(threads)})
            seconds, cpu[step] = json.loads(child.output)
            figures[step][str(threads)] = round(images / seconds, 1)
            figures["peak_rss_mb"] = child.peak_rss_mb
        command: list[str | Path] = ["-m", "blemish", "data", "check", folder, "--json", "-"]
        checked = run_child(command, {"BLEMISH_THREADS": str(threads)})
        rate = json.loads(checked.output)["images_per_second"]
        figures["check"][str(threads)] = round(rate, 1)
        figures["to_decoding"][str(threads)] = round(cpu["survey"] / cpu["decode"], 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--step", choices=("decode", "survey"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step = {"decode": decode, "survey": survey}[options.step]
        print(json.dumps(step(options.folder, options.images)))
        return
    figures: dict[str, Any] = {"images": options.images}
    for name in SETS:
        folder = data_set(name)
        figures[name] = (
            {"skipped": absent(name)} if folder is None else measure(folder, options.images)
        )
    print_line("data_check", figures)


if __name__ == "__main__":
    main()
