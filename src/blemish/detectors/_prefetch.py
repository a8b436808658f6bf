"""Prefetch: the next step's patches are drawn while a step is taken, and shown several times.

To draw a patch and to run a frozen backbone on it costs several times what a step of the head does.
So a block of batches is drawn, and gone through `shows` times before the next one is.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from blemish.detectors._epoch_order import epoch_order
from blemish.detectors._patch_classifier import FrozenFeatures, Known
from blemish.detectors._patch_sampler import PatchBatch, PatchSampler

BLOCK = 16  # batches: 180 MB of layers for 32 patches of 256 pixels


class Prefetcher:
    """Draws the presentations of the next step, and computes their layers, while one is taken."""

    def __init__(self, shown: PatchSampler, source: FrozenFeatures, batch: int, shows: int) -> None:
        self._shown, self._source, self._batch, self._shows = shown, source, batch, shows
        self._pool = ThreadPoolExecutor(1)
        self._drawn: dict[int, Future[tuple[PatchBatch, Known]]] = {}

    def __enter__(self) -> Self:
        """Nothing is drawn before it is asked for."""
        return self

    def __exit__(self, *_: object) -> None:
        """Drop what is not needed any more."""
        self._pool.shutdown(cancel_futures=True)

    def take(self, step: int) -> tuple[PatchBatch, Known]:
        """What step `step` presents, and what the trained part reads of it."""
        now, then = self.number(step), self.number(step + 1)
        for number in (now, then):
            if number not in self._drawn:
                self._drawn[number] = self._pool.submit(self._make, number)
        drawn = self._drawn[now]
        again = {number for number in self._drawn if number // BLOCK == then // BLOCK}
        needed = again if self._shows > 1 else {then}
        self._drawn = {number: self._drawn[number] for number in needed}
        return drawn.result()

    def number(self, step: int) -> int:
        """Which of the batches that are drawn a step takes; in every pass in another order."""
        block, within = divmod(step, BLOCK * self._shows)
        turn, place = divmod(within, BLOCK)
        if turn:
            place = int(epoch_order(BLOCK, block * self._shows + turn, self._shown.seed)[place])
        return block * BLOCK + place

    def _make(self, number: int) -> tuple[PatchBatch, Known]:
        shown = self._shown.batch(number * self._batch, self._batch)
        return shown.without_patches(), self._source(shown.patches)
