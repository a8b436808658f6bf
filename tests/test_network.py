"""The training loop: it stops in time, and goes on as if it had never stopped."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from blemish.detectors import _network  # noqa: E402
from blemish.detectors._coupling import coupling  # noqa: E402
from blemish.detectors._network import Training, add_network, seeded, shuffled  # noqa: E402
from blemish.detectors.base import Clock, Progress  # noqa: E402
from blemish.errors import BlemishError, BudgetExceeded  # noqa: E402
from blemish.graph.builder import Graph, feature_model  # noqa: E402


class Noisy(nn.Module):
    """A network with everything that a resumed training must put back."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1)
        )

    def loss(self, step: int) -> torch.Tensor:
        x = torch.from_numpy(np.random.default_rng(step).normal(size=(16, 4)).astype(np.float32))
        wrong: torch.Tensor = self.layers(x + torch.randn_like(x)) - x.sum(1, keepdim=True)
        return wrong.square().mean()


def trained(training: Training) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    with seeded(1):
        network = Noisy()
    facts = training.run(
        network,
        [torch.optim.Adam(network.parameters(), 0.01)],
        network.loss,
        rate=lambda step: 1 / (1 + step),
        clip=1.0,
    )
    return network.state_dict(), facts


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("killed_at", [1, 7, 19])
@pytest.mark.parametrize("by", [KeyboardInterrupt, SystemExit])
def test_a_killed_training_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int, by: type[BaseException]
) -> None:
    """A kill finds the checkpoint of the step before; Ctrl-C leaves one of its own."""
    if by is SystemExit:
        monkeypatch.setattr(_network, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    def kill(report: Progress) -> None:
        if report.done == killed_at:
            raise by

    whole, _ = trained(Training(20, 0, Clock(None)))
    with pytest.raises(by):
        trained(Training(20, 0, Clock(None), kill, tmp_path))
    seen: list[Progress] = []
    resumed, facts = trained(Training(20, 0, Clock(None), seen.append, tmp_path))
    assert same(whole, resumed)
    assert facts["steps"] == facts["steps_planned"] == 20
    assert len(seen) == 20 - killed_at
    other, _ = trained(Training(20, 1, Clock(None)))
    assert not same(whole, other)


class Ticking(Clock):
    """A clock on which every look takes a second."""

    @property
    def left(self) -> float:
        return max(0.0, (self.budget or 0) - next(self.__dict__.setdefault("c", itertools.count())))


def test_a_budget_ends_a_training_early_and_a_resumed_one_ends_at_the_same_weights(
    tmp_path: Path,
) -> None:
    whole, _ = trained(Training(20, 0, Clock(None)))
    counts = []
    for _ in range(10):
        weights, facts = trained(Training(20, 0, Ticking(9.5), checkpoint=tmp_path, reserve=2.0))
        counts.append(facts["steps"])
        if facts["steps"] == 20:
            break
    assert counts == [8, 16, 20]
    assert same(whole, weights)


def test_a_budget_too_short_for_one_step_says_so() -> None:
    with pytest.raises(BudgetExceeded, match="before the first step"):
        trained(Training(20, 0, Clock(0.0)))


def test_a_training_that_diverges_says_so() -> None:
    network = nn.Linear(1, 1)
    training = Training(3, 0, Clock(None))
    with pytest.raises(BlemishError, match="learning rate"):
        training.run(network, [], lambda step: network(torch.full((1, 1), torch.inf)).sum())


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5))
def test_an_epoch_takes_every_item_once_but_for_the_rest(count: int, size: int, epoch: int) -> None:
    batches = count // min(size, count)
    numbers = [shuffled(count, size, epoch * batches + i, seed=3) for i in range(batches)]
    seen = Counter(np.concatenate(numbers).tolist())
    assert set(seen.values()) == {1}
    assert len(seen) == count - count % min(size, count)


def test_draws_leave_the_callers_luck_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with seeded(5):
        first = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    assert torch.equal(before, torch.get_rng_state())
    with seeded(5):
        again = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    assert torch.equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])


@pytest.mark.parametrize("soft", [True, False])
def test_a_coupling_block_means_the_same_in_the_graph(soft: bool) -> None:
    """Values and log-determinant, for other batches than the exporter saw."""

    class Latent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = coupling(
                (6, 4, 4), lambda a, b: nn.Conv2d(a, b, 1), condition=2, clamp=1.9, soft=soft
            )

        def forward(self, x: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            (z,), log_det = self.block([x], [c])
            return z, log_det

    with seeded(0):
        network = Latent().eval()
        x, c = torch.randn(5, 6, 4, 4), torch.randn(5, 2, 4, 4)
    graph = Graph()
    z, log_det = add_network(graph, network, {"x": (6, 4, 4), "c": (2, 4, 4)})
    shapes = {"x": (6, 4, 4), "c": (2, 4, 4)}
    session = onnxruntime.InferenceSession(feature_model(graph, shapes, z, log_det))
    found = session.run(None, {"x": x.numpy(), "c": c.numpy()})
    for ours, torchs in zip(found, network(x, c), strict=True):
        np.testing.assert_allclose(ours, torchs.detach().numpy(), atol=1e-5)
