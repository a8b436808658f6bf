"""The memory bank is an r-net, and covers the patches about as well as exact greedy k-centre."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist, pdist

from blemish.detectors.patchcore import FIRST_ROOM
from blemish.features.memory_bank import MemoryBank, greedy_k_centre

ROUNDING = 4e-3  # of a patch's length: closer than this, two patches count as copies


def grown(x: np.ndarray, size: int, chunk: int = 500) -> MemoryBank:
    """The bank of x [n, C], streamed in chunks until a pass does not grow the radius."""
    bank = MemoryBank.empty(size, x.shape[1])
    bank.room, before = max(1, round(FIRST_ROOM * size)), -1.0
    while bank.radius > before:
        before = bank.radius
        for start in range(0, len(x), chunk):
            bank.absorb(x[start : start + chunk])
        bank.room = size
    return bank


def clustered(seed: int, count: int = 6000, channels: int = 24) -> np.ndarray:
    """Patches as good parts give them: kinds of place of unequal frequency and spread."""
    rng = np.random.default_rng(seed)
    centres, spread = rng.normal(0, 3, (40, channels)), rng.uniform(0.3, 1.5, 40)
    kind = rng.choice(40, count, p=rng.dirichlet(np.full(40, 0.5)))
    return np.float32(centres[kind] + spread[kind, None] * rng.normal(size=(count, channels)))


def drifting(seed: int) -> np.ndarray:
    """The early patches say nothing of where the late ones lie."""
    rng = np.random.default_rng(seed)
    return np.float32(rng.normal(size=(6000, 12)) + np.linspace(-5, 5, 6000)[:, None])


def with_outliers(seed: int) -> np.ndarray:
    x = clustered(seed)
    x[-3:] *= 20
    return x


def on_a_curve(seed: int) -> np.ndarray:
    """Hardly more than one dimension, where a small share of missing picks costs most."""
    rng = np.random.default_rng(seed)
    t = 20 * rng.random(6000)
    return np.float32(np.column_stack([np.sin(t), np.cos(t), t / 10, rng.normal(0, 0.02, 6000)]))


TABLES = arrays(
    np.float32,
    st.tuples(st.integers(1, 120), st.integers(1, 4)),
    elements=st.integers(-40, 40).map(lambda value: value / 4),  # so that copies occur
)


@settings(max_examples=100)
@given(x=TABLES, size=st.integers(1, 40), chunk=st.integers(1, 120))
def test_every_patch_lies_within_the_radius_of_the_bank(
    x: np.ndarray, size: int, chunk: int
) -> None:
    bank = grown(x, size, chunk)
    assert 1 <= bank.count <= size
    nearest = cdist(x, bank.patches).min(1)
    assert (nearest <= bank.radius * (1 + 1e-4) + ROUNDING * np.linalg.norm(x, axis=1)).all()


@settings(max_examples=100)
@given(x=TABLES, size=st.integers(1, 40), chunk=st.integers(1, 120))
def test_the_kept_patches_lie_more_than_the_radius_apart(
    x: np.ndarray, size: int, chunk: int
) -> None:
    bank = grown(x, size, chunk)
    apart = pdist(bank.patches.astype(np.float64))
    assert (apart > bank.radius * (1 - 1e-4) - 1e-3).all()
    assert (apart > 0).all()


@settings(max_examples=60)
@given(x=TABLES, size=st.integers(1, 40))
def test_every_kept_patch_keeps_its_weight(x: np.ndarray, size: int) -> None:
    bank = MemoryBank.empty(size, x.shape[1])
    numbers = np.arange(len(x), dtype=np.float32)
    for some in np.array_split(np.arange(len(x)), 5):
        bank.absorb(x[some], numbers[some])
    own = bank.weights[: bank.count].astype(int)
    assert np.array_equal(x[own], bank.patches)


@settings(max_examples=60)
@given(x=TABLES, size=st.integers(1, 40), stop=st.integers(0, 20))
def test_a_bank_goes_on_from_what_was_kept(x: np.ndarray, size: int, stop: int) -> None:
    def absorb(bank: MemoryBank, chunks: list[np.ndarray]) -> MemoryBank:
        for chunk in chunks:
            bank.absorb(chunk)
        return bank

    chunks = np.array_split(x, 20)
    whole = absorb(MemoryBank.empty(size, x.shape[1]), chunks)
    first = absorb(MemoryBank.empty(size, x.shape[1]), chunks[:stop])
    second = MemoryBank.empty(size, x.shape[1])
    second.restore(
        first.patches.copy(),
        first.gaps[: first.count].copy(),
        first.weights[: first.count].copy(),
        first.radius,
    )
    absorb(second, chunks[stop:])
    assert second.patches.tobytes() == whole.patches.tobytes()
    assert second.radius == whole.radius


# Eight seeds and sizes from 30 to 1500 gave at most 1.11, 1.02, 1.16 (by a bank of 50; else 1.04)
# and 1.25 (by a bank of 50), PatchCore's patches of two real sets at most 1.02.
WORST = [(clustered, 1.15), (drifting, 1.15), (with_outliers, 1.15), (on_a_curve, 1.3)]


@pytest.mark.parametrize(("draw", "worst"), WORST)
@pytest.mark.parametrize("size", [100, 600])
def test_covers_nearly_as_well_as_exact_greedy_k_centre(
    draw: Callable[[int], np.ndarray], worst: float, size: int
) -> None:
    for seed in range(3):
        x = draw(seed)
        x -= x.mean(0)
        bank = grown(x, size)
        _, greedy = greedy_k_centre(x, size)
        radius = float(cdist(x, bank.patches).min(1).max())
        assert radius <= worst * greedy, (seed, radius / greedy)
        assert bank.count >= 0.8 * size


def test_a_bank_for_a_tenth_of_the_patches_is_filled() -> None:
    """The first patches lie further apart than the final radius; that must not keep it empty."""
    x = clustered(0, count=4000)
    assert grown(x, 3000).count >= 2400
    assert grown(x, 400).count >= 340


@pytest.mark.parametrize("order", ["as drawn", "sorted", "reversed"])
def test_the_order_of_the_patches_matters_little(order: str) -> None:
    x = clustered(1)
    by_length = np.argsort(np.linalg.norm(x, axis=1))
    rows = {"as drawn": x, "sorted": x[by_length], "reversed": x[by_length[::-1]]}[order]
    _, greedy = greedy_k_centre(x, 200)
    assert grown(np.ascontiguousarray(rows), 200).radius <= 1.15 * greedy


def test_copies_are_kept_once() -> None:
    x = np.repeat(clustered(0, count=30), 50, axis=0)
    bank = grown(np.random.default_rng(0).permutation(x), 100)
    assert bank.count == 30
    assert bank.radius == 0


@pytest.mark.parametrize("value", [0.0, 0.1, -37.3])
def test_constant_patches_are_one_patch(value: float) -> None:
    bank = grown(np.full((3000, 40), value, np.float32), 10)
    assert bank.count == 1
    assert bank.radius == 0


def test_fewer_patches_than_room_are_all_kept() -> None:
    x = clustered(0, count=70)
    bank = grown(x, 100)
    assert bank.radius == 0
    assert np.array_equal(np.sort(bank.patches, axis=0), np.sort(x, axis=0))


def test_a_bank_of_one_patch_covers_all() -> None:
    x = clustered(0, count=300)
    bank = grown(x, 1)
    assert bank.count == 1
    assert np.isfinite(bank.radius)
    assert cdist(x, bank.patches).max() <= bank.radius * (1 + 1e-4)


def test_distances_are_euclidean() -> None:
    x = clustered(0, count=500)
    bank = grown(x, 60)
    other = clustered(1, count=200)
    assert np.allclose(bank.distances(other), cdist(other, bank.patches).min(1), rtol=1e-4)
    assert np.isinf(MemoryBank.empty(5, 24).distances(other)).all()


def test_greedy_k_centre_takes_the_farthest_patch_each_time() -> None:
    x = clustered(3, count=400)
    gaps = cdist(x, x)
    picks, radius = greedy_k_centre(x, 50, seed=4)
    for count in range(1, 50):
        nearest = gaps[:, picks[:count]].min(1)
        assert nearest[picks[count]] == pytest.approx(nearest.max(), rel=1e-4)
    assert radius == pytest.approx(gaps[:, picks].min(1).max(), rel=1e-4)
