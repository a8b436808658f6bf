"""Mixed supervision: patches a second in training, against bare steps, and a line scan's seconds.

Prints one line of JSON. `cpu` trains on a folder of PNG patches of 256 pixels, from the first
step's end to the last one's: reading, augmentation, synthesis and early stopping are in it. Patches
have 128 pixels, are turned and lit as ISP-AD's ASM, and are drawn for one showing each: the head
alone, and with the last stage. `shown` are presentations a second of the defaults, 256 pixels, each
shown four times. `parts_ms` are milliseconds a patch of each part of the first, one after the
other. `everything` trains the whole of a backbone, without early stopping, in turn with bare steps
(forward, loss, backward, SGD) on random pixels of the same shape in the same process. `line_scan`
are seconds from the file of a picture of 4096 x 256 to its map.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blemish.dataset import Dataset, open_dataset
from blemish.detectors._brightness_and_blur import Exposure
from blemish.detectors._patch_classifier import FrozenFeatures, PatchClassifier, Stages
from blemish.detectors._patch_sampler import PatchSampler
from blemish.detectors.base import FitContext
from blemish.detectors.mixed import Mixed
from blemish.detectors.network import DEVICE
from blemish.features.backbone import BUNDLED, open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.features.import_backbone import import_backbone
from blemish.images import Recipe, read_eight_bit
from blemish.inspector import Inspector
from blemish.model.artifact import open_artifact
from blemish.prepare.patch_recipe import Augmentation
from blemish.synthesis import open_generator
from blemish.training import Plan, train
from blemish.util.progress import Progress
from blemish.util.threads import default_threads
from measuring import print_line
from pictures import write_plates

RESNET = "resnet18-random"
SCAN = (256, 4096)
SIDE = 128  # of a patch
MODALITY = "ASM"  # whose augmentation is measured too
TILE = Mixed.usual_tile
RECIPE = Recipe(TILE, TILE, "squash", tile=TILE)


def make_set(folder: Path, count: int) -> Dataset:
    """Patches of 256 x 256 pixels of generated plates, as PNG files."""
    import cv2

    plates = [read_eight_bit(path) for path in write_plates(folder / "plates", 8)]
    (folder / "patches").mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        drawn = plates[number % len(plates)]
        size = (max(640, drawn.shape[1]), max(480, drawn.shape[0]))
        plate = np.asarray(cv2.resize(drawn, size), np.uint8)
        top, left = rng.integers(0, np.array(plate.shape[:2]) - TILE).tolist()
        patch = np.ascontiguousarray(plate[top : top + TILE, left : left + TILE])
        cv2.imwrite(str(folder / "patches" / f"{number:05}.png"), patch)
    return open_dataset(folder / "patches")


def per_second(data: Dataset, detector: Mixed) -> float:
    """Patches a second from the end of a training's first step to the end of its last."""
    ends: list[float] = []

    def note(report: Progress) -> None:
        if report.what == "training":
            ends.append(time.perf_counter())

    features = FeatureStream(open_backbone(detector.backbone), detector.layers, RECIPE)
    detector.fit(data, FitContext(features, seed=0, progress=note))
    return detector.batch * (len(ends) - 1) / (ends[-1] - ends[0])


def bare_per_second(detector: Mixed, steps: int) -> float:
    """The same of bare steps on random pixels, with nothing to read or to draw."""
    backbone = open_backbone(detector.backbone)
    stages = Stages.of(backbone, detector.layers, detector.frozen)
    network = PatchClassifier(backbone, stages, detector.hidden).to(DEVICE).train()
    trained = [weights for weights in network.parameters() if weights.requires_grad]
    sgd = torch.optim.SGD(trained, detector.rate, detector.momentum, nesterov=True)
    shape = (detector.batch, SIDE, SIDE, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    labels = (torch.arange(detector.batch, device=DEVICE) % 2).float()
    torch.set_num_threads(default_threads())
    start = 0.0
    for step in range(steps):
        if step == 1:
            _wait_for_device()
            start = time.perf_counter()
        sgd.zero_grad(set_to_none=True)
        logits = network({"image": images}).amax((1, 2))
        torch.nn.functional.binary_cross_entropy_with_logits(logits, labels).backward()  # type: ignore[no-untyped-call]
        sgd.step()
    _wait_for_device()
    return detector.batch * (steps - 1) / (time.perf_counter() - start)


def _wait_for_device() -> None:
    """A GPU is only told what to do; the CPU has done it."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def everything(data: Dataset, name: str, layer: str, steps: int, rounds: int) -> dict[str, float]:
    """Patches a second of both, medians of so many rounds in turn, and their ratio."""
    detector = Mixed(
        backbone=name, layers=(layer,), frozen=None, patch_size=SIDE, hidden=None, cell_weight=0.0,
        steps=steps, shows=1, held_out=0.0, batch=16, rate=0.01,
    )  # fmt: skip
    pairs = [(per_second(data, detector), bare_per_second(detector, steps)) for _ in range(rounds)]
    ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return {"per_second": round(ours, 1), "bare": round(bare, 1), "ratio": round(ratio, 3)}


def parts_ms(data: Dataset, count: int) -> dict[str, float]:
    """Milliseconds a patch of what a training does, each alone; a step has 32 patches."""
    detector = Mixed(patch_size=SIDE, modality=MODALITY)
    backbone = open_backbone(detector.backbone)
    stages = Stages.of(backbone, detector.layers, detector.frozen)
    drawn = PatchSampler(
        data,
        RECIPE,
        SIDE,
        0,
        synthetic=detector.synthetic,
        real=0.0,
        generator=open_generator("random_walk"),
        augmentation=Augmentation.published(MODALITY),
    )
    plain = replace(drawn, synthetic=0.0)
    still = replace(plain, augmentation=Augmentation(0.0))
    plain.batch(0, len(data)), drawn.batch(0, len(data)), still.batch(0, len(data))
    source = FrozenFeatures(backbone, stages, Exposure())
    network = PatchClassifier(backbone, stages, detector.hidden).to(DEVICE).train()
    shown = drawn.batch(0, detector.batch)
    known = source(shown.patches)
    batches = max(1, count // detector.batch)

    def each(call: Callable[[int], Any]) -> float:
        start = time.perf_counter()
        for number in range(batches):
            call(number * detector.batch)
        _wait_for_device()
        return 1000 * (time.perf_counter() - start) / (batches * detector.batch)

    def step(_: int) -> None:
        detector._loss(network(known), shown).backward()  # type: ignore[no-untyped-call]

    files = data.images
    torch.set_num_threads(default_threads())
    cutting = each(lambda first: still.batch(first, detector.batch))
    turning = each(lambda first: plain.batch(first, detector.batch)) - cutting
    synthesis = each(lambda first: drawn.batch(first, detector.batch)) - cutting - turning
    found = {
        "reading": each(
            lambda first: [read_eight_bit(files[(first + i) % len(files)]) for i in range(32)]
        ),
        "cutting": cutting,
        "augmentation": turning,
        "synthesis": synthesis,
        "frozen trunk": each(lambda _: source(shown.patches)),
        "trained part": each(step),
    }
    return {name: round(ms, 3) for name, ms in found.items()}


def line_scan(data: Dataset, folder: Path, rounds: int) -> float:
    """Median seconds from a file to its map."""
    import cv2

    model = folder / "m.blemish"
    plan = Plan(detector="mixed", settings={"steps": "2", "batch": "4"}, cache=None)
    train(data, model, plan)
    scan = np.random.default_rng(0).integers(90, 140, SCAN, np.uint8)
    cv2.imwrite(str(folder / "scan.png"), cv2.GaussianBlur(scan, (0, 0), 1.2))
    inspector = Inspector.of(open_artifact(model))
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        assert inspector.look(folder / "scan.png").map.shape == SCAN
        seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds[1:]), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=400, help="in the folder")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    steps, rounds = options.steps, options.rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["BLEMISH_BACKBONES"] = str(folder / "backbones")
        import_backbone(RESNET, random=0)
        data = make_set(folder, options.patches)
        few = max(2, steps // 10)
        anew = Mixed(steps=steps, patch_size=SIDE, shows=1, modality=MODALITY)
        figures = {
            "threads": default_threads(),
            "device": torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu",
            "cpu": {
                what: round(per_second(data, detector), 1)
                for what, detector in (
                    ("per_second", anew),
                    ("last_stage", replace(anew, frozen="block14")),
                    ("shown", Mixed(steps=2 * steps)),
                )
            },
            "parts_ms": parts_ms(data, 8 * steps),
            "everything": {
                network: everything(data, backbone, layer, few, rounds)
                for network, backbone, layer in (
                    ("efficientnet_lite0", BUNDLED, "block14"),
                    ("resnet18", RESNET, "layer4"),
                )
            },
            "line_scan": {"seconds": line_scan(data, folder, 3 * rounds)},
        }
    print_line("mixed", figures)


if __name__ == "__main__":
    main()
