"""A decision without labels: what chance alone would show, place by place."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from blemish.calibration.a_contrario import Latent, Surprise, log_pfa, log_tests, painted

Mask = np.ndarray

# Few distinct levels, so that many cells are on one level.
maps = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    elements=st.sampled_from([0.0, 0.5, 1.0, 1.01, 1.5, 2.0, 3.0, 7.0]),
)
channels = st.sampled_from([1, 2, 30])


def places(energy: np.ndarray) -> list[Mask]:
    """Every connected component of every upper level set, by brute force."""
    found: dict[bytes, Mask] = {}
    for level in np.unique(energy):
        count, labels = cv2.connectedComponents((energy >= level).astype(np.uint8), connectivity=4)
        for label in range(1, count):
            found[(labels == label).tobytes()] = labels == label
    return list(found.values())


def pfa(energy: np.ndarray, place: Mask, count: int) -> float:
    """Log10 of Chernoff's bound, by the book."""
    u = energy[place].min()
    if u <= 1:
        return 0.0
    return float(-place.sum() * count / 2 * (u - 1 - math.log(u)) / math.log(10))


def simplified(energy: np.ndarray, count: int) -> np.ndarray:
    """Chains narrowed and leaves merged one at a time until nothing changes, then painted."""
    left = sorted(places(energy), key=lambda place: int(place.sum()))
    cost = {id(place): pfa(energy, place, count) for place in left}

    def children(place: Mask) -> list[Mask]:
        inner = [p for p in left if p is not place and not (p & ~place).any()]
        return [p for p in inner if not any(q is not p and not (p & ~q).any() for q in inner)]

    changed = True
    while changed:
        changed = False
        for place in left:
            below = children(place)
            leaves = not any(children(inner) for inner in below)
            at_least = all(cost[id(place)] <= cost[id(inner)] for inner in below)
            if len(below) == 1:
                drop = below if at_least else [place]
            elif below and leaves and at_least:
                drop = below
            else:
                continue
            left = [p for p in left if not any(p is one for one in drop)]
            changed = True
            break
    values = np.zeros(energy.shape)
    for place in left:
        values[place] = np.minimum(values[place], cost[id(place)])
    return values


@given(maps, channels)
def test_the_most_surprising_place_of_all_is_found(energy: np.ndarray, count: int) -> None:
    least = min(pfa(energy, place, count) for place in places(energy))
    assert painted(energy, count).min() == pytest.approx(least)


@given(maps, channels)
def test_each_cell_has_the_place_that_simplifying_leaves(energy: np.ndarray, count: int) -> None:
    np.testing.assert_allclose(painted(energy, count), simplified(energy, count), atol=1e-9)


@given(maps, channels, st.data())
def test_raising_a_cell_never_makes_an_image_less_surprising(
    energy: np.ndarray, count: int, data: st.DataObject
) -> None:
    raised = energy.copy()
    cell = data.draw(st.integers(0, energy.size - 1))
    raised.flat[cell] += data.draw(st.floats(0, 5))
    assert painted(raised, count).min() <= painted(energy, count).min() + 1e-9


@given(maps, channels)
def test_a_map_turned_or_mirrored_means_the_same(energy: np.ndarray, count: int) -> None:
    expected = painted(energy, count)
    np.testing.assert_allclose(painted(energy.T, count).T, expected)
    np.testing.assert_allclose(painted(energy[::-1], count)[::-1], expected)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_map_that_lies_nowhere_above_1_surprises_nobody(level: float) -> None:
    assert not painted(np.full((6, 4), level), 10).any()


def test_a_constant_map_is_one_place() -> None:
    np.testing.assert_allclose(painted(np.full((6, 4), 3.0), 10), 24 * log_pfa(3.0, 10))


def test_a_spot_is_told_from_what_surrounds_it() -> None:
    energy = np.full((8, 8), 0.9)
    energy[2:4, 2:4], energy[6, 6] = 9.0, 3.0
    found = painted(energy, 20)
    assert found[2, 2] == pytest.approx(4 * log_pfa(9.0, 20))
    assert found[6, 6] == pytest.approx(log_pfa(3.0, 20))
    assert found[0, 0] == 0


@pytest.mark.parametrize("count", [1, 8, 60])
def test_the_bound_lies_above_the_chi_square_law(count: int) -> None:
    levels = np.array([1.0, 1.2, 2.0, 4.0])
    exact = stats.chi2.logsf(levels * count, count) / math.log(10)
    bound = log_pfa(levels, count)
    assert (bound >= exact).all()
    assert (np.diff(bound) < 0).all()
    assert log_pfa(0.5, count) == 0


def test_the_number_of_tests_by_the_sum_itself() -> None:
    terms = [n * 0.316915 * 4.062570**r / r for n in (20, 7) for r in range(1, n + 1)]
    assert log_tests([20, 7]) == pytest.approx(math.log10(sum(terms)))
    assert 2490 < log_tests([4096, 1024, 256]) < 2500  # beyond a float's range


def test_noise_is_no_anomaly_and_a_patch_is() -> None:
    """On latents that are what the theory takes them for: standard normal."""
    rng = np.random.default_rng(0)

    def surprise(planted: float) -> Surprise:
        latents = []
        for side, count in ((32, 29), (16, 68), (8, 96)):
            z = rng.normal(size=(count, side, side))
            third = side // 4
            z[:, :third, :third] *= planted
            latent = Latent(count)
            latent.add((z**2).mean(0).astype(np.float32), side, side)
            latents.append(latent)
        return Surprise.of(latents)

    assert not any(surprise(1.0).anomalous for _ in range(20))
    assert surprise(3.0).anomalous


def test_padding_is_neither_tested_nor_surprising() -> None:
    energy = np.full((8, 8), 0.5, np.float32)
    energy[6:], energy[:, 5:] = 50.0, 50.0
    latent = Latent(30)
    latent.add(energy, 6, 5)
    surprise = Surprise.of([latent])
    assert surprise.log_nfa == surprise.log_tests == log_tests([30])
    assert not surprise.maps[0][0].any()
    latent.add(energy, 7, 5)  # a second crop, whose picture reaches into the strong cells
    both = Surprise.of([latent])
    assert both.log_tests == log_tests([30, 35])
    assert both.log_nfa == pytest.approx(both.log_tests + 5 * log_pfa(50.0, 30))
    assert json.loads(json.dumps(both.to_json())) == {"log10": both.log_nfa, "anomalous": True}
