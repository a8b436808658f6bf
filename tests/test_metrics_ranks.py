"""Ranks and their tests against SciPy, and against all signs where SciPy only approximates."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from blemish.errors import DatasetError
from blemish.metrics.ranks import friedman, joined, least_wilcoxon, ranks, wilcoxon


def test_rank_one_is_the_largest_and_ties_share() -> None:
    assert ranks([[0.9, 0.7, 0.8], [0.5, 0.5, 0.1], [1, 1, 1]]).tolist() == [
        *([1, 3, 2], [1.5, 1.5, 3], [2, 2, 2])
    ]
    with pytest.raises(DatasetError, match="finite"):
        ranks([[0.9, np.nan]])
    with pytest.raises(DatasetError, match=r"not \(2,\)"):
        ranks([0.9, 0.8])


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(3, 9), st.integers(2, 12), st.sampled_from([3, 10_000]))
def test_friedman_agrees_with_scipy(seed: int, k: int, n: int, levels: int) -> None:
    values = np.random.default_rng(seed).integers(0, levels, (n, k))
    values[0] = np.arange(k)  # else all may tie
    assert friedman(values) == pytest.approx(stats.friedmanchisquare(*values.T).pvalue, abs=1e-12)


def test_friedman_of_equals_and_of_a_clear_order() -> None:
    assert friedman(np.ones((5, 3))) == 1.0
    assert friedman(np.tile(np.arange(8.0), (40, 1))) < 1e-50


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_wilcoxon_agrees_with_scipys_exact_test(seed: int, n: int) -> None:
    differences = np.random.default_rng(seed).normal(0.3, 1, n)
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert wilcoxon(differences) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_wilcoxon_with_ties_counts_all_signs(differences: list[int]) -> None:
    values = np.array([value for value in differences if value])
    of_ranks = stats.rankdata(np.abs(values))
    expected = 1.0
    if len(values):
        seen = abs(np.sum(np.sign(values) * of_ranks))
        every = [abs(np.dot(signs, of_ranks)) for signs in product((-1, 1), repeat=len(values))]
        expected = float(np.mean(np.array(every) >= seen))
    assert wilcoxon(differences) == pytest.approx(expected)
    assert wilcoxon([-value for value in differences]) == wilcoxon(differences)


def test_few_differences_can_prove_little() -> None:
    for n in range(1, 12):
        assert wilcoxon(np.arange(1.0, n + 1)) == pytest.approx(least_wilcoxon(n))
    assert wilcoxon([]) == least_wilcoxon(0) == 1.0
    assert least_wilcoxon(5) > 0.05 > least_wilcoxon(6)


def test_joined_are_neighbours_of_whom_no_two_are_apart() -> None:
    mean_ranks = [3.5, 1.2, 2.0, 4.0]  # best first: 1, 2, 0, 3
    apart = np.zeros((4, 4), bool)
    assert joined(mean_ranks, apart) == [(1, 2, 0, 3)]
    apart[1, 0] = apart[0, 1] = apart[1, 3] = apart[3, 1] = True
    assert joined(mean_ranks, apart) == [(1, 2), (2, 0, 3)]
    apart[2, 3] = apart[3, 2] = True
    assert joined(mean_ranks, apart) == [(1, 2), (2, 0), (0, 3)]
    assert joined(mean_ranks, ~np.eye(4, dtype=bool)) == []
