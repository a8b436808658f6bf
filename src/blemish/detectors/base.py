"""The contract of a detector: what it is given, what it gives back."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset
from blemish.errors import BudgetExceeded, DatasetError, ImageError
from blemish.features.feature_stream import FeatureStream
from blemish.features.session import Session, open_session
from blemish.util.progress import Progress as Progress
from blemish.util.progress import ShowProgress as ShowProgress

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """Raw results, larger = more anomalous: `score` float32 [n], `map` float32 [n, h, w]."""

    score: Floats
    map: Floats


@dataclass(frozen=True)
class FittedDetector:
    """A fitted detector is one ONNX model, `graph`, for images of height x width.

    `facts` are numbers about the fit that belong into the artifact's card. A network whose training
    the budget cut short has done fewer `steps` than `steps_planned`.
    """

    graph: bytes
    height: int
    width: int
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """False when the budget cut the training short: it can be gone on with."""
        return bool(self.facts.get("steps") == self.facts.get("steps_planned"))

    @cached_property
    def session(self) -> Session:
        """The session that scores, opened once."""
        return open_session(self.graph)

    def score(self, images: npt.NDArray[np.uint8], valid: Floats | None = None) -> Scores:
        """Scores of uint8 [n, height, width, 3]; `valid` float32 [n, 4] leaves padding out.

        Raises ImageError for an array of another type, shape or memory layout.
        """
        check_images(images, self.height, self.width)
        feed: dict[str, npt.NDArray[Any]] = {"image": images}
        if valid is not None:
            feed["valid"] = np.asarray(valid, np.float32)
        map_, score = self.session.run(["map", "score"], feed)
        return Scores(score, map_)


class Detector(Protocol):
    """A dataclass of settings; nothing happens before `fit`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def backbone(self) -> str:
        """Name of the backbone whose layers it reads."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of those layers."""

    def fit(
        self,
        data: Dataset,
        *,
        features: FeatureStream,
        seed: int,
        budget: float | None = None,
        progress: ShowProgress | None = None,
        checkpoint: Path | None = None,
    ) -> FittedDetector:
        """Learn from the rows of `data`, all good; `features` are of its backbone and layers.

        `budget` is in seconds. Past it BudgetExceeded is raised; a network that is trained in
        `steps`, a setting, ends early instead, if one of them was done. Either way a later call
        with the same `checkpoint` folder ends at the result of an uninterrupted one.
        """


@dataclass(frozen=True)
class Clock:
    """A time budget in seconds, counted from the clock's making; None never runs out."""

    budget: float | None
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the clock was made."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float | None:
        """Seconds that are left, never below 0; None without a budget."""
        return None if self.budget is None else max(0.0, self.budget - self.elapsed)

    def check(self, what: str) -> None:
        """Raise BudgetExceeded when the time is up."""
        if self.budget is not None and self.elapsed > self.budget:
            raise self.too_short(f"while {what}")

    def too_short(self, when: str) -> BudgetExceeded:
        """The error that says when the time was up."""
        return BudgetExceeded(
            f"the time budget of {self.budget:g} s ran out {when}; "
            "what was done is kept: go on with --resume and more time"
        )


def check_images(images: npt.NDArray[Any], height: int, width: int) -> None:
    """Refuse by name what is not a contiguous uint8 [n, height, width, 3]."""
    if images.dtype != np.uint8:
        raise ImageError(f"images must be uint8, not {images.dtype}; apply the window first")
    if images.ndim != 4 or images.shape[1:] != (height, width, 3):
        raise ImageError(
            f"images must have the shape [n, {height}, {width}, 3], not {list(images.shape)}"
        )
    if not images.flags.c_contiguous:
        raise ImageError("images must be contiguous in memory; call numpy.ascontiguousarray first")


def need_images(data: Dataset) -> None:
    """Refuse to learn from fewer than two images."""
    if len(data) < 2:
        raise DatasetError(
            f"{data.root} has {len(data)} good training image(s); a detector learns what varies "
            "between good parts and needs at least 2, better 50"
        )
