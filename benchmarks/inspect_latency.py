"""Inspecting one image against the bare backbone on the same image; prints one line of JSON.

One process, one number of threads, and all arms take turns, so that what else the machine does hits
them alike. The yardstick is the backbone cut at the deepest layer that the detector reads; the
whole bundled backbone, which takes longer, is timed beside it. The picture is a defective tire of
600 x 800 pixels, or a generated plate of that size where the set is absent.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blemish.dataset import open_dataset
from blemish.detectors import open_detector
from blemish.features.backbone import Layer, open_backbone
from blemish.features.session import open_session
from blemish.graph.builder import Graph
from blemish.graph.join import join
from blemish.images import crops, fit, read_eight_bit, unfit
from blemish.inspector import Inspector, regions
from blemish.model.artifact import open_artifact
from blemish.model.card import Card
from blemish.training import Plan, train
from blemish.util.finite import LARGEST
from blemish.util.threads import default_threads
from measuring import data_set, print_line
from pictures import write_copies, write_plates

if TYPE_CHECKING:  # blemish comes first, and turns its telemetry off
    import onnxruntime

DETECTORS = ("padim", "patchcore", "duet")
INSPECTIONS = ("rejected_file", "rejected_array", "passed_file", "passed_array")
TRAINING_IMAGES = 24


def make_set(folder: Path) -> Path:
    """Write a few training pictures; the path of the picture to inspect."""
    tire = data_set("tire")
    if tire is None:
        return write_plates(folder, TRAINING_IMAGES + 1)[-1]
    write_copies(folder, sorted((tire / "train" / "good").iterdir())[:TRAINING_IMAGES], 1)
    return min((tire / "test" / "hole").iterdir())


def bare_backbone(layer: Layer, height: int, width: int) -> onnxruntime.InferenceSession:
    """A session of the backbone up to one layer, which is its only output."""

    def no_head(graph: Graph) -> tuple[str, str]:
        return layer.name, layer.name

    backbone = join(open_backbone().path, [layer.name], height, width, no_head)
    return open_session(backbone).runtime


def deepest(names: tuple[str, ...]) -> Layer:
    """The layer that comes last in the backbone."""
    order = [layer.name for layer in open_backbone().layers]
    return open_backbone().layer(max(names, key=order.index))


def arms(model: Path, detector: str, picture: Path) -> dict[str, Callable[[], Any]]:
    """What is timed for one detector, by name."""
    artifact = open_artifact(model)
    rejects, passes = Inspector.of(artifact), Inspector.of(artifact)
    rejects.card = _with_threshold(artifact.card, -LARGEST)
    passes.card = _with_threshold(artifact.card, LARGEST)
    recipe = rejects.recipe
    pixels = read_eight_bit(picture, recipe.window)
    tensor, valid = fit(pixels, recipe)
    feed: dict[str, Any] = {"image": tensor[None], "valid": valid[None]}
    graph = open_session(artifact.model)
    (map_,) = graph.run(["map"], feed)
    whole_map = unfit(map_[0], valid, recipe, pixels.shape)
    level = artifact.card.calibration.map_threshold
    layer = deepest(open_detector(detector).layers)
    cut = bare_backbone(layer, recipe.height, recipe.width)
    whole = open_session(open_backbone().path).runtime
    return {
        "backbone": lambda: cut.run(["map"], {"image": tensor[None]}),
        "whole_backbone": lambda: whole.run([layer.name], {"image": tensor[None]}),
        "rejected_file": lambda: rejects.inspect(picture),
        "rejected_array": lambda: rejects.inspect(pixels),
        "passed_file": lambda: passes.inspect(picture),
        "passed_array": lambda: passes.inspect(pixels),
        "read": lambda: read_eight_bit(picture, recipe.window),
        "fit": lambda: list(crops(pixels, recipe)),
        "graph": lambda: graph.run(["map", "score"], feed),
        "map": lambda: unfit(map_[0], valid, recipe, pixels.shape),
        "regions": lambda: regions(whole_map, level),
    }


def _with_threshold(card: Card, threshold: float) -> Card:
    return card.with_calibration(replace(card.calibration, threshold=threshold))


def take_turns(arms: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The median milliseconds of each arm over that many rounds, after a tenth for warming up."""
    times: dict[str, list[float]] = {name: [] for name in arms}
    order, shuffler = list(arms), random.Random(0)
    for number in range(-max(3, rounds // 10), rounds):
        shuffler.shuffle(order)  # what ran just before leaves its traces in the caches
        for name in order:
            start = time.perf_counter()
            arms[name]()
            if number >= 0:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: round(statistics.median(values), 3) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    figures: dict[str, Any] = {"rounds": rounds, "threads": default_threads()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture = make_set(folder / "set")
        data = open_dataset(folder / "set")
        figures["pixels"] = list(np.shape(read_eight_bit(picture)))
        for detector in DETECTORS:
            model = folder / f"{detector}.blemish"
            train(data, model, Plan(detector=detector, cache=folder / "cache"))
            ms = take_turns(arms(model, detector, picture), rounds)
            figures[detector] = {"ms": ms} | {
                f"to_{yardstick}": {key: round(ms[key] / ms[yardstick], 2) for key in INSPECTIONS}
                for yardstick in ("backbone", "whole_backbone")
            }
    print_line("inspect_latency", figures)


if __name__ == "__main__":
    main()
