"""Every detector, resize rule and size on the development sets: how the default was chosen.

Each run trains on the default split and evaluates the whole test set. A finished run is kept in
docs/default_detector.json and never run again, so the script can be stopped and started at will:

    python benchmarks/default_detector.py            # run what is missing, rewrite the table
    python benchmarks/default_detector.py --table    # rewrite the table only
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from blemish.dataset import Dataset, open_dataset
from blemish.evaluation import evaluate
from blemish.inspector import Inspector
from blemish.training import Plan, train

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "docs" / "default_detector.json"
PAGE = ROOT / "docs" / "default_detector.md"
SETS = ("magnetic_tile", "tire", "elpv mono", "fabric_04")
INPUTS = (("squash", 256), ("pad", 256), ("squash", 320))
VARIANTS: list[tuple[str, dict[str, str]]] = [
    ("padim", {}),
    ("patchcore", {}),
    ("patchcore", {"whiten": "yes"}),
    ("duet", {}),
]


@dataclass(frozen=True)
class Run:
    """One training and evaluation."""

    data: str
    detector: str
    resize: str
    size: int
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The run in words."""
        settings = "".join(f" {key}={value}" for key, value in self.settings.items())
        return f"{self.data} | {self.detector}{settings} {self.resize} {self.size}"


def runs() -> list[Run]:
    choices = itertools.product(INPUTS, VARIANTS, SETS)
    return [Run(data, name, resize, size, s) for (resize, size), (name, s), data in choices]


def open_set(name: str) -> Dataset:
    if name == "elpv mono":
        spec = find_spec("elpv_dataset")
        if spec is None or spec.origin is None:
            raise SystemExit("elpv-dataset is not installed; make install brings it")
        return open_dataset(Path(spec.origin).parent / "data", category="mono")
    return open_dataset(DATA / name)


def measure(run: Run, folder: Path) -> dict[str, Any]:
    data = open_set(run.data)
    plan = Plan(
        detector=run.detector,
        settings=run.settings,
        size=run.size,
        resize=run.resize,
        tile=256 if run.data == "fabric_04" else None,
        cache=folder / "cache",
    )
    trained = train(data, folder / "model.blemish", plan)
    evaluation = evaluate(Inspector.open(trained.path), data)
    evaluation.refuse_unreadable()
    figures = evaluation.figures
    return {
        "auroc": figures["image"]["auroc"],
        "interval": figures["image"]["auroc_interval"],
        "sample_auroc": figures["sample"] and figures["sample"]["auroc"],
        "aupro": figures["pixel"]["aupro"],
        "recall": figures["decision"]["recall"],
        "fpr": figures["decision"]["fpr"],
    }


def table(results: dict[str, Any]) -> list[str]:
    head = "| detector | input | " + " | ".join(SETS) + " |"
    lines = [head, "|---" * (len(SETS) + 2) + "|"]
    for (resize, size), (name, settings) in itertools.product(INPUTS, VARIANTS):
        found = [results.get(Run(data, name, resize, size, settings).key) for data in SETS]
        label = name + (" whitened" if settings else "")
        lines.append(f"| {label} | {resize} {size} | " + " | ".join(map(_cell, found)) + " |")
    return lines


def _cell(figures: dict[str, Any] | None) -> str:
    if figures is None:
        return "-"
    aupro = "" if figures["aupro"] is None else f" / {figures['aupro']:.3f}"
    return f"{figures['auroc']:.3f}{aupro}"


def write_table(results: dict[str, Any]) -> None:
    start, end = "<!-- table -->", "<!-- end of table -->"
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(start)
    after = rest.partition(end)[2]
    text = "\n".join([before + start, *table(results), end]) + after
    PAGE.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", action="store_true", help="run nothing, rewrite the table")
    parser.add_argument("--sets", nargs="*", default=SETS)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    if RESULTS.exists():
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        for run in runs():
            if options.table or run.key in results or run.data not in options.sets:
                continue
            results[run.key] = measure(run, Path(folder))
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            print(run.key, json.dumps(results[run.key]), flush=True)
    if PAGE.exists():
        write_table(results)


if __name__ == "__main__":
    main()
