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
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from blemish.dataset import Dataset
from blemish.detectors._brightness_and_blur import Exposure
from blemish.detectors._patch_classifier import FrozenFeatures, Head, PatchClassifier, Stages
from blemish.detectors._patch_sampler import PatchBatch, PatchSampler
from blemish.detectors._prefetch import Prefetcher
from blemish.detectors._validation_parts import hold_out_validation_parts
from blemish.detectors.base import FitContext, FittedDetector, need_images
from blemish.detectors.head import cells_of
from blemish.detectors.network import DEVICE, EarlyStopping, Training, add_network, seeded
from blemish.errors import BlemishError
from blemish.features.backbone import BUNDLED, Backbone, open_backbone
from blemish.graph import blocks
from blemish.graph.builder import Graph
from blemish.graph.join import join
from blemish.images import Recipe
from blemish.metrics.image import auroc
from blemish.prepare.patch_recipe import Augmentation
from blemish.synthesis import GENERATORS, of_same_product, open_generator
from blemish.util.settings import setting

LARGEST_PATCH = 256  # pixels, unless another size is set
FIRST = 8  # batches whose features set the units of the head
CHECKED = 12  # batches of held-out parts that end the training
MULTIPLE = 32  # pixels: the stride of the coarsest layer
CLIP = 1.0  # largest norm of the gradient
LAST_SECONDS = 2.0  # after the last step


def _pixels(settings: Mixed, cells: float) -> float:
    """A smoothing in cells of the map, as it was given once, in pixels."""
    backbone = open_backbone(settings.backbone) if cells else None
    stride = 1 if backbone is None else Head.stride_of([*map(backbone.layer, settings.layers)])
    return cells * stride


@dataclass(frozen=True)
class Mixed:
    """Settings of mixed supervision.

    Attributes:
        backbone: Name of the backbone that computes the features.
        layers: Names of its layers that are read by the head.
        frozen: Layer of the backbone up to which it is not trained; none trains all of it.
        patch_size: Side of a patch that is presented; none is the side of the model's input, at
            most 256.
        hidden: Channels of the head's hidden layer; none for a linear head.
        pooling: How cells make the logit of a patch: by the largest, or by their mean.
        cell_weight: Weight of the loss of single cells, where masks are known.
        generator: Name or file of the generator that draws synthetic defects; none for those of
            the data alone.
        generator_preset: Preset of that generator.
        synthetic: Probability that a presentation, if not of a real defect, is of a synthetic one.
        real: Probability that a presentation is of a real defect.
        repeats: `real` is lowered where each image of a real defect would be shown more often than
            this; none never lowers it.
        shows: How often what was drawn is shown.
        modality: Augmentation of that modality in ISP-AD's Table 8; none shows parts as they are.
        brightness: Gain of the image before the backbone.
        blur: Sigma of a Gaussian over the image before the backbone; 0 for none.
        steps: Number of training steps.
        batch: How many inputs of the model each step learns from.
        rate: Learning rate of SGD, at its highest.
        momentum: Nesterov momentum of SGD.
        weight_decay: Weight decay of SGD.
        cycle: Over so many steps the learning rate falls as a cosine; none for all steps.
        growth: Factor by which each cycle is longer than the one before.
        held_out: Share of the parts that are not learnt from, on which AUROC is measured for early
            stopping.
        every: Number of steps between two such measurements.
        patience: Training ends after so many of them in a row below the highest, by more than its
            standard error.
        smoothing: Sigma of a Gaussian over the map, after the score is taken; 0 for none.
    """

    trained_in_steps: ClassVar[bool] = True
    learns_from_defects: ClassVar[bool] = True
    draws_defects: ClassVar[bool] = True
    usual_tile: ClassVar[int] = 256  # as many as the model's input has: nothing is shrunk
    usual_resize: ClassVar[str] = "pad"  # an image smaller than a tile is continued, not stretched
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "cpu": {},  # the defaults
        "full": {"frozen": None, "patch_size": 128, "shows": 1, "steps": 938, "rate": 0.01},
        "paper": {
            "backbone": "resnet18.tv_in1k",
            "layers": ("layer4",),
            "frozen": None,
            "patch_size": 256,
            "hidden": None,
            "pooling": "mean",
            "real": 1 / 32,
            "repeats": None,
            "shows": 1,
            "cell_weight": 0.0,
            "blur": 1.0,
            "steps": 156_260,  # 20 cycles of 7,813
            "rate": 5e-5,
            "weight_decay": 1e-2,
            "cycle": 7813,
            "every": 7813,
            "patience": 20,
        },
    }
    quick_settings: ClassVar[dict[str, str]] = {
        "steps": "30",
        "batch": "8",
        "patch_size": "64",
        "every": "15",
    }

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10", "block14", "block15")
    frozen: str | None = "block15"
    patch_size: int | None = setting(None, unit="pixels", least=1, formerly="patch")
    hidden: int | None = setting(64, unit="channels", least=1)
    pooling: str = setting("peak", choices=("peak", "mean"))
    cell_weight: float = setting(1.0, unit="factor", least=0, formerly="cells")
    generator: str | None = "random_walk"
    generator_preset: str | None = None
    synthetic: float = setting(0.5, unit="share", least=0, most=1)
    real: float = setting(1 / 3, unit="share", least=0, most=1)
    repeats: int | None = setting(150, unit="presentations", least=1)
    shows: int = setting(4, unit="presentations", least=1)
    modality: str | None = None
    brightness: float = setting(1.0, unit="factor", least=0)
    blur: float = setting(0.0, unit="pixels", least=0)
    steps: int = setting(400, unit="steps", least=1)
    batch: int = setting(32, unit="inputs", least=1)
    rate: float = setting(0.1, unit="factor", least=0)
    momentum: float = setting(0.9, unit="factor", above=0, below=1)
    weight_decay: float = setting(1e-4, unit="factor", least=0, formerly="decay")
    cycle: int | None = setting(None, unit="steps", least=1)
    growth: int = setting(2, unit="factor", least=1)
    held_out: float = setting(0.15, unit="share", least=0, below=1)
    every: int = setting(50, unit="steps", least=1)
    patience: int = setting(10, unit="measurements", least=1)
    smoothing: float = setting(
        0.0, unit="pixels", least=0, most=1024, formerly="sigma", convert=_pixels
    )

    def __post_init__(self) -> None:
        """Call a generator from outside by its file and hash."""
        if self.generator is not None:
            object.__setattr__(self, "generator", GENERATORS.label(self.generator))

    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        """Train on good rows, and on the defective ones there are; drawn anew at each step."""
        need_images(data.good())
        features, seed = context.features, context.seed
        side = self._side(features.recipe)
        learnt, held = hold_out_validation_parts(data, self.held_out, seed)
        shown = self._sampler(learnt, features.recipe, side, seed)
        shown.refuse_one_label()
        stages = Stages.of(features.backbone, self.layers, self.frozen)
        source = FrozenFeatures(features.backbone, stages, self._exposure)
        with seeded(seed):
            network = PatchClassifier(features.backbone, stages, self.hidden).to(DEVICE)
        if context.warm_start is None:
            network.learn_units(source(shown.batch(0, FIRST * self.batch).patches))
        else:
            network.start_from(context.warm_start)

        stopping = None
        if held is not None:
            checked = shown.of(held, seed).batch(0, CHECKED * self.batch)
            known = source(checked.patches)
            if 0 < checked.labels.mean() < 1:
                stopping = EarlyStopping(
                    network,
                    lambda: self._misranked(network.in_pieces(known), checked),
                    self.every,
                    self.patience,
                )
        trained = [weights for weights in network.parameters() if weights.requires_grad]
        sgd = torch.optim.SGD(
            trained, self.rate, self.momentum, weight_decay=self.weight_decay, nesterov=True
        )
        training = Training(self.steps, context, LAST_SECONDS)

        def loss(step: int) -> Tensor:
            batch, known = ahead.take(step)
            return self._loss(network(known), batch)

        with Prefetcher(shown, source, self.batch, self.shows) as ahead:
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
        side = min(largest, LARGEST_PATCH) if self.patch_size is None else self.patch_size
        if side % MULTIPLE or side > largest:
            raise BlemishError(
                f"setting patch_size={side} of detector mixed must be a multiple of {MULTIPLE}, "
                f"at most the {largest} pixels of the model's input; set patch_size={largest}, or "
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

    def _sampler(self, data: Dataset, recipe: Recipe, side: int, seed: int) -> PatchSampler:
        generator = None
        if self.generator is not None and self.synthetic > 0:
            sources = data.good().images if of_same_product(self.generator) else ()
            generator = open_generator(
                self.generator, preset=self.generator_preset, sources=sources
            )
        most_each = 1.0 if self.repeats is None else self.repeats / (self.steps * self.batch)
        return PatchSampler(
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

    def _whole(self, logits: Tensor, batch: PatchBatch) -> Tensor:
        """The logit of each presentation: of its patch, or the largest of its patches."""
        patches = logits.amax((1, 2)) if self.pooling == "peak" else logits.mean((1, 2))
        least = torch.full((len(batch.labels),), -torch.inf, device=DEVICE)
        return least.scatter_reduce(0, torch.from_numpy(batch.owner).to(DEVICE), patches, "amax")

    def _misranked(self, logits: Tensor, batch: PatchBatch) -> tuple[float, float]:
        """The share of pairs, one good and one defective, that are ranked wrongly: 1 - AUROC.

        And its largest standard error, were every presentation one of another part. Unlike the
        loss, the share does not rise where a network merely becomes too sure of itself.
        """
        share = 1 - (auroc(self._whole(logits, batch).cpu().numpy(), batch.labels) or 0.0)
        defective = int(batch.labels.sum())
        fewer = min(defective, len(batch.labels) - defective)
        return share, math.sqrt(share * (1 - share) / fewer)

    def _loss(self, logits: Tensor, batch: PatchBatch) -> Tensor:
        """Cross-entropy of presentations, and of their cells where a mask tells what they show."""
        labels = torch.from_numpy(batch.labels).to(DEVICE)
        whole = self._whole(logits, batch)
        total = functional.binary_cross_entropy_with_logits(whole, labels)
        if self.cell_weight == 0 or not batch.known.any():
            return total
        masks = torch.from_numpy(batch.masks[batch.known]).to(DEVICE)
        shown = functional.adaptive_max_pool2d(masks.float(), logits.shape[1:])
        each = functional.binary_cross_entropy_with_logits(
            logits[torch.from_numpy(batch.known).to(DEVICE)], shown, reduction="none"
        )
        # As much weight for the few cells with a defect as for the many without.
        parts = [each[shown == value].mean() for value in (0, 1) if (shown == value).any()]
        return total + self.cell_weight * torch.stack(parts).mean()

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
            sigma = cells_of(self.smoothing, grid, size)
            return blocks.smooth(graph, cells, sigma), blocks.peak(graph, pooled, counts)

        exposure = self._exposure
        return join(
            backbone.path,
            network.head.names,
            *size,
            head,
            before=None if exposure.does_nothing else exposure.add,
            weights=None if network.stage is None else network.stage.weights(),
        )
