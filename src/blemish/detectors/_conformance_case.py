"""The case that a detector is checked by: pictures, fits on them, and a process of its own."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset, open_dataset
from blemish.detectors import open_detector
from blemish.detectors._planted_defects import defective_pictures, good_pictures
from blemish.detectors.base import Detector, FitContext, FittedDetector, Progress
from blemish.errors import BlemishError
from blemish.features.backbone import open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.images import Recipe
from blemish.util.names import path_of, type_of

Pixels = npt.NDArray[np.uint8]

_STEP, _LARGEST = 32, 2048  # pixels, of a side
OBLONG = (128, 192)  # height and width in pixels of pictures that are not square
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Case:
    """A detector with `settings`, and `count` good pictures to fit it on, drawn into `folder`.

    `detector` is a name, the path of a `.py` file, or a class. `size` are height and width of the
    pictures and of the model's input in pixels. Raises BlemishError for what cannot be an argument.
    """

    detector: str | type[Detector]
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    size: tuple[int, int] = (64, 64)
    count: int = 36  # more patches than a memory bank of 2,000 holds

    def __post_init__(self) -> None:
        """Refuse what cannot be an argument, before anything is drawn."""
        if not isinstance(self.detector, str | type):
            raise BlemishError(
                "the detector must be a name, the path of a .py file or a class, not "
                f"{type_of(self.detector)}"
            )
        object.__setattr__(self, "folder", path_of(self.folder, "the folder for pictures"))
        if not isinstance(self.settings, Mapping) or not all(
            isinstance(text, str) for item in self.settings.items() for text in item
        ):
            raise BlemishError("the settings must be texts by the names of the settings")
        size = self.size
        if not isinstance(size, tuple) or [type(side) for side in size] != [int, int]:
            raise BlemishError("the size must be two whole numbers, height and width in pixels")
        if not all(_STEP <= side <= _LARGEST and side % _STEP == 0 for side in size):
            raise BlemishError(
                f"the size must be of multiples of {_STEP} up to {_LARGEST} pixels, not "
                f"{size[0]} x {size[1]}"
            )

    @property
    def name(self) -> str:
        """What the detector is called in sentences."""
        return self.detector if isinstance(self.detector, str) else self.detector.__name__

    @cached_property
    def data(self) -> Dataset:
        """The good pictures, drawn when first asked for."""
        good = self.folder / "good{}x{}".format(*self.size)
        if not good.exists():
            good.mkdir(parents=True)
            for number, pixels in enumerate(good_pictures(self.count, self.size, seed=0)):
                png = cv2.imencode(".png", pixels)[1]
                (good / f"{number:03}.png").write_bytes(png.tobytes())
        return open_dataset(good)

    @property
    def recipe(self) -> Recipe:
        """From a picture to the model's input: no change."""
        return Recipe(*self.size, "squash")

    @cached_property
    def oblong(self) -> Case:
        """The same of pictures that are wider than high, with room for weak defects."""
        return dataclasses.replace(self, size=OBLONG, count=40)

    def opened(self) -> Detector:
        """The detector, not fitted."""
        return open_detector(self.detector, self.settings)

    @cached_property
    def fitted(self) -> FittedDetector:
        """The detector after an undisturbed fit with seed 0."""
        return self.undisturbed[0]

    @cached_property
    def undisturbed(self) -> tuple[FittedDetector, list[Progress]]:
        """That fit, and what it reported on its way."""
        reports: list[Progress] = []
        return self.fit(progress=reports.append), reports

    @cached_property
    def probes(self) -> Pixels:
        """Eight pictures that no fit has seen, four of them with a defect."""
        good = good_pictures(4, self.size, seed=1)
        defective, _ = defective_pictures(4, self.size, seed=2)
        return np.concatenate([good, defective])

    def fit(
        self,
        data: Dataset | None = None,
        *,
        cached: bool = True,
        detector: Detector | None = None,
        **options: Any,
    ) -> FittedDetector:
        """Fit with seed 0; `options` are a fit context's clock, progress and checkpoint."""
        detector = self.opened() if detector is None else detector
        features = FeatureStream(
            open_backbone(detector.backbone),
            detector.layers,
            self.recipe,
            folder=self.folder / "cache" if cached else None,
        )
        rows = self.data if data is None else data
        return detector.fit(rows, FitContext(features, seed=0, **options))


class Time:
    """A time that goes on by a second at each look and at each report of progress.

    `looked` are the seconds from the first look, a clock's start, to the last; `unwatched` is the
    largest number of reports between two looks, or after the last.
    """

    def __init__(self) -> None:
        self.seconds, self.looked, self.unwatched = 0.0, 0.0, 0
        self._since_look = 0

    def __call__(self) -> float:
        """A look at the clock."""
        self.looked, self._since_look = self.seconds, 0
        self.seconds += 1
        return self.looked

    def report(self, _: Progress) -> None:
        """A fit has come farther."""
        self.seconds += 1
        self._since_look += 1
        self.unwatched = max(self.unwatched, self._since_look)


def _address(detector: str | type[Detector]) -> str | list[str]:
    """The name or file of a detector, or module and name of a class, for another process."""
    if isinstance(detector, str):
        return str(Path(detector).resolve()) if detector.endswith(".py") else detector
    importable = detector.__module__ != "__main__" and detector.__qualname__ == detector.__name__
    assert importable, (
        f"another process cannot import {detector.__qualname__}: give check_detector the path of "
        "its file instead"
    )
    return [detector.__module__, detector.__name__]


def score_elsewhere(case: Case, threads: int) -> tuple[subprocess.Popen[str], Path]:
    """A process of its own with that many threads that fits and scores, and where it writes."""
    out = case.folder / f"threads{threads}.npz"
    call = {
        **{"detector": _address(case.detector), "folder": str(case.folder)},
        **{"settings": dict(case.settings), "size": case.size, "count": case.count},
        "out": str(out),
    }
    code = f"from {__name__} import _write_scores as run; run({json.dumps(json.dumps(call))})"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "BLEMISH_THREADS": str(threads),
        **dict.fromkeys(THREADS, str(threads)),
    }
    child = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True
    )
    return child, out


def _write_scores(call: str) -> None:
    """What the process of `score_elsewhere` does."""
    values = json.loads(call)
    out, detector = values.pop("out"), values.pop("detector")
    if not isinstance(detector, str):
        module, name = detector
        detector = getattr(importlib.import_module(module), name)
    case = Case(
        detector, **{**values, "folder": Path(values["folder"]), "size": (*values["size"],)}
    )
    scores = case.fit(cached=False).score(case.probes)
    np.savez(out, score=scores.score, map=scores.map)
