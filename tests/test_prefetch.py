"""Batches are drawn once, and shown several times before the next block is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blemish.detectors._prefetch import Prefetcher

pytest.importorskip("torch")

from blemish.detectors._patch_sampler import PatchBatch, PatchSample
from blemish.detectors._prefetch import BLOCK


class Numbered:
    """PatchSampler of which each shows its number; counts how many were drawn."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.drawn: list[int] = []

    def batch(self, first: int, count: int) -> PatchBatch:
        self.drawn += range(first, first + count)
        patches = [
            np.full((1, 2, 2, 3), number, np.uint8) for number in range(first, first + count)
        ]
        return PatchBatch.of([PatchSample(patch, False, None) for patch in patches])


def source(patches: Any) -> dict[str, Any]:
    return {"layer": patches[:, 0, 0, 0]}


def ahead(shown: Numbered, shows: int) -> Prefetcher:
    return Prefetcher(shown, source, 2, shows)  # type: ignore[arg-type]


@given(shows=st.integers(1, 5), blocks=st.integers(1, 3), seed=st.integers(0, 9))
def test_every_batch_is_shown_so_often_and_its_block_ends_before_the_next(
    shows: int, blocks: int, seed: int
) -> None:
    stream = ahead(Numbered(seed), shows)
    numbers = [stream.number(step) for step in range(blocks * BLOCK * shows)]
    for block in range(blocks):
        of_block = numbers[block * BLOCK * shows : (block + 1) * BLOCK * shows]
        whole = list(range(block * BLOCK, (block + 1) * BLOCK))
        assert sorted(of_block) == sorted(whole * shows)
        assert of_block[:BLOCK] == whole


def test_a_batch_is_drawn_once_however_often_it_is_shown() -> None:
    shown = Numbered()
    with ahead(shown, 3) as stream:
        taken = [stream.take(step)[1]["layer"].tolist() for step in range(BLOCK * 3)]
    assert taken == [[2 * n, 2 * n + 1] for n in map(stream.number, range(BLOCK * 3))]
    assert sorted(shown.drawn[: 2 * BLOCK]) == list(range(2 * BLOCK))
    assert set(shown.drawn[2 * BLOCK :]) <= {2 * BLOCK, 2 * BLOCK + 1}  # the next block's first


def test_a_training_that_goes_on_takes_what_it_would_have_taken() -> None:
    middle = BLOCK + 3  # in the second pass through the first block
    with ahead(Numbered(), 2) as whole:
        expected = [whole.take(step)[1]["layer"].tolist() for step in range(3 * BLOCK)]
    with ahead(Numbered(), 2) as resumed:
        steps = range(middle, 3 * BLOCK)
        assert [resumed.take(step)[1]["layer"].tolist() for step in steps] == expected[middle:]
