"""The presentations of a training, drawn while the step before is taken."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from blemish.detectors._patch_classifier import Known, Source
from blemish.detectors._presentations import Presentations, Shown


class Ahead:
    """Draws the presentations of the next step, and computes their layers, while one is taken."""

    def __init__(self, shown: Presentations, source: Source, batch: int) -> None:
        self._shown, self._source, self._batch = shown, source, batch
        self._pool = ThreadPoolExecutor(1)
        self._next: tuple[int, Future[tuple[Shown, Known]]] | None = None

    def __enter__(self) -> Self:
        """Nothing is drawn before it is asked for."""
        return self

    def __exit__(self, *_: object) -> None:
        """Drop what is not needed any more."""
        self._pool.shutdown(cancel_futures=True)

    def take(self, step: int) -> tuple[Shown, Known]:
        """What step `step` presents, and what the trained part reads of it."""
        if self._next is not None and self._next[0] == step:
            future = self._next[1]
        else:
            future = self._pool.submit(self._make, step)
        self._next = (step + 1, self._pool.submit(self._make, step + 1))
        return future.result()

    def _make(self, step: int) -> tuple[Shown, Known]:
        shown = self._shown.batch(step * self._batch, self._batch)
        return shown, self._source(shown.patches)
