"""UniAD: a transformer restores the features of several categories (You et al., NeurIPS 2022).

Features of a frozen backbone become tokens on one grid. A token cannot be copied through: attention
sees no neighbour of it (neighbour-masked attention), every layer of the decoder asks with learned
queries of its own, and in training the tokens are jittered while the target is not. What is not
restored is anomalous.

Departures from the paper, in all presets: finer layers are averaged down to the grid, not sampled;
queries begin small; instead of the largest mean over 16 x 16 pixels of the enlarged map, the score
takes the largest cell after a Gaussian of half a cell, nearly the same; the error is a root mean
square, not a length. `cpu` also departs in backbone, depth, width, dropout, batch, rate (it rises
first) and steps; it standardises features per channel by training images, so that no layer's scale
decides the loss, and its score is the mean of the `top` largest cells. EfficientNet-B4, which
`paper` names, must be brought as a backbone of that name; else set `backbone` and `layers`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from blemish.dataset import Dataset
from blemish.detectors.base import FitContext, FittedDetector, need_images
from blemish.detectors.embedding import Embedding
from blemish.detectors.network import (
    DEVICE,
    Training,
    add_network,
    read_table,
    seeded,
    shuffled,
    spread_out,
    to_device,
)
from blemish.errors import BlemishError
from blemish.features.backbone import BUNDLED
from blemish.features.feature_table import FeatureTable
from blemish.graph import blocks
from blemish.graph.builder import Graph
from blemish.graph.join import join
from blemish.util.settings import setting

Floats = npt.NDArray[np.float32]

POOLED = 0.5  # cells: the deviation of a mean over one cell of a map that is enlarged bilinearly
QUERY = 0.02  # deviation of a query's numbers at first
SCALE_IMAGES = 64  # from which means and deviations are taken
FINISH = 1.0  # seconds, after the last step
LAST_PHASE = 0.8  # of the steps, after which the rate is a tenth


@dataclass(frozen=True)
class Uniad:
    """Settings of UniAD.

    Attributes:
        backbone: Name of the backbone that computes the features.
        layers: Names of its layers that are read.
        grid_stride: Side of a cell of the map, a token.
        token_channels: Channels of a token; even, and a multiple of `heads`.
        depth: Number of layers of the encoder, and of the decoder.
        heads: Number of attention heads.
        feedforward: Channels between the two linear steps of a layer.
        dropout: Probability with which a channel is dropped in training.
        neighbourhood: Side of the square around a token that its attention does not see.
        jitter: Noise on a token in training, times the token's length over its number of channels.
        standardise: Channels are first brought to mean 0 and deviation 1 over training images.
        steps: Number of training steps.
        batch: How many inputs of the model each step learns from.
        rate: Learning rate of AdamW, reached after `warmup`.
        warmup: Over so many steps the learning rate rises.
        weight_decay: Weight decay of AdamW.
        clip: Largest norm of the gradient.
        top: The score is the mean of so many of the map's largest cells (the paper's 1).
    """

    trained_in_steps: ClassVar[bool] = True
    learns_several_categories: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "cpu": {},  # the defaults
        "paper": {
            "backbone": "efficientnet_b4.ra2_in1k",
            "layers": ("stage1", "stage2", "stage3", "stage4"),
            "token_channels": 256,
            "depth": 4,
            "heads": 8,
            "feedforward": 1024,
            "dropout": 0.1,
            "standardise": False,
            "steps": 453_000,  # 1,000 epochs of MVTec AD
            "batch": 8,
            "rate": 1e-4,
            "warmup": 1,
            "top": 1,
        },
    }
    quick_settings: ClassVar[dict[str, str]] = {
        "steps": "60",
        "warmup": "10",
        "grid_stride": "8",
        "token_channels": "64",
        "depth": "1",
        "feedforward": "128",
    }

    backbone: str = BUNDLED
    layers: tuple[str, ...] = ("block4", "block10", "block14")
    grid_stride: int = setting(16, unit="pixels", least=1)
    token_channels: int = setting(128, unit="channels", least=2, multiple=2, formerly="width")
    depth: int = setting(2, unit="layers", least=1)
    heads: int = setting(4, unit="heads", least=1)
    feedforward: int = setting(512, unit="channels", least=1)
    dropout: float = setting(0.0, unit="share", least=0, below=1)
    neighbourhood: int = setting(7, unit="cells", least=1, formerly="neighbours")
    jitter: float = setting(20.0, unit="factor", least=0)
    standardise: bool = True
    steps: int = setting(1000, unit="steps", least=1)
    batch: int = setting(2, unit="inputs", least=1)
    rate: float = setting(1e-3, unit="factor", least=0)
    warmup: int = setting(50, unit="steps", least=1)
    weight_decay: float = setting(1e-4, unit="factor", least=0, formerly="decay")
    clip: float = setting(0.1, unit="norm of the gradient", least=0)
    top: int = setting(10, unit="cells", least=1)

    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        """Train the transformer on the tokens of all categories at once."""
        need_images(data)
        if self.token_channels % self.heads:
            raise BlemishError(
                f"setting token_channels={self.token_channels} of detector uniad must be a "
                f"multiple of heads ({self.heads})"
            )
        features, seed = context.features, context.seed
        embedding = Embedding.of(features, self.grid_stride, pool=1)
        embed = embedding.function()
        with read_table(data, context) as table, seeded(seed):
            network = Network(self, embedding.channels, embedding.grid).to(DEVICE)
            if self.standardise:
                network.learn_scale(*channel_scale(embedding, table))
            optimizer = torch.optim.AdamW(
                network.parameters(), self.rate, weight_decay=self.weight_decay
            )

            def loss(step: int) -> torch.Tensor:
                x, inside = embed(table.take(shuffled(len(table), self.batch, step, seed)))
                target = network.tokens(to_device(x))
                restored = network.restore(jittered(target, self.jitter))
                error = (restored - target).square().mean(2)
                weight = to_device(inside)
                return (error * weight).sum() / weight.sum()

            facts = Training(self.steps, context, FINISH).run(
                network, [optimizer], loss, rate=self._rate, clip=self.clip
            )

        def head(graph: Graph) -> tuple[str, str]:
            shape = (embedding.channels, *embedding.grid)
            [map_] = add_network(graph, network, {embedding.nodes(graph): shape})
            inside = blocks.inside(graph, "valid", embedding.grid, embedding.size)
            pooled = blocks.smooth(graph, map_, POOLED)
            top = min(self.top, math.prod(embedding.grid))
            return map_, blocks.peak(graph, pooled, inside, top)

        model = join(features.backbone.path, self.layers, *embedding.size, head)
        return FittedDetector(model, *embedding.size, facts=facts)

    def _rate(self, step: int) -> float:
        rising = min(1.0, (step + 1) / self.warmup)
        return rising if step < LAST_PHASE * self.steps else 0.1


def channel_scale(embedding: Embedding, table: FeatureTable) -> tuple[Floats, Floats]:
    """Mean and deviation [C] of the cells inside some crops, spread over the table."""
    embed, found = embedding.function(), []
    for crop in spread_out(len(table), SCALE_IMAGES):
        x, inside = embed(table.take([crop]))
        found.append(x[0].reshape(embedding.channels, -1)[:, inside[0] > 0])
    cells = np.concatenate(found, axis=1).astype(np.float64)
    return cells.mean(1).astype(np.float32), cells.std(1).astype(np.float32)


def jittered(tokens: torch.Tensor, amount: float) -> torch.Tensor:
    """Tokens [n, T, C] with noise: N(0, 1) times `amount`, times the token's length over C."""
    length = tokens.square().sum(2, keepdim=True).sqrt()
    return tokens + torch.randn_like(tokens) * length * amount / tokens.shape[2]


def neighbour_mask(grid: tuple[int, int], side: int) -> torch.Tensor:
    """-inf where a token lies within a square of `side` around another, itself among it: [T, T].

    The square is smaller on a grid that it would cover, so that every token sees some other.
    """
    half = min(side // 2, max(grid) // 2 - 1)
    rows, columns = (torch.arange(length) for length in grid)
    places = torch.cartesian_prod(rows, columns)
    apart = (places[:, None] - places[None]).abs().amax(2)
    return torch.zeros(len(places), len(places)).masked_fill(apart <= half, -math.inf)


class Network(nn.Module):
    """From embeddings [n, C, h, w] to the map of what cannot be restored [n, h, w]."""

    def __init__(self, settings: Uniad, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid, self.channels, width = grid, channels, settings.token_channels
        self.mean: torch.Tensor
        self.deviation: torch.Tensor
        self.mask: torch.Tensor
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        self.register_buffer("mask", neighbour_mask(grid, settings.neighbourhood))
        self.rows = nn.Parameter(torch.rand(grid[0], width // 2))
        self.columns = nn.Parameter(torch.rand(grid[1], width // 2))
        self.into = nn.Linear(channels, width)
        self.encoder = nn.ModuleList(
            TransformerLayer(settings, sources=1) for _ in range(settings.depth)
        )
        self.decoder = nn.ModuleList(
            TransformerLayer(settings, sources=2) for _ in range(settings.depth)
        )
        self.queries = nn.Parameter(QUERY * torch.randn(settings.depth, math.prod(grid), width))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, channels)

    def learn_scale(self, mean: Floats, deviation: Floats) -> None:
        """Standardise with these [C]; a channel that never varies stays as it is."""
        spread = np.where(deviation > 1e-6 * np.abs(deviation).max(initial=0), deviation, 1)
        self.mean = to_device(mean)
        self.deviation = to_device(spread.astype(np.float32))

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """Embeddings [n, C, h, w] as tokens [n, h * w, C]."""
        flat = x.flatten(2).transpose(1, 2)
        return (flat - self.mean) / self.deviation

    def restore(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens [n, T, C] as the transformer makes them anew."""
        height, width = self.grid
        rows = self.rows.repeat_interleave(width, 0)
        position = torch.cat([rows, self.columns.repeat(height, 1)], dim=1)
        memory = self.into(tokens)
        for layer in self.encoder:
            memory = layer(memory, [memory], position, self.mask)
        out = memory
        for layer, queries in zip(self.decoder, self.queries, strict=True):
            out = layer(queries.expand_as(out), [memory, out], position, self.mask)
        restored: torch.Tensor = self.out(self.norm(out))
        return restored

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The root of the mean squared error of every token, as a map."""
        tokens = self.tokens(x)
        error = (self.restore(tokens) - tokens).square().mean(2).sqrt()
        return error.reshape(-1, *self.grid)


class TransformerLayer(nn.Module):
    """Attention to each source in turn, then two linear steps; a norm after each (post-norm)."""

    def __init__(self, settings: Uniad, *, sources: int) -> None:
        super().__init__()
        width, dropout = settings.token_channels, settings.dropout
        self.attend = nn.ModuleList(
            nn.MultiheadAttention(width, settings.heads, dropout, batch_first=True)
            for _ in range(sources)
        )
        self.feed = nn.Sequential(
            nn.Linear(width, settings.feedforward),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(settings.feedforward, width),
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(sources + 1))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: torch.Tensor,
        sources: list[torch.Tensor],
        position: torch.Tensor,
        mask: torch.Tensor,
    ) -> torch.Tensor:
        """Positions are added to what asks and to what is compared, not to what is taken."""
        for attend, norm, source in zip(self.attend, self.norms, sources, strict=False):
            asked, compared = x + position, source + position
            taken, _ = attend(asked, compared, source, attn_mask=mask, need_weights=False)
            x = norm(x + self.dropout(taken))
        fed: torch.Tensor = self.norms[-1](x + self.dropout(self.feed(x)))
        return fed
