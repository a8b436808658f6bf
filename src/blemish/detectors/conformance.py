"""The contract of a detector as code: `check_detector(name, folder)` raises where it is broken.

Whoever adds a file under `detectors/` runs it on its name, with settings that make it quick; the
tests run it for every detector there is. Each clause is a function of a `Case` and can be run
alone, to see which one fails:

    from pathlib import Path
    from blemish.detectors.conformance import Case, check_detector, check_resumes_after_a_kill

    check_detector("mine", Path("scratch"), settings={"steps": "50"})
    check_resumes_after_a_kill(Case("mine", Path("scratch"), {"steps": "50"}))
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blemish.dataset import Dataset, open_dataset
from blemish.detectors import describe, open_detector
from blemish.detectors._planted import defective_pictures, good_pictures, peaks_inside
from blemish.detectors.base import Detector, FittedDetector, Progress, Scores
from blemish.errors import BudgetExceeded, DatasetError, ImageError
from blemish.features.backbone import open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.features.session import open_session
from blemish.images import Recipe
from blemish.metrics.image import auroc

Pixels = npt.NDArray[np.uint8]

TOLERANCE = 1e-4  # of a score, relative to max(1, |score|)
LEAST_AUROC = 0.95
LEAST_HITS = 0.9  # share of the defects on which the map peaks
TINY_BUDGET = 0.05  # seconds
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Case:
    """A detector with `settings`, and `count` good pictures to fit it on, drawn into `folder`.

    `size` is the side of the pictures and of the model's input in pixels.
    """

    name: str
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    size: int = 64
    count: int = 36  # more patches than a memory bank of 2,000 holds

    @cached_property
    def data(self) -> Dataset:
        """The good pictures, drawn when first asked for."""
        good = self.folder / f"good{self.size}"
        if not good.exists():
            good.mkdir(parents=True)
            for number, pixels in enumerate(good_pictures(self.count, self.size, seed=0)):
                png = cv2.imencode(".png", pixels)[1]
                (good / f"{number:03}.png").write_bytes(png.tobytes())
        return open_dataset(good)

    @property
    def recipe(self) -> Recipe:
        """From a picture to the model's input: no change."""
        return Recipe(self.size, self.size, "squash")

    @property
    def detector(self) -> Detector:
        """The detector, not fitted."""
        return open_detector(self.name, self.settings)

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
        self, data: Dataset | None = None, *, cached: bool = True, **options: Any
    ) -> FittedDetector:
        """Fit with seed 0; `options` are a fit's budget, progress and checkpoint."""
        detector = self.detector
        features = FeatureStream(
            open_backbone(detector.backbone),
            detector.layers,
            self.recipe,
            folder=self.folder / "cache" if cached else None,
        )
        rows = self.data if data is None else data
        return detector.fit(rows, features=features, seed=0, **options)


def check_detector(
    name: str, folder: Path, *, settings: Mapping[str, str] | None = None, size: int = 64
) -> None:
    """Check every clause of the contract, in the order of `CLAUSES`; pictures go into `folder`.

    Raises AssertionError with a sentence for the first clause that the detector breaks.
    """
    case = Case(name, folder, settings or {}, size)
    for clause in CLAUSES:
        clause(case)


def check_has_the_signature(case: Case) -> None:
    """A described dataclass; `image`, and `valid` if given, become `map` and `score`."""
    assert dataclasses.is_dataclass(case.detector), f"{case.name} is no dataclass of settings"
    assert describe(case.name), f"{case.name}: the first line of its file says nothing about it"
    runtime = open_session(case.fitted.graph).runtime
    needed = [value.name for value in runtime.get_inputs()]
    optional = [value.name for value in runtime.get_overridable_initializers()]
    assert needed == ["image"], f"{case.name}: the model's inputs are {needed}, not just image"
    assert "valid" in optional, f"{case.name}: the model has no optional input valid"
    scores = case.fitted.score(case.probes)
    for what, values, dimensions in (("score", scores.score, 1), ("map", scores.map, 3)):
        assert values.dtype == np.float32, f"{case.name}: {what} is {values.dtype}, not float32"
        assert values.ndim == dimensions, f"{case.name}: {what} has the shape {values.shape}"
        assert len(values) == len(case.probes), f"{case.name}: {what} lacks images"
        assert np.isfinite(values).all(), f"{case.name}: {what} holds a NaN or an infinity"


def check_same_seed_same_model(case: Case) -> None:
    """The same seed gives the same bytes, whether features come from the cache or not."""
    before = dataclasses.asdict(case.detector)
    again = case.fit(cached=False)
    assert again.graph == case.fitted.graph, f"{case.name}: two fits with one seed differ"
    assert dataclasses.asdict(case.detector) == before, f"{case.name}: a fit changed its settings"


def check_threads_agree(case: Case) -> None:
    """Fits and scores with one thread and with three, in processes of their own, agree."""
    assert len(case.data) == case.count  # drawn before the two processes look for it
    children = {threads: _score_elsewhere(case, threads) for threads in (1, 3)}
    scores = []
    for threads, (child, out) in children.items():
        _, trouble = child.communicate()
        assert child.returncode == 0, f"{case.name} fails with {threads} thread(s): {trouble}"
        with np.load(out) as kept:
            scores.append(Scores(kept["score"], kept["map"]))
    _assert_agree(case.name, "with one thread and with three", *scores)


def check_batch_invariance(case: Case) -> None:
    """A batch of 8 scores like 8 batches of 1."""
    single = [case.fitted.score(case.probes[i : i + 1]) for i in range(len(case.probes))]
    apart = Scores(
        np.concatenate([scores.score for scores in single]),
        np.concatenate([scores.map for scores in single]),
    )
    _assert_agree(case.name, "in one batch and one by one", case.fitted.score(case.probes), apart)


def check_file_keeps_the_score(case: Case) -> None:
    """A graph that was written and opened scores as before, to the bit."""
    path = case.folder / "model.onnx"
    path.write_bytes(case.fitted.graph)
    opened = dataclasses.replace(case.fitted, graph=path.read_bytes())
    before, after = case.fitted.score(case.probes), opened.score(case.probes)
    same = np.array_equal(before.score, after.score) and np.array_equal(before.map, after.map)
    assert same, f"{case.name} scores otherwise after it was written and opened"


def check_finds_planted_defects(case: Case) -> None:
    """20 pictures with a weak defect of 8 pixels rank above 20 good ones, and the map shows it."""
    fine = dataclasses.replace(case, size=max(case.size, 128), count=40)
    good = good_pictures(20, fine.size, seed=3)
    defective, boxes = defective_pictures(20, fine.size, seed=4)
    low, high = fine.fitted.score(good), fine.fitted.score(defective)
    area = auroc(np.concatenate([low.score, high.score]), np.repeat([0, 1], 20))
    hits = np.mean(
        [peaks_inside(map_, box, fine.recipe) for map_, box in zip(high.map, boxes, strict=True)]
    )
    print(f"{case.name}: AUROC {area:.3f}, map peaks on {hits:.0%} of the planted defects")
    assert area is not None, "there are good and defective pictures"
    assert area >= LEAST_AUROC, f"{case.name}: AUROC {area:.3f} is below {LEAST_AUROC}"
    assert hits >= LEAST_HITS, f"{case.name}: the map peaks on only {hits:.0%} of the defects"


def check_padding_is_left_out(case: Case) -> None:
    """Cells outside the box `valid` do not count for the score; without it all cells do.

    What lies in the padding still reaches the cells next to it through the backbone's receptive
    field, so that the scores with and without the padding's content need not be equal.
    """
    size, pictures = case.size, case.probes[:1].copy()
    stripes = np.indices((size // 4, size // 4)).sum(0) // 4 % 2 * 255
    pictures[0, -(size // 4) :, -(size // 4) :] = stripes[..., None]
    whole = np.array([[0, 0, size, size]], np.float32)
    corner = np.array([[0, 0, size // 2, size // 2]], np.float32)
    plain = case.fitted.score(pictures)
    _assert_agree(
        case.name, "without a box and with the whole", plain, case.fitted.score(pictures, whole)
    )
    part = case.fitted.score(pictures, corner)
    assert part.score[0] < plain.score[0], (
        f"{case.name}: a flagrant defect outside the box valid counts for the score"
    )


def check_refuses_other_arrays(case: Case) -> None:
    """A non-contiguous, a float and a wrongly sized array are refused, with what is wrong."""
    good = case.probes
    others = {
        "contiguous": good[:, :, ::-1],
        "float32": good.astype(np.float32),
        str(case.size + 1): np.zeros((1, case.size + 1, case.size, 3), np.uint8),
        str([case.size, case.size]): np.zeros((case.size, case.size), np.uint8),
    }
    for word, images in others.items():
        refusal = _refusal(ImageError, case.fitted.score, images)
        assert refusal is not None, f"{case.name} scores an array that it must refuse: {word}"
        assert word in refusal, f"{case.name} refuses an array, but does not say {word}: {refusal}"


def check_needs_two_images(case: Case) -> None:
    """A fit on no image or on one fails with a sentence that names the data."""
    for count in range(2):
        refusal = _refusal(DatasetError, case.fit, case.data.take(range(count)))
        assert refusal is not None, f"{case.name} learns from {count} image(s)"
        named = str(case.data.root) in refusal
        assert named, f"{case.name}: the refusal does not name the data: {refusal}"


def check_resumes_after_a_kill(case: Case) -> None:
    """A fit killed early or late ends, with the same checkpoint, at the same model."""
    _, reports = case.undisturbed
    assert reports, f"{case.name} reports no progress"
    beyond = [report for report in reports if not 0 <= report.done <= report.total]
    assert not beyond, f"{case.name} reports more than all: {beyond[:1]}"
    for quarter in (1, 3):
        checkpoint = case.folder / f"killed{quarter}"
        with contextlib.suppress(_Killed):
            case.fit(progress=_kill_after(quarter * len(reports) // 4), checkpoint=checkpoint)
        resumed = case.fit(checkpoint=checkpoint)
        assert resumed.graph == case.fitted.graph, (
            f"{case.name}: a fit killed after {quarter}/4 of its steps resumes to another model"
        )


def check_resumes_after_the_budget(case: Case) -> None:
    """A fit that runs out of time, again and again, ends at the model of an undisturbed one."""
    started = time.monotonic()
    whole = case.fit()
    share, budget = (time.monotonic() - started) / 16, 0.0
    while True:
        with contextlib.suppress(BudgetExceeded):
            resumed = case.fit(budget=budget, checkpoint=case.folder / "budget")
            if resumed.finished:
                break
        assert budget < 600, f"{case.name} does not end, however large its budget"
        budget = max(share, 2 * budget)
    same = resumed.graph == whole.graph
    assert same, f"{case.name}: a fit that ran out of time resumes to another model"


def check_keeps_the_budget(case: Case) -> None:
    """With next to no time a fit stops soon, and says so unless it was done."""
    started = time.monotonic()
    try:
        whole = case.fit(budget=TINY_BUDGET, cached=False).finished
        allowed, what = 5 * TINY_BUDGET, "goes on to the end" if whole else "ends early"
    except BudgetExceeded:
        allowed, what = 20.0, "stops"  # in seconds; a slow machine opens a backbone slowly
    seconds = time.monotonic() - started
    assert seconds <= allowed, (
        f"{case.name} {what} after {seconds:.2f} s on a budget of {TINY_BUDGET} s"
    )


CLAUSES: tuple[Callable[[Case], None], ...] = (
    check_has_the_signature,
    check_same_seed_same_model,
    check_threads_agree,
    check_batch_invariance,
    check_file_keeps_the_score,
    check_finds_planted_defects,
    check_padding_is_left_out,
    check_refuses_other_arrays,
    check_needs_two_images,
    check_resumes_after_a_kill,
    check_resumes_after_the_budget,
    check_keeps_the_budget,
)


def _refusal(kind: type[Exception], call: Callable[[Any], object], value: Any) -> str | None:
    """The words with which a call is refused; None when it is not."""
    try:
        call(value)
    except kind as error:
        return str(error)
    except Exception as error:
        wrong = f"{type(error).__name__} instead of {kind.__name__}"
        raise AssertionError(f"a bad input ends in {wrong}: {error}") from error
    return None


def _assert_agree(name: str, when: str, first: Scores, second: Scores) -> None:
    for what, a, b in (("score", first.score, second.score), ("map", first.map, second.map)):
        gap = float((np.abs(a - b) / np.maximum(1, np.abs(a))).max())
        assert gap <= TOLERANCE, f"{name}: the {what} differs {when} by {gap:.2g}"


class _Killed(BaseException):
    """Stands for the end of a process: nothing but this module may catch it."""


def _kill_after(count: int) -> Callable[[Progress], None]:
    reports: Iterator[int] = iter(range(count - 1))

    def progress(_: Progress) -> None:
        if next(reports, None) is None:
            raise _Killed

    return progress


def _score_elsewhere(case: Case, threads: int) -> tuple[subprocess.Popen[str], Path]:
    """A process of its own with that many threads that fits and scores, and where it writes."""
    out = case.folder / f"threads{threads}.npz"
    call = {
        **{"name": case.name, "folder": str(case.folder), "settings": dict(case.settings)},
        **{"size": case.size, "count": case.count, "out": str(out)},
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
    """What the process of `_score_elsewhere` does."""
    values = json.loads(call)
    out = values.pop("out")
    case = Case(**{**values, "folder": Path(values["folder"])})
    scores = case.fit(cached=False).score(case.probes)
    np.savez(out, score=scores.score, map=scores.map)
