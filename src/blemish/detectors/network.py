"""Blocks of trained networks: seeded beginnings, the training loop, and the way into a graph."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn

from blemish.dataset import Dataset
from blemish.detectors._checkpoint import reading_checkpoint
from blemish.detectors._epoch_order import epoch_order
from blemish.detectors.base import FitContext
from blemish.errors import BlemishError
from blemish.features.device import find_device
from blemish.features.feature_table import FeatureTable
from blemish.graph.builder import OPSET, Graph
from blemish.graph.splice import splice
from blemish.util.files import open_regular, replacing
from blemish.util.threads import default_threads

SECONDS_BETWEEN_CHECKPOINTS = 15.0
DEVICE = find_device()

# The first optimizer imports PyTorch's compiler, which would look up the user's name and leave a
# folder of that name among the temporary ones; it writes nothing into this one, as nothing here is
# compiled.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", tempfile.gettempdir())


@contextlib.contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Draws of PyTorch and of numpy's old generator follow from `seed`; after it, all is as before.

    Both are forked, since FrEIA draws its permutations from numpy's and dropout from PyTorch's.
    """
    number = int(np.random.SeedSequence(seed).generate_state(1)[0])
    state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(number)
        np.random.seed(number)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002


@contextlib.contextmanager
def read_table(data: Dataset, context: FitContext) -> Iterator[FeatureTable]:
    """The features of all images of `data`, from the cache where they are in it."""

    def seen(done: int, total: int) -> None:
        context.clock.check(f"reading features, {done} of {total} images done")
        context.tell("reading features", done, total)

    with contextlib.closing(FeatureTable.of(context.features, data.images, seen)) as table:
        yield table


def shuffled(count: int, size: int, step: int, seed: int) -> npt.NDArray[np.int64]:
    """The numbers, of 0 to count - 1, in batch `step` of `size`; every epoch has its own order.

    A batch never spans two epochs, and what is left over at an epoch's end is dropped, unless that
    would be all. Nothing is remembered from step to step, so that a resumed training goes on alike.
    """
    size = min(size, count)
    epoch, batch = divmod(step, count // size)
    return epoch_order(count, epoch, seed)[batch * size : (batch + 1) * size]


def spread_out(count: int, most: int) -> npt.NDArray[np.int64]:
    """At most so many of the numbers 0 to count - 1, evenly spread, to take statistics of."""
    return np.linspace(0, count - 1, min(most, count)).astype(np.int64)


def to_device(values: npt.NDArray[np.float32]) -> torch.Tensor:
    """A tensor of these values where the training runs."""
    return torch.from_numpy(values).to(DEVICE)


@dataclass(eq=False)
class EarlyStopping:
    """Ends a training where `measure` has been worse than its best `patience` times in a row.

    It is small when good, comes with its standard error, and is taken every `every` steps. What
    lies within that error above the best counts as no worse, and of such weights the latest stay:
    at a high rate an early one is the best by luck alone.
    """

    network: nn.Module
    measure: Callable[[], tuple[float, float]]
    every: int
    patience: int
    best: float = float("inf")
    best_step: int = 0
    _weights: dict[str, torch.Tensor] = field(default_factory=dict)
    _misses: int = 0

    @property
    def over(self) -> bool:
        """Whether the training has ended."""
        return self._misses >= self.patience

    def look(self, step: int) -> None:
        """Take the measure where it is due after so many steps."""
        if step % self.every:
            return
        self.network.eval()
        with torch.no_grad():
            value, error = self.measure()
        self.network.train()
        self._misses += 1
        self.best = min(self.best, value)
        if value - error <= self.best:
            self.best_step, self._misses = step, 0
            state = self.network.state_dict()
            self._weights = {name: values.clone() for name, values in state.items()}

    def put_back(self) -> None:
        """Give the network the latest weights that were no worse, if any were measured."""
        if self._weights:
            self.network.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        numbers = {"best": self.best, "best_step": self.best_step, "misses": self._misses}
        return {**numbers, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.best, self.best_step = state["best"], state["best_step"]
        self._misses, self._weights = state["misses"], state["weights"]


@dataclass(frozen=True)
class Training:
    """How a network is trained: so many `steps`, in a fit's context.

    `reserve` are the seconds that are still needed after the last step.
    """

    steps: int
    context: FitContext
    reserve: float = 0.0

    def run(
        self,
        network: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        loss: Callable[[int], torch.Tensor],
        *,
        rate: Callable[[int], float] = lambda step: 1.0,
        clip: float | None = None,
        stopping: EarlyStopping | None = None,
    ) -> dict[str, Any]:
        """Take the steps; `loss(step)` is what a step lowers, and draws alike at every call.

        `rate` is the factor of every learning rate at a step, `clip` the largest norm of the
        gradient. The training ends when the steps are done or the budget is; then it can be gone on
        with from `checkpoint`. `stopping` may end it earlier, for good: then no more steps were
        planned. Returns the facts: `steps` done, `steps_planned` and the last loss. Raises
        BudgetExceeded when the budget is too short for one step.
        """
        context, now = self.context, self.context.clock.now
        file = None if context.checkpoint is None else context.checkpoint / "training.pt"
        kept: dict[str, Any] = {"network": network, **{f"{i}": o for i, o in enumerate(optimizers)}}
        if stopping is not None:
            kept["stopping"] = stopping
        rates = [[group["lr"] for group in one.param_groups] for one in optimizers]
        done, last = _restore(file, kept)
        network.train()
        kept_at, longest = now(), 0.0
        with _threads():
            try:
                while done < self.steps and not (stopping and stopping.over):
                    if self._is_over(done, longest):
                        break
                    began = now()
                    for one, usual in zip(optimizers, rates, strict=True):
                        one.zero_grad(set_to_none=True)
                        for group, usual_rate in zip(one.param_groups, usual, strict=True):
                            group["lr"] = usual_rate * rate(done)
                    with seeded(context.seed, done):
                        value = loss(done)
                        value.backward()  # type: ignore[no-untyped-call]
                    last = float(value.detach())
                    if not np.isfinite(last):
                        raise BlemishError(
                            f"the training came to a loss of {last} at step {done + 1}; "
                            "lower its learning rate, with --set"
                        )
                    if clip is not None:
                        nn.utils.clip_grad_norm_(network.parameters(), clip)
                    for one in optimizers:
                        one.step()
                    done += 1
                    if stopping is not None:
                        stopping.look(done)
                    longest = max(0.9 * longest, now() - began)
                    if now() - kept_at > SECONDS_BETWEEN_CHECKPOINTS:
                        _keep(file, kept, done, last)
                        kept_at = now()
                    context.tell("training", done, self.steps)
            except KeyboardInterrupt:
                _keep(file, kept, done, last)
                raise
        _keep(file, kept, done, last)
        planned = self.steps
        if stopping is not None:
            planned = done if stopping.over else planned
            stopping.put_back()
        network.eval()
        return {"steps": done, "steps_planned": planned, "loss": last}

    def _is_over(self, done: int, step: float) -> bool:
        """Whether the budget has no room for another step; without any step it is too short."""
        left = self.context.clock.left
        if left is None or left > self.reserve + step:
            return False
        if done == 0:
            raise self.context.clock.too_short("before the first step of the training was done")
        return True


def _restore(file: Path | None, kept: Mapping[str, Any]) -> tuple[int, float]:
    """Put back what an earlier call kept; how many steps it had done, and its last loss."""
    if file is None or not file.exists():
        return 0, float("nan")
    with reading_checkpoint(file):
        open_regular(file).close()
        state = torch.load(file, map_location=DEVICE, weights_only=True)
        for name, part in kept.items():
            part.load_state_dict(state[name])
        return int(state["done"]), float(state["loss"])


def _keep(file: Path | None, kept: Mapping[str, Any], done: int, loss: float) -> None:
    if file is None:
        return
    state = {name: part.state_dict() for name, part in kept.items()}
    with replacing(file) as out:
        torch.save({**state, "done": done, "loss": loss}, out)


@contextlib.contextmanager
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(default_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def add_network(
    graph: Graph, network: nn.Module, inputs: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """Add a trained network to a graph; the names of its outputs.

    `inputs` are names in the graph with their shapes but the first dimension, which is free.
    """
    network = network.to("cpu").eval()
    examples = tuple(torch.zeros(2, *shape) for shape in inputs.values())
    names = [f"in{number}" for number in range(len(inputs))]
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # FrEIA's blocks pass the older exporter
        torch.onnx.export(
            network,
            examples,
            buffer,  # type: ignore[arg-type]
            input_names=names,
            dynamic_axes={name: {0: "n"} for name in names},
            opset_version=OPSET,
            dynamo=False,
        )
    return splice(graph, onnx.load_from_string(buffer.getvalue()), list(inputs))
