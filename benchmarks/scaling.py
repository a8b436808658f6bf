"""What a bench costs as it grows: training images, image size, memory bank, workers.

    python benchmarks/scaling.py                 # measures what is not measured yet; prints a line
    python benchmarks/scaling.py --write         # and rewrites docs/scaling.md and the rates
    python benchmarks/scaling.py --budget 480    # starts no measurement after so many seconds

Every point is a training and an evaluation of 128 x 128 to 512 x 512 px inputs in a process of its
own, on copies of drawn plates, each shifted and with noise of its own. Points are kept in
build/scaling.json, so that a stopped measurement goes on. Masks and real images cost more to read;
what is beyond the measured points is extrapolated, and the page says so.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from blemish.benchmark.code import this_machine
from blemish.benchmark.costs import machine_name
from blemish.benchmark.forecast import BACKBONE_SIZE, Rate, backbone_seconds
from blemish.published import published
from measuring import ROOT, print_line, run_child, write_between_marks
from pictures import plate, write_plates

DETECTORS = ("padim", "patchcore", "duet")
USUAL = {"padim": 256, "patchcore": 256, "duet": 320}
KEPT = ROOT / "build" / "scaling.json"
POOL = ROOT / "build" / "scaling"
PAGE = ROOT / "docs" / "scaling.md"
RATES = ROOT / "src" / "blemish" / "benchmark" / "rates.json"
TEST = 100  # images

_POINT = """
import json, sys, time, resource
from pathlib import Path
from blemish.dataset import open_dataset
from blemish.evaluation import evaluate
from blemish.inspector import Inspector
from blemish.training import Plan, train
folder, detector, size, settings = sys.argv[1:5]
data = open_dataset(Path(folder, "data"))
model = Path(folder, "model.blemish")
plan = Plan(detector, settings=json.loads(settings), size=int(size), cache=Path(folder, "cache"))
start = time.perf_counter()
train(data, model, plan)
middle = time.perf_counter()
evaluate(Inspector.open(model), data)
end = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"train": middle - start, "test": end - middle, "peak_rss_mb": peak}))
"""


@dataclass(frozen=True)
class Point:
    """One training and evaluation: `images` learn, 100 are tested, `size` is the input's side."""

    study: str
    detector: str
    images: int
    size: int
    bank: int = 0

    @property
    def key(self) -> str:
        """What its figures are kept under."""
        return " ".join(map(str, asdict(self).values()))


def points() -> Iterator[Point]:
    """Every point of the studies, the cheap ones first."""
    for images in (100, 316, 1000, 3162, 10000):
        for detector in DETECTORS:
            if images <= 3162 or detector == "padim":
                yield Point("images", detector, images, USUAL[detector])
    for size in (128, 256, 384, 512):
        for detector in DETECTORS:
            yield Point("size", detector, 200, size)
    for bank in (500, 2000, 8000, 32000):
        yield Point("bank", "patchcore", 400, 256, bank)


def measure(point: Point) -> dict[str, float]:
    """Seconds of training and of testing 100 images, and peak memory; a cold cache."""
    KEPT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT.parent) as name:
        folder = Path(name)
        write_set(folder / "data", point.images)
        settings = json.dumps({"bank": str(point.bank)} if point.bank else {})
        arguments: list[str | Path] = [
            "-c",
            _POINT,
            folder,
            point.detector,
            str(point.size),
            settings,
        ]
        child = run_child(arguments, {})
    figures: dict[str, float] = json.loads(child.output)
    return {**figures, "backbone": backbone_seconds(point.size)}


def write_set(folder: Path, images: int) -> None:
    """So many good plates to learn from, and 50 good and 50 other ones to test."""
    for number in range(len(made := sorted(POOL.glob("*.jpg"))), images):
        made.append(_copy(number))
    target = folder / "train" / "good"
    target.mkdir(parents=True)
    for picture in made[:images]:
        (target / picture.name).hardlink_to(picture)
    for kind, seed in (("good", 1), ("odd", 2)):
        drawn = write_plates(folder / kind, TEST // 2, seed=seed)
        target = folder / "test" / kind
        target.mkdir(parents=True)
        for picture in drawn:
            picture.rename(target / picture.name)


def _copy(number: int) -> Path:
    """One of twenty plates, shifted by up to 8 pixels and with noise that is laid on elsewhere."""
    rng = np.random.default_rng(number)
    shift, place = rng.integers(-8, 9, size=2), rng.integers(0, 600, size=2)
    moved = np.roll(_plate(number % 20), shift, axis=(0, 1))
    noisy = cv2.add(moved, np.roll(_noise(), place, axis=(0, 1)), dtype=cv2.CV_8U)
    _, data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 95])
    POOL.mkdir(parents=True, exist_ok=True)
    path = POOL / f"{number:06}.jpg"
    path.write_bytes(data.tobytes())
    return path


@functools.cache
def _plate(number: int) -> Any:
    return plate(np.random.default_rng(number))


@functools.cache
def _noise() -> Any:
    return np.rint(np.random.default_rng(0).normal(0, 2, (600, 800, 3))).astype(np.int16)


def measure_all(budget: float | None) -> dict[str, dict[str, float]]:
    """What is kept, and every point that is not; as many as the budget lets start."""
    kept: dict[str, dict[str, float]] = {}
    if KEPT.exists():
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
    began = time.monotonic()
    for point in points():
        if point.key in kept or (budget is not None and time.monotonic() - began > budget):
            continue
        kept[point.key] = measure(point)
        KEPT.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return kept


def rate(detector: str, kept: dict[str, dict[str, float]]) -> Rate:
    """The straight line through the training seconds of the fewest and of 3,162 images.

    It leaves out how a training of very many bends; the table shows by how much.
    """
    size = USUAL[detector]
    few, many = (kept[Point("images", detector, n, size).key] for n in (100, 3162))
    slope = (many["train"] - few["train"]) / (3162 - 100)
    # A run evaluates in the process that trained, so what starts is paid for once.
    start = max(0.0, few["train"] - 100 * slope)
    return Rate(size, round(start, 3), round(slope, 5), round(few["test"] / TEST, 5))


def backbone(size: int, kept: dict[str, dict[str, float]]) -> float:
    """Seconds of the bare backbone at that size, the median over the points that have it."""
    return statistics.median(kept[p.key]["backbone"] for p in points() if p.size == size)


def tables(kept: dict[str, dict[str, float]], machine: str) -> list[str]:
    lines = [f"Measured by `python benchmarks/scaling.py --write` on {machine}.", ""]
    lines += ["### Training images", ""]
    lines += ["| detector | images | training, s | s per image | peak memory, MB |"]
    lines += ["|---|---:|---:|---:|---:|"]
    lines += [
        f"| {p.detector} | {p.images:,} | {f['train']:.1f} | {f['train'] / p.images:.4f} "
        f"| {f['peak_rss_mb']:.0f} |"
        for p, f in _of("images", kept)
    ]
    lines += _beyond(kept)
    lines += ["", "### Side of the input", ""]
    lines += ["| detector | px | training on 200, s | one tested image, ms | bare backbone, ms |"]
    lines += ["|---|---:|---:|---:|---:|"]
    lines += [
        f"| {p.detector} | {p.size} | {f['train']:.1f} | {1000 * f['test'] / TEST:.0f} "
        f"| {1000 * backbone(p.size, kept):.0f} |"
        for p, f in sorted(_of("size", kept), key=lambda at: (at[0].detector, at[0].size))
    ]
    lines += ["", "### Memory bank of PatchCore", ""]
    lines += ["| patches | training on 400, s | one tested image, ms | peak memory, MB |"]
    lines += ["|---:|---:|---:|---:|"]
    lines += [
        f"| {p.bank:,} | {f['train']:.1f} | {1000 * f['test'] / TEST:.0f} "
        f"| {f['peak_rss_mb']:.0f} |"
        for p, f in _of("bank", kept)
    ]
    return lines


def _beyond(kept: dict[str, dict[str, float]]) -> Iterator[str]:
    """Extrapolated lines of the table: more images than were measured."""
    for detector in DETECTORS:
        line = rate(detector, kept)
        seconds = f"{line.seconds(100_000, 0, line.size):,.0f}, extrapolated"
        yield f"| {detector} | 100,000 | {seconds} | {line.train_image:.4f} | - |"


def _of(study: str, kept: dict[str, dict[str, float]]) -> list[tuple[Point, dict[str, float]]]:
    return [(p, kept[p.key]) for p in points() if p.study == study and p.key in kept]


def real_iad(rates: dict[str, Rate], efficiency: float) -> list[str]:
    """Hours for Real-IAD's noisy protocol on one such machine, and on ten of them."""
    sizes = [row for row in published("real_iad_fuiad_sizes") if row["defective_test"] == "100"]
    lines = ["| runs | one PC, h | ten workers, h |", "|---|---:|---:|"]
    hours = {}
    for name, one in rates.items():
        seconds = 0.0
        for row in sizes:
            train = int(row["train_real_iad_images"])
            seconds += 30 * 3 * one.seconds(train, 1000, 256)
        # Without noise a category learns from no more than with the least of it.
        seconds += 30 * 3 * one.seconds(int(sizes[0]["train_real_iad_images"]), 1000, 256)
        hours[name] = seconds / 3600
        words = f"{name}: 30 categories, 4 noise ratios, 3 seeds"
        lines.append(f"| {words} | {hours[name]:.1f} | {_ten(hours[name], efficiency):.1f} |")
    dearest = max(hours.values())
    total = 8 * dearest
    lines.append(
        f"| eight methods, each as dear as the dearest of these | {total:.0f} "
        f"| {_ten(total, efficiency):.1f} |"
    )
    trained = 5 * 30 * 4 * 3 * 600 / 3600
    with_budget = sum(hours.values()) + trained
    lines.append(
        "| these three, and five that are trained for ten minutes a run (`--budget 10m`) "
        f"| {with_budget:.0f} | {_ten(with_budget, efficiency):.0f} |"
    )
    return lines


def _ten(hours: float, efficiency: float) -> float:
    return hours / 10 / efficiency


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="rewrite the page and the rates")
    parser.add_argument("--budget", type=float, help="seconds after which nothing is started")
    parser.add_argument(
        "--efficiency",
        type=float,
        default=1.0,
        help="how much of ten machines is left, by dask/gain of bench_runner.py over two",
    )
    options = parser.parse_args()
    kept = measure_all(options.budget)
    left = [point.key for point in points() if point.key not in kept]
    figures: dict[str, Any] = {"points": kept, "left": left}
    if options.write:
        if left:
            raise SystemExit(f"{len(left)} points are not measured yet: {left[0]}, ...")
        machine = machine_name(this_machine())
        rates = {name: rate(name, kept) for name in DETECTORS}
        content = {
            "machine": machine,
            "backbone_seconds": round(backbone(BACKBONE_SIZE, kept), 5),
            "rates": {name: asdict(one) for name, one in rates.items()},
        }
        RATES.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        lines = tables(kept, machine)
        lines += ["", "### Real-IAD with noise (Table 4)", ""]
        lines += [
            f"Ten workers are counted as {10 * options.efficiency:.2f} (`--efficiency "
            f"{options.efficiency:g}`, half of what two Dask workers gain by `bench_runner.py`).",
            "",
        ]
        lines += real_iad(rates, options.efficiency)
        write_between_marks(PAGE, ["", *lines, ""])
    print_line("scaling", figures)


if __name__ == "__main__":
    main()
