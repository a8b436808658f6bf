"""The training loop: it stops in time, and goes on as if it had never stopped."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from contexts import context
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from blemish.detectors import network  # noqa: E402
from blemish.detectors._affine_coupling import coupling  # noqa: E402
from blemish.detectors.base import Clock, Progress  # noqa: E402
from blemish.detectors.network import (  # noqa: E402
    EarlyStopping,
    Training,
    add_network,
    seeded,
    shuffled,
)
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


class Counting(nn.Module):
    """A network whose one weight counts the steps; it is `wrong`, give or take 0.4, by looks."""

    def __init__(self, wrong: Sequence[float]) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.zeros(1))
        self.wrong = wrong
        self.looks: list[int] = []

    def measure(self) -> tuple[float, float]:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.looks.append(int(self.steps))
        return self.wrong[len(self.looks) - 1], 0.4

    def train_with(self, training: Training, every: int, patience: int) -> dict[str, float]:
        stopping = EarlyStopping(self, self.measure, every, patience)
        sgd = torch.optim.SGD(self.parameters(), 1.0)
        facts = training.run(self, [sgd], lambda step: -self.steps.sum(), stopping=stopping)
        return {**facts, "best_step": stopping.best_step}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("killed_at", [1, 7, 19])
@pytest.mark.parametrize("by", [KeyboardInterrupt, SystemExit])
def test_a_killed_training_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int, by: type[BaseException]
) -> None:
    """A kill finds the checkpoint of the step before; Ctrl-C leaves one of its own."""
    if by is SystemExit:
        monkeypatch.setattr(network, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)

    def kill(report: Progress) -> None:
        if report.done == killed_at:
            raise by

    whole, _ = trained(Training(20, context()))
    with pytest.raises(by):
        trained(Training(20, context(progress=kill, checkpoint=tmp_path)))
    seen: list[Progress] = []
    resumed, facts = trained(Training(20, context(progress=seen.append, checkpoint=tmp_path)))
    assert same(whole, resumed)
    assert facts["steps"] == facts["steps_planned"] == 20
    assert len(seen) == 20 - killed_at
    other, _ = trained(Training(20, context(seed=1)))
    assert not same(whole, other)


def clock(budget: float) -> Clock:
    """Every look at it takes a second; a step of a training has four."""
    seconds = itertools.count()
    return Clock(budget, lambda: float(next(seconds)))


def test_a_budget_ends_a_training_early_and_a_resumed_one_ends_at_the_same_weights(
    tmp_path: Path,
) -> None:
    whole, _ = trained(Training(20, context()))
    counts = []
    for _ in range(10):
        weights, facts = trained(
            Training(20, context(clock=clock(36.0), checkpoint=tmp_path), reserve=2.0)
        )
        counts.append(facts["steps"])
        if facts["steps"] == 20:
            break
    assert counts == [8, 16, 20]
    assert same(whole, weights)


def test_a_training_that_gets_worse_ends_at_its_latest_weights_that_were_not() -> None:
    network = Counting([3, 2, 2.3, 2.5, 2.6, 2.5, 1])
    facts = network.train_with(Training(40, context()), every=2, patience=3)
    assert network.looks == [2, 4, 6, 8, 10, 12]  # 2.3 is no worse than 2, give or take 0.4
    assert facts["best_step"] == int(network.steps) == 6
    assert facts["steps"] == facts["steps_planned"] == 12


def test_a_better_measure_makes_patient_again_and_the_steps_end_it_all_the_same() -> None:
    network = Counting([3, 4, 2, 4, 1, 5, 5])
    facts = network.train_with(Training(14, context()), every=2, patience=3)
    assert len(network.looks) == 7
    assert facts["best_step"] == int(network.steps) == 10
    assert facts["steps"] == facts["steps_planned"] == 14


def test_what_was_never_measured_stays_where_the_steps_ended() -> None:
    network = Counting([])
    facts = network.train_with(Training(7, context()), every=8, patience=1)
    assert (facts["best_step"], int(network.steps)) == (0, 7)


@pytest.mark.parametrize("killed_at", [3, 4, 7, 9, 10])
def test_a_killed_training_ends_as_early_and_at_the_same_best(
    tmp_path: Path, killed_at: int
) -> None:
    """The measure of each look is the same as without the kill."""

    def kill(report: Progress) -> None:
        if report.done == killed_at:
            raise KeyboardInterrupt

    wrong = [3, 2, 2.5, 2.5, 2.5, 0]
    whole = Counting(wrong)
    expected = whole.train_with(Training(40, context()), every=2, patience=3)
    with pytest.raises(KeyboardInterrupt):
        Counting(wrong).train_with(Training(40, context(progress=kill, checkpoint=tmp_path)), 2, 3)
    resumed = Counting(wrong[killed_at // 2 :])
    found = resumed.train_with(Training(40, context(checkpoint=tmp_path)), 2, 3)
    assert found == expected
    assert same(whole.state_dict(), resumed.state_dict())
    again = Counting([]).train_with(Training(40, context(checkpoint=tmp_path)), 2, 3)
    assert again == expected  # it had ended, and takes no further step


def test_a_budget_too_short_for_one_step_says_so() -> None:
    with pytest.raises(BudgetExceeded, match="before the first step"):
        trained(Training(20, context(clock=Clock(0.0))))


def test_a_training_that_diverges_says_so() -> None:
    network = nn.Linear(1, 1)
    training = Training(3, context())
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
