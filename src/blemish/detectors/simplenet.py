"""SimpleNet: a discriminator of patch features and the same with noise (Liu et al., CVPR 2023).

A linear adaptor moves the embedding of every patch to the part's own domain; Gaussian noise on it
makes a fake defect; a small network learns to tell the two apart, and its doubt is the score.

Departures from the paper: channels are not pooled (METHODS 0.1, simple variant; with layer2 and
layer3 of the paper's backbone the length is 1,536 all the same), a side of 329 cut to 288 becomes
any multiple of 32, the training ends after a number of steps (the paper's 160 epochs of 240
pictures) and no checkpoint is chosen by its results on the test set. Before its LeakyReLU
everything is linear, so that the finished graph holds one matrix for it.

The preset `cpu` departs further. The paper's noise is tied to the scale of its backbone's features:
here every channel is first brought to mean 0 and deviation 1 over training pictures, the adaptor
begins as the identity, and `noise_deviation` is in these deviations, for each fake of another size.
A few hundred steps must do: the discriminator learns at ten times the paper's rate, which falls to
zero, from some of the patches of a step's images. The score is the mean of the `top` largest cells.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from blemish.dataset import Dataset
from blemish.detectors.base import FitContext, FittedDetector, need_images
from blemish.detectors.embedding import Embedding, patches_inside
from blemish.detectors.head import pixels_of, with_distance
from blemish.detectors.network import (
    DEVICE,
    Training,
    read_table,
    seeded,
    shuffled,
    spread_out,
    to_device,
)
from blemish.features.backbone import BUNDLED
from blemish.features.feature_stream import Batch
from blemish.graph import blocks
from blemish.graph.builder import Graph
from blemish.util.settings import setting

Floats = npt.NDArray[np.float32]

MARGIN = 0.5
SLOPE = 0.2  # of the LeakyReLU
SCALE_IMAGES = 64  # spread over the training set, for mean and deviation
LEAST_SCALE = 1e-3  # of a channel, as a share of the mean deviation
SECONDS_TO_FINISH = 1.0  # after the last step


@dataclass(frozen=True)
class Simplenet:
    """Settings of SimpleNet.

    Attributes:
        backbone: Name of the backbone that computes the features.
        layers: Names of its layers that are read.
        grid_stride: Side of a cell of the map, a patch.
        pool: Side of the neighbourhood in a layer over which features are averaged.
        standardise: Channels are first brought to mean 0 and deviation 1 over training images.
        noise_deviation: Standard deviation of a fake's noise, or with `noise_varies` the largest
            one.
        noise_varies: The noise of each fake has a deviation of its own.
        hidden: Channels of the discriminator's hidden layer.
        steps: Number of training steps.
        rate_decay: The learning rates fall to zero over the steps; else they stay (the paper's).
        batch: How many inputs of the model each step learns from.
        patches: How many of their patches a step takes at most.
        adaptor_rate: Learning rate of the adaptor.
        discriminator_rate: Learning rate of the discriminator.
        smoothing: Sigma of a Gaussian over the map, after the score is taken; 0 for none.
        top: The score is the mean of so many of the map's largest cells (the paper's 1).
    """

    trained_in_steps: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "cpu": {},  # the defaults
        "paper": {
            "backbone": "wide_resnet50_2.tv_in1k",
            "layers": ("layer2", "layer3"),
            "grid_stride": 8,
            "standardise": False,
            "noise_deviation": 0.015,
            "noise_varies": False,
            "hidden": 1024,
            "steps": 4800,
            "rate_decay": False,
            "patches": 1_000_000,  # all
            "adaptor_rate": 1e-4,
            "discriminator_rate": 2e-4,
            "smoothing": 4.0,
            "top": 1,
        },
    }
    quick_settings: ClassVar[dict[str, str]] = {
        "layers": "block4,block10",
        "grid_stride": "8",
        "pool": "1",
        "steps": "150",
        "hidden": "64",
        "patches": "256",
        "discriminator_rate": "5e-3",
        "noise_deviation": "0.5",
        "top": "10",
    }

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10")
    grid_stride: int = setting(16, unit="pixels", least=1)
    pool: int = setting(3, unit="cells", least=1, odd=True)
    standardise: bool = True
    noise_deviation: float = setting(2.0, unit="units of the features", least=0, formerly="noise")
    noise_varies: bool = True
    hidden: int = setting(256, unit="channels", least=1)
    steps: int = setting(400, unit="steps", least=1)
    rate_decay: bool = setting(True, formerly="decay")
    batch: int = setting(8, unit="inputs", least=1)
    patches: int = setting(1024, unit="patches", least=1)
    adaptor_rate: float = setting(1e-4, unit="factor", least=0)
    discriminator_rate: float = setting(2e-3, unit="factor", least=0)
    smoothing: float = setting(
        0.0, unit="pixels", least=0, most=1024, formerly="sigma", convert=pixels_of
    )
    top: int = setting(3, unit="cells", least=1)

    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        """Train adaptor and discriminator on cached features; fakes are drawn anew at each step."""
        need_images(data)
        seed = context.seed
        embedding = Embedding.of(context.features, self.grid_stride, self.pool)
        embed = embedding.function()

        def patches_of(batch: Batch) -> Floats:
            return patches_inside(*embed(batch))

        with read_table(data, context) as table:
            space = NoiseSpace.plain(embedding.channels)
            if self.standardise:
                some = table.take(spread_out(len(table), SCALE_IMAGES))
                space = NoiseSpace.standard(patches_of(some))
            with seeded(seed):
                # In double precision: training magnifies the rounding, which threads change.
                network = SimpleNet(space, self.hidden, identity=self.standardise)
                network = network.double().to(DEVICE)

            def loss(step: int) -> torch.Tensor:
                rows = patches_of(table.take(shuffled(len(table), self.batch, step, seed)))
                chosen = np.random.default_rng((seed, step)).permutation(len(rows))
                x = to_device(rows[chosen[: self.patches]]).double()
                return network.loss(x, self.noise_deviation, varies=self.noise_varies)

            training = Training(self.steps, context, SECONDS_TO_FINISH)
            facts = training.run(network, self.optimizers(network), loss, rate=self.rate)
        matrix, bias, weights = network.as_matrices()

        def distance(graph: Graph) -> str:
            x = blocks.patches(graph, embedding.nodes(graph))
            hidden = graph.add("MatMul", x, graph.constant(matrix))
            hidden = graph.add("Add", hidden, graph.constant(bias))
            hidden = graph.add("LeakyRelu", hidden, alpha=SLOPE)
            return graph.add("MatMul", hidden, graph.constant(-weights))

        return with_distance(
            context.features,
            embedding.grid,
            distance,
            top=self.top,
            smoothing=self.smoothing,
            facts=facts,
        )

    def rate(self, step: int) -> float:
        """The factor of the rates at a step: it falls to zero, or (the paper's) is 1."""
        return 1 - step / self.steps if self.rate_decay else 1.0

    def optimizers(self, network: SimpleNet) -> list[torch.optim.Optimizer]:
        """AdamW for the adaptor, Adam for the discriminator, as in the official code."""
        return [
            torch.optim.AdamW(network.adaptor.parameters(), self.adaptor_rate),
            torch.optim.Adam(
                network.discriminator.parameters(), self.discriminator_rate, weight_decay=1e-5
            ),
        ]


class SimpleNet(nn.Module):
    """Adaptor and discriminator, on patches [p, C] (sections 3.2 and 3.4 of the paper)."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, space: NoiseSpace, hidden: int, *, identity: bool) -> None:
        super().__init__()
        channels = len(space.mean)
        self.register_buffer("mean", torch.from_numpy(space.mean))
        self.register_buffer("scale", torch.from_numpy(space.scale))
        # No biases: the batch's mean is taken off behind them, and would take them off as well.
        self.adaptor = nn.Linear(channels, channels, bias=False)
        if identity:
            nn.init.eye_(self.adaptor.weight)
        self.discriminator = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, 1, bias=False),
        )

    def linear(self, patches: torch.Tensor) -> torch.Tensor:
        """What comes before the LeakyReLU [p, hidden], with the training's statistics."""
        hidden: torch.Tensor = self.discriminator[:2](self.adapt(patches))
        return hidden

    def adapt(self, patches: torch.Tensor) -> torch.Tensor:
        """Patches in the part's own domain: a matrix and no activation."""
        adapted: torch.Tensor = self.adaptor((patches - self.mean) / self.scale)
        return adapted

    def loss(self, patches: torch.Tensor, noise: float, *, varies: bool) -> torch.Tensor:
        """The truncated l1 loss (equation 6) of true patches and of fakes of them, in one batch.

        `noise` is the standard deviation; if it `varies`, of each fake anew between 0 and this.
        """
        true = self.adapt(patches)
        size = noise * torch.rand_like(true[:, :1]) if varies else noise
        fake = true + size * torch.randn_like(true)
        of_true, of_fake = self.discriminator(torch.cat([true, fake])).chunk(2)
        beyond = functional.relu(MARGIN - of_true) + functional.relu(MARGIN + of_fake)
        return beyond.mean()

    @torch.no_grad()
    def as_matrices(self) -> tuple[Floats, Floats, Floats]:
        """M [C, hidden], b [hidden], w [hidden, 1]: D(x) = LeakyReLU(x M + b) w, once trained."""
        network = copy.deepcopy(self).to("cpu").double().eval()
        channels = len(network.mean)
        bias = network.linear(torch.zeros(1, channels, dtype=torch.float64))
        matrix = network.linear(torch.eye(channels, dtype=torch.float64)) - bias
        weights = next(network.discriminator[3].parameters()).T
        return matrix.float().numpy(), bias[0].float().numpy(), weights.float().numpy()


@dataclass(frozen=True, eq=False)
class NoiseSpace:
    """Where noise is added: (x - mean) / scale, by channel; both float32 [C]."""

    mean: Floats
    scale: Floats

    @classmethod
    def plain(cls, channels: int) -> NoiseSpace:
        """Features as they are."""
        return cls(np.zeros(channels, np.float32), np.ones(channels, np.float32))

    @classmethod
    def standard(cls, patches: Floats) -> NoiseSpace:
        """Where every channel of patches [p, C] like these has mean 0 and deviation 1."""
        mean, scale = patches.mean(0, dtype=np.float64), patches.std(0, dtype=np.float64)
        # Copies of one grey picture have the deviation 0; any unit will do then.
        floor = LEAST_SCALE * scale.mean() or 1.0
        return cls(mean.astype(np.float32), np.maximum(scale, floor).astype(np.float32))
