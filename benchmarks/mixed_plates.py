"""Mixed supervision on simulated plates: what a few real area defects change.

    python benchmarks/mixed_plates.py FOLDER --modality bright_field --seeds 0,1,2 --reals 0,20,all
    python benchmarks/mixed_plates.py FOLDER --preset full

Draws plates (`blemish prepare simulate`) and cuts patches of them (`blemish prepare grid`) into
FOLDER, where both stay. Thirteen plates train, with patches and with the real defects on them;
three more, good patches alone, set a threshold that 1 % of their patches exceed; eight test.
`--reals`: so many area defects, which the random walk does not draw, are taught (`all`: every
defect on the plates, points too), the first ones in an order that the seed decides. Each run's
figures are kept in FOLDER/results, and never made twice; the table of all is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl

from blemish.dataset import Dataset, open_dataset
from blemish.dataset.table import conform
from blemish.detectors import open_detector
from blemish.detectors.base import FitContext
from blemish.features.backbone import open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.images import Recipe, read_rgb
from blemish.metrics.decision import confusion, oracle_f1_threshold
from blemish.metrics.image import auroc
from measuring import run_blemish

MODALITIES = {"bright_field": "ASM", "transmission": "LSM-1", "dark_field": "LSM-2"}
VALIDATION = tuple(f"train_{number:04}" for number in (14, 15, 16))
STEPS = 938  # of 32 presentations: 30,000
CROP = 384  # pixels around a real defect
RECIPE = """modality = "{published}"
[plates]
train = ["plates/train"]
test = ["plates/test"]
grey = true
[patches]
stride = 96
[defects]
table = "plates/defects.csv"
masks = "plates/masks"
"""


def prepare(folder: Path, modality: str) -> Dataset:
    """Plates, their patches, and pictures of the real defects that may be taught."""
    plates = folder / "plates"
    counts = ["--plates", "16", "--test-plates", "8", "--defects", "16", "--seed", "7"]
    drawing = ["--modality", modality, "--size", "4000x3000", *counts, "--quiet"]
    run_blemish(["prepare", "simulate", "-o", plates, *drawing], folder / "cache")
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(published=MODALITIES[modality]), encoding="utf-8")
    if not (folder / "grid").exists():
        run_blemish(["prepare", "grid", recipe, "-o", folder / "grid", "--quiet"], folder / "cache")
    grid = open_dataset(folder / "grid")
    start = pl.lit(f"{grid.root}/")
    held = pl.col("part").is_in(VALIDATION) & (pl.col("split") == "train")
    table = grid.table.with_columns(
        image=start + pl.col("image"),
        mask=start + pl.col("mask"),
        split=pl.when(held).then(pl.lit("validation")).otherwise("split"),
    )
    return grid.with_table(pl.concat([table, cut_defects(folder, grid.categories[0])]))


def cut_defects(folder: Path, category: str) -> pl.DataFrame:
    """A picture of each defect on the plates that train, with its mask; `defect` is its group."""
    plates, out = folder / "plates", folder / "defects"
    out.mkdir(exist_ok=True)
    rows = []
    listed = pl.read_csv(plates / "defects.csv").filter(pl.col("split") == "train")
    for (plate,), marks in listed.group_by("plate", maintain_order=True):
        if plate in VALIDATION:
            continue
        scan, shown = (
            cv2.imread(str(plates / place / f"{plate}.png"), cv2.IMREAD_GRAYSCALE)
            for place in ("train", "masks/train")
        )
        assert scan is not None
        assert shown is not None
        for number, mark in enumerate(marks.iter_rows(named=True)):
            top, left = (
                int(np.clip(mark[axis] - CROP / 2, 0, side - CROP))
                for axis, side in zip("yx", scan.shape, strict=True)
            )
            own = np.zeros_like(shown)
            box = np.s_[
                mark["top"] : mark["top"] + mark["height"],
                mark["left"] : mark["left"] + mark["width"],
            ]
            own[box] = shown[box]
            names = [out / f"{plate}_{number:02}{kind}.png" for kind in ("", "_mask")]
            for name, pixels in zip(names, (scan, own), strict=True):
                cv2.imwrite(str(name), pixels[top : top + CROP, left : left + CROP])
            rows.append(
                {
                    **{"image": str(names[0]), "mask": str(names[1]), "category": category},
                    **{"split": "train", "label": "defective", "defect": mark["group"]},
                    "part": plate,
                }
            )
    return conform(pl.DataFrame(rows))


def taught(data: Dataset, real: str, seed: int) -> Dataset:
    """The training rows with so many area defects, or with all defects."""
    train = data.split("train")
    order = np.random.default_rng(seed).permutation(len(train.real()))
    drawn = train.real().take(order)
    if real != "all":
        drawn = drawn.where(pl.col("defect") == "area").take(range(int(real)))
    return data.with_table(pl.concat([train.good().table, drawn.table]))


def scores(fitted: Any, images: Sequence[Path]) -> npt.NDArray[np.float64]:
    """The score of each patch."""
    found = []
    for first in range(0, len(images), 16):
        patches = np.stack([read_rgb(image) for image in images[first : first + 16]])
        found.append(fitted.score(np.ascontiguousarray(patches)).score)
    return np.concatenate(found).astype(np.float64)


def measure(
    data: Dataset, real: str, seed: int, settings: dict[str, str], preset: str
) -> dict[str, Any]:
    """One training, and its figures at both thresholds."""
    detector = open_detector("mixed", settings, preset=preset)
    features = FeatureStream(
        open_backbone(detector.backbone), detector.layers, Recipe(256, 256, "pad", tile=256)
    )
    learnt = taught(data, real, seed)
    start = time.perf_counter()
    fitted = detector.fit(learnt, FitContext(features, seed))
    seconds = time.perf_counter() - start
    held = data.split("validation").images[::2]
    test = data.split("test")
    every = pl.int_range(pl.len()) % 3 == 0
    test = test.where((pl.col("label") == "defective") | every)
    score, labels = scores(fitted, test.images), (test.table["label"] == "defective").to_numpy()
    honest = float(np.quantile(scores(fitted, held), 0.99, method="higher"))
    figures: dict[str, Any] = {"auroc": auroc(score, labels), "fit_s": seconds, **fitted.facts}
    groups = test.table["defect"].to_numpy()
    for name, threshold in (("honest", honest), ("paper", oracle_f1_threshold(score, labels))):
        figures[name] = confusion(score, labels, threshold).to_json()
        for group in ("points", "area"):
            figures[name][group] = float((score > threshold)[groups == group].mean())
    return figures


def table(results: Path) -> list[str]:
    """Means over seeds, and their range where there are several; recall and FPR in per cent."""
    runs: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for file in results.glob("*.json"):
        run = json.loads(file.read_text(encoding="utf-8"))
        trained = " ".join([run["preset"], *(f"`{k}={v}`" for k, v in run["set"].items())])
        runs[trained, run["modality"], run["real"]].append(run["figures"])
    lines = [
        "| preset | plates | real defects taught | seeds | AUROC | points found "
        "| areas found | FPR | MCC (paper protocol) | training, s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (trained, modality, real), found in sorted(runs.items()):

        def mean(*path: str, found: list[dict[str, Any]] = found, percent: bool = False) -> str:
            values = []
            for figures in found:
                value: Any = figures
                for step in path:
                    value = value[step]
                values.append(100 * value if percent else value)
            digits = 1 if percent else 3
            text = f"{statistics.fmean(values):.{digits}f}"
            if len(values) > 1:
                text += f" ({min(values):.{digits}f} to {max(values):.{digits}f})"
            return text

        what = {"0": "none", "all": "all"}.get(real, f"{real} area")
        cells = [
            *(trained, modality, what, str(len(found)), mean("auroc")),
            *(mean("honest", group, percent=True) for group in ("points", "area", "fpr")),
            *(mean("paper", "mcc"), f"{statistics.fmean(f['fit_s'] for f in found):.0f}"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--modality", choices=MODALITIES, action="append")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--reals", default="0,20,all")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[])
    options = parser.parse_args()
    given = dict(text.split("=", 1) for text in options.set)
    results = options.folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    for modality in options.modality or MODALITIES:
        place = options.folder / modality
        place.mkdir(exist_ok=True)
        data = prepare(place, modality)
        settings = {"generator_preset": modality, "steps": str(STEPS), **given}
        for seed in map(int, options.seeds.split(",")):
            for real in options.reals.split(","):
                more = ["".join(pair) for pair in given.items()]
                name = "-".join([options.preset, modality, real, str(seed), *more])
                file = results / f"{name}.json"
                if file.exists():
                    continue
                figures = measure(data, real, seed, settings, options.preset)
                told = {"preset": options.preset, "modality": modality, "real": real, "seed": seed}
                run = {**told, "set": given, "figures": figures}
                file.write_text(json.dumps(run), encoding="utf-8")
                print(name, json.dumps(figures["honest"]), flush=True)
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
