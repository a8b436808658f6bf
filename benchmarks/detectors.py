"""Every detector's graph against its backbone, and how soon a second training takes a step.

Prints one line of JSON. The graphs see pictures of 256 x 256 with all threads, in turn with the
backbone cut at the deepest layer that the detector reads, in one process. Networks are trained for
two steps only: what a graph costs does not depend on what was learnt. The second training reads the
features that the first one cached; its seconds are counted from the call to the first step's end.
What is taught with defects draws its patches and reads no cache: it trains once.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from blemish.dataset import Dataset, open_dataset
from blemish.detectors import (
    detector_names,
    learns_from_defects,
    open_detector,
    trained_in_steps,
)
from blemish.features.session import open_session
from blemish.model.artifact import open_artifact
from blemish.training import Plan, train
from blemish.util.progress import Progress
from blemish.util.threads import default_threads
from inspect_latency import bare_backbone, deepest, take_turns
from measuring import data_set, print_line
from pictures import write_copies, write_plates

SIZE = 256
IMAGES = 200


class FirstStepError(Exception):
    """The first step of a training is done."""


def make_set(folder: Path, images: int) -> Dataset:
    """Copies of good tires, or generated plates where that set is absent."""
    tire = data_set("tire")
    if tire is None:
        write_plates(folder, images)
    else:
        write_copies(folder, sorted((tire / "train" / "good").iterdir())[:images], 1)
    return open_dataset(folder)


def graph_and_backbone(data: Dataset, name: str, folder: Path, rounds: int) -> dict[str, float]:
    """Median milliseconds of the graph and of the bare backbone, and their ratio."""
    model = folder / f"{name}.blemish"
    detector = open_detector(name)
    settings = {"steps": "2"} if trained_in_steps(name) else {}
    plan = Plan(detector=name, settings=settings, size=SIZE, cache=folder / "cache")
    train(data, model, plan)
    graph = open_session(open_artifact(model).model)
    backbone = bare_backbone(deepest(detector.layers), SIZE, SIZE)
    image = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)
    arms: dict[str, Callable[[], Any]] = {
        "graph": lambda: graph.run(["map", "score"], {"image": image}),
        "backbone": lambda: backbone.run(["map"], {"image": image}),
    }
    ms = take_turns(arms, rounds)
    return {**ms, "ratio": round(ms["graph"] / ms["backbone"], 2)}


def seconds_to_first_step(data: Dataset, name: str, folder: Path) -> float:
    """From the call of a training to the end of its first step."""

    def stop(report: Progress) -> None:
        if report.what == "training":
            raise FirstStepError

    plan = Plan(detector=name, size=SIZE, cache=folder / f"cache of {name}")
    start = time.perf_counter()
    try:
        train(data, folder / "unfinished.blemish", plan, progress=stop)
    except FirstStepError:
        return round(time.perf_counter() - start, 2)
    raise SystemExit(f"{name} reported no step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args()
    figures: dict[str, Any] = {"threads": default_threads(), "images": options.images}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_set(folder / "set", options.images)
        names = detector_names()
        ms = {name: graph_and_backbone(data, name, folder, options.rounds) for name in names}
        figures["graphs"] = ms
        figures["graph_ms"] = {name: ms[name]["graph"] for name in names if name != "uniad"}
        networks = [name for name in names if trained_in_steps(name)]
        drawn = [name for name in networks if learns_from_defects(name)]
        for training in ("first", "second"):
            figures[f"{training}_training_s"] = {
                name: seconds_to_first_step(data, name, folder)
                for name in networks
                if name not in drawn
            }
        figures["drawn_training_s"] = {
            name: seconds_to_first_step(data, name, folder) for name in drawn
        }
    print_line("detectors", figures)


if __name__ == "__main__":
    main()
