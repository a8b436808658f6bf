"""The contract of a detector: what it is given, what it gives back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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


@dataclass(frozen=True)
class Clock:
    """A time budget in seconds, counted from the clock's making; None never runs out.

    `now` gives the time in seconds. Tests give one that does not depend on the machine.
    """

    budget: float | None = None
    now: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        """The clock starts."""
        object.__setattr__(self, "started", self.now())

    @property
    def elapsed(self) -> float:
        """Seconds since the clock was made."""
        return self.now() - self.started

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


@dataclass(frozen=True)
class FitContext:
    """What a fit is given beside its data.

    Attributes:
        features: Stream of the features of the detector's backbone and layers.
        seed: Whatever is drawn at random follows from it.
        clock: The time budget.
        progress: Is told how far the fit has come.
        checkpoint: Folder for what an interrupted fit needs to go on; may not exist yet.
        warm_start: Model of the same detector and settings to begin with, as ONNX.
    """

    features: FeatureStream
    seed: int
    clock: Clock = field(default_factory=Clock)
    progress: ShowProgress | None = None
    checkpoint: Path | None = None
    warm_start: bytes | None = None

    def tell(self, what: str, done: int, total: int) -> None:
        """Report progress to whoever asked for it."""
        if self.progress:
            self.progress(Progress(what, done, total))


FACTS: Mapping[str, Any] = {
    "trained_in_steps": False,
    "learns_several_categories": False,
    "learns_from_defects": False,
    "draws_defects": False,
    "usual_size": 256,
    "usual_tile": None,
    "usual_resize": "squash",
    "presets": {},
    "quick_settings": {},
}
"""The facts that the class of a detector may state, and what holds where it does not."""


class Detector(Protocol):
    """A frozen dataclass of settings; nothing happens before `fit`.

    Each field is a setting: `blemish.util.settings.setting` declares its unit and limits, and the
    docstring explains it in the section `Attributes`. What else must be known of a detector is a
    class variable, such as `trained_in_steps: ClassVar[bool] = True`. All of them have defaults:

    - `trained_in_steps` (False): a network that takes `steps`, a setting, and that a budget may end
      early.
    - `learns_several_categories` (False): one model for several categories.
    - `learns_from_defects` (False): the rows for `fit` hold the known defects of training too, and
      the fit can begin with a model (`FitContext.warm_start`).
    - `draws_defects` (False): synthetic defects are drawn by the generator that the settings
      `generator` and `generator_preset` name.
    - `usual_size` (256): side of the model's input in pixels, unless another is asked for.
    - `usual_tile` (None): side of the tiles in original pixels, at the usual size; None for a
      detector that sees the whole image, resized.
    - `usual_resize` ("squash"): how an image is fitted to the input, "squash" or "pad".
    - `presets` ({}): settings by preset name.
    - `quick_settings` ({}): texts by setting that make a fit short, for `check_detector`.

    All but the last two are literals, so that they can be read without importing the file.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def backbone(self) -> str:
        """Name of the backbone whose layers it reads."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of those layers."""

    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        """Learn from the rows of `data`, all good unless the detector learns from defects.

        Past the budget BudgetExceeded is raised; a network that is trained in steps ends early
        instead, if one of them was done. Either way a later call with the same `checkpoint` ends at
        the result of an uninterrupted one.
        """


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
