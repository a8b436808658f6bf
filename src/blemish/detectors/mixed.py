"""Mixed supervision: a patch classifier of good, synthetic and a few real defects (ISP-AD, 2025).

Haselmann, Krassnig and Gruber (2022), and Krassnig and Gruber, arXiv 2503.04997, sections 4.1 and
4.2: half of the good patches get a synthetic defect, each presentation is replaced with probability
1/32 by an augmented real one, and a classifier of two classes learns by cross-entropy, with SGD and
warm restarts of a cosine. Nothing is shrunk: the model sees tiles of the image as it is.

Departures: the classifier is convolutional, with a logit for every cell of the map; a patch's is
their mean (the paper's, with a linear layer behind it) or their largest. Where masks are known, the
cells learn from them too. Real defects without a mask teach by all patches of their image, of which
the largest logit counts. Training ends by good and defective parts held out of it; the paper ended
on its test set, and no preset here does. Brightness and smoothing are nodes of the model.

The presets `cpu` and `full` depart further: a head of one hidden layer reads three scales, the rate
is higher and falls to zero once, steps are far fewer, and every third presentation is a real
defect, or fewer where there are few of them. `full` trains the backbone too. In `cpu` it stays as
it is up to the layer `frozen` and is run by ONNX Runtime; that costs more than the head, so what
was drawn is shown several times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from blemish.dataset import Dataset
from blemish.detectors._ahead import Ahead
from blemish.detectors._exposure import Exposure
from blemish.detectors._held_parts import parts_held_out
from blemish.detectors._network import DEVICE, Stopping, Training, add_network, seeded
from blemish.detectors._patch_classifier import PatchClassifier, Source, Stages
from blemish.detectors._presentations import Presentations, Shown
from blemish.detectors.base import Clock, FittedDetector, ShowProgress, need_images
from blemish.errors import BlemishError
from blemish.features.backbone import BUNDLED, Backbone
from blemish.features.feature_stream import FeatureStream
from blemish.graph import blocks
from blemish.graph.builder import Graph
from blemish.graph.join import join
from blemish.images import Recipe
from blemish.metrics.image import auroc
from blemish.prepare.patch_recipe import Augmentation
from blemish.synthesis import GENERATORS, of_same_product, open_generator

RESIZE = "pad"  # a picture smaller than a tile is continued, not stretched
TILE = 256  # original pixels, as many as the model's input has: nothing is shrunk
FIRST = 8  # batches whose features set the units of the head
CHECKED = 12  # batches of held-out parts that end the training
MULTIPLE = 32  # pixels: the stride of the coarsest layer
POOLINGS = ("peak", "mean")
CLIP = 1.0  # largest norm of the gradient
LAST_SECONDS = 2.0  # after the last step

PRESETS: dict[str, dict[str, object]] = {
    "cpu": {},  # the defaults
    "full": {"frozen": None, "patch": 128, "shows": 1, "steps": 938, "rate": 0.01},
    "paper": {
        "backbone": "resnet18.tv_in1k",
        "layers": ("layer4",),
        "frozen": None,
        "patch": 256,
        "hidden": None,
        "pooling": "mean",
        "real": 1 / 32,
        "repeats": None,
        "shows": 1,
        "cells": 0.0,
        "blur": 1.0,
        "steps": 156_260,  # 20 cycles of 7,813
        "rate": 5e-5,
        "decay": 1e-2,
        "cycle": 7813,
        "every": 7813,
        "patience": 20,
    },
}
QUICK = {"steps": "30", "batch": "8", "patch": "64", "every": "15"}


@dataclass(frozen=True)
class Mixed:
    """Settings; lengths in pixels of the model's input.

    `layers` of the backbone feed the head; up to `frozen` (none: nothing is) they are not trained.
    `patch`: side of what is presented (none: that of the input, at most 256); `hidden`: channels of
    the head's hidden layer (none: the head is linear); `pooling`: how cells make a patch's logit,
    `peak` or `mean`; `cells`: weight of the loss of single cells. `generator`, a name or a file,
    with its `generator_preset` draws defects (none: only those of the data count), on the share
    `synthetic`;
    `real`: probability of a real defect, lowered where each picture of one would be shown more than
    `repeats` times (none: never); `shows`: how often what was drawn is shown. `modality`:
    augmentation of ISP-AD's Table 8 (none: parts are shown as the line shows them). `brightness`: a
    gain; `blur`: sigma of the smoothing, or 0. SGD takes `steps` of `batch` presentations at `rate`
    with the weight decay `decay`; the rate falls as a cosine over `cycle` steps (none: all of
    them), then over `growth` times as many. `held_out`: share of the parts that are not learnt
    from, on which AUROC is measured `every` so many steps; after `patience` times below the highest
    one, by more than its standard error, it ends.
    """

    learns_from_defects: ClassVar[bool] = True

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10", "block14", "block15")
    frozen: str | None = "block15"
    patch: int | None = None
    hidden: int | None = 64
    pooling: str = "peak"
    cells: float = 1.0
    generator: str | None = "random_walk"
    generator_preset: str | None = None
    synthetic: float = 0.5
    real: float = 1 / 3
    repeats: int | None = 150
    shows: int = 4
    modality: str | None = None
    brightness: float = 1.0
    blur: float = 0.0
    steps: int = 400
    batch: int = 32
    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 1e-4
    cycle: int | None = None
    growth: int = 2
    held_out: float = 0.15
    every: int = 50
    patience: int = 10
    sigma: float = 0.0

    def __post_init__(self) -> None:
        """Refuse words that mean nothing; call a generator from outside by its file and hash."""
        if self.generator is not None:
            object.__setattr__(self, "generator", GENERATORS.label(self.generator))
        if self.pooling not in POOLINGS:
            known = ", ".join(POOLINGS)
            raise BlemishError(
                f"setting pooling of detector mixed cannot be {self.pooling!r}; choose one of "
                f"{known}"
            )

    def fit(
        self,
        data: Dataset,
        *,
        features: FeatureStream,
        seed: int,
        budget: float | None = None,
        progress: ShowProgress | None = None,
        checkpoint: Path | None = None,
        start: bytes | None = None,
    ) -> FittedDetector:
        """Train on good rows, and on the defective ones there are; drawn anew at each step.

        `start` is a model of this detector with the same settings, whose weights the training
        begins with.
        """
        need_images(data.good())
        side = self._side(features.recipe)
        clock = Clock(budget)
        learnt, held = parts_held_out(data, self.held_out, seed)
        shown = self._presentations(learnt, features.recipe, side, seed)
        shown.refuse_one_label()
        stages = Stages.of(features.backbone, self.layers, self.frozen)
        source = Source(features.backbone, stages, self._exposure)
        with seeded(seed):
            network = PatchClassifier(features.backbone, stages, self.hidden).to(DEVICE)
        if start is None:
            network.learn_units(source(shown.batch(0, FIRST * self.batch).patches))
        else:
            network.start_from(start)

        stopping = None
        if held is not None:
            checked = shown.of(held, seed).batch(0, CHECKED * self.batch)
            known = source(checked.patches)
            if 0 < checked.labels.mean() < 1:
                stopping = Stopping(
                    network,
                    lambda: self._misranked(network.in_pieces(known), checked),
                    self.every,
                    self.patience,
                )
        trained = [weights for weights in network.parameters() if weights.requires_grad]
        sgd = torch.optim.SGD(
            trained, self.rate, self.momentum, weight_decay=self.decay, nesterov=True
        )
        training = Training(self.steps, seed, clock, progress, checkpoint, LAST_SECONDS)

        def loss(step: int) -> Tensor:
            batch, known = ahead.take(step)
            return self._loss(network(known), batch)

        with Ahead(shown, source, self.batch, self.shows) as ahead:
            facts = training.run(
                network, [sgd], loss, rate=self.rate_at, clip=CLIP, stopping=stopping
            )
        if stopping is not None:
            facts["best_step"] = stopping.best_step
        facts |= shown.counts()
        size = (features.recipe.height, features.recipe.width)
        graph = self._graph(network, features.backbone, size, side)
        return FittedDetector(graph, *size, facts=facts)

    def _side(self, recipe: Recipe) -> int:
        """The side of a patch, which has whole cells of every layer and is a piece of the input."""
        largest = min(recipe.height, recipe.width)
        side = min(largest, TILE) if self.patch is None else self.patch
        if side % MULTIPLE or side > largest:
            raise BlemishError(
                f"setting patch={side} of detector mixed must be a multiple of {MULTIPLE}, "
                f"at most the {largest} pixels of the model's input; set patch={largest}, or "
                "another --size"
            )
        return side

    def rate_at(self, step: int) -> float:
        """The factor of the rate at a step: a cosine that falls to zero, and begins anew."""
        cycle = self.cycle or self.steps
        while step >= cycle:
            step, cycle = step - cycle, cycle * self.growth
        return 0.5 + 0.5 * math.cos(math.pi * step / cycle)

    @property
    def _exposure(self) -> Exposure:
        return Exposure(self.brightness, self.blur)

    def _presentations(self, data: Dataset, recipe: Recipe, side: int, seed: int) -> Presentations:
        generator = None
        if self.generator is not None and self.synthetic > 0:
            sources = data.good().images if of_same_product(self.generator) else ()
            generator = open_generator(
                self.generator, preset=self.generator_preset, sources=sources
            )
        most_each = 1.0 if self.repeats is None else self.repeats / (self.steps * self.batch)
        return Presentations(
            data,
            recipe,
            side,
            seed,
            synthetic=self.synthetic,
            real=self.real,
            most_each=most_each,
            generator=generator,
            augmentation=self._augmentation,
        )

    @property
    def _augmentation(self) -> Augmentation:
        if self.modality is None:
            return Augmentation(share=0.0)
        try:
            return Augmentation.published(self.modality)
        except ValueError as error:
            raise BlemishError(f"setting modality of detector mixed: {error}") from error

    def _whole(self, logits: Tensor, batch: Shown) -> Tensor:
        """The logit of each presentation: of its patch, or the largest of its patches."""
        patches = logits.amax((1, 2)) if self.pooling == "peak" else logits.mean((1, 2))
        least = torch.full((len(batch.labels),), -torch.inf, device=DEVICE)
        return least.scatter_reduce(0, torch.from_numpy(batch.owner).to(DEVICE), patches, "amax")

    def _misranked(self, logits: Tensor, batch: Shown) -> tuple[float, float]:
        """The share of pairs, one good and one defective, that are ranked wrongly: 1 - AUROC.

        And its largest standard error, were every presentation one of another part. Unlike the
        loss, the share does not rise where a network merely becomes too sure of itself.
        """
        share = 1 - (auroc(self._whole(logits, batch).cpu().numpy(), batch.labels) or 0.0)
        defective = int(batch.labels.sum())
        fewer = min(defective, len(batch.labels) - defective)
        return share, math.sqrt(share * (1 - share) / fewer)

    def _loss(self, logits: Tensor, batch: Shown) -> Tensor:
        """Cross-entropy of presentations, and of their cells where a mask tells what they show."""
        labels = torch.from_numpy(batch.labels).to(DEVICE)
        whole = self._whole(logits, batch)
        total = functional.binary_cross_entropy_with_logits(whole, labels)
        if self.cells == 0 or not batch.known.any():
            return total
        masks = torch.from_numpy(batch.masks[batch.known]).to(DEVICE)
        shown = functional.adaptive_max_pool2d(masks.float(), logits.shape[1:])
        each = functional.binary_cross_entropy_with_logits(
            logits[torch.from_numpy(batch.known).to(DEVICE)], shown, reduction="none"
        )
        # As much weight for the few cells with a defect as for the many without.
        parts = [each[shown == value].mean() for value in (0, 1) if (shown == value).any()]
        return total + self.cells * torch.stack(parts).mean()

    def _graph(
        self, network: PatchClassifier, backbone: Backbone, size: tuple[int, int], side: int
    ) -> bytes:
        height, width = size
        stride = network.head.stride
        grid = (height // stride, width // stride)
        inputs = {
            layer.name: (layer.channels, height // layer.stride, width // layer.stride)
            for layer in map(backbone.layer, network.head.names)
        }

        def head(graph: Graph) -> tuple[str, str]:
            (cells,) = add_network(graph, network.head, inputs)
            pooled, counts = cells, blocks.inside(graph, "valid", grid, size)
            if self.pooling == "mean":
                pooled, counts = blocks.mean_over(graph, cells, counts, side // stride)
            return blocks.smooth(graph, cells, self.sigma), blocks.peak(graph, pooled, counts)

        exposure = self._exposure
        return join(
            backbone.path,
            network.head.names,
            *size,
            head,
            before=None if exposure.does_nothing else exposure.add,
            weights=None if network.stage is None else network.stage.weights(),
        )
