"""The contract of a detector as code: `check_detector` raises where it is broken.

Whoever writes a detector runs it on its name, its file or its class, with settings that make it
quick; the tests run it for every detector there is. Each clause is a function of a `Case` and can
be run alone, to see which one fails:

    from pathlib import Path
    from blemish.detectors.conformance import Case, check_detector, check_resumes_after_a_kill

    check_detector("./mine.py", Path("scratch"), settings={"steps": "50"})
    check_resumes_after_a_kill(Case("./mine.py", Path("scratch"), {"steps": "50"}))
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blemish.detectors import describe
from blemish.detectors._conformance_case import OBLONG, Case, Time, score_elsewhere
from blemish.detectors._planted_defects import defective_pictures, good_pictures, peaks_inside
from blemish.detectors.base import (
    Clock,
    Detector,
    Progress,
    Scores,
)
from blemish.errors import BudgetExceeded, DatasetError, ImageError
from blemish.features.session import open_session
from blemish.metrics.image import auroc

Pixels = npt.NDArray[np.uint8]

TOLERANCE = 1e-4  # of a score, relative to max(1, |score|)
LONG = 1e9  # seconds
LEAST_AUROC = 0.95
LEAST_HITS = 0.9  # share of the defects on which the map peaks
MOST_UNWATCHED = 2  # reports of progress between two looks at the clock


def check_detector(
    detector: str | type[Detector],
    folder: Path,
    *,
    settings: Mapping[str, str] | None = None,
    size: tuple[int, int] = (64, 64),
) -> None:
    """Check every clause of the contract, in the order of `CLAUSES`; pictures go into `folder`.

    `detector` is a name, the path of a `.py` file, or a class that another process can import.
    Raises AssertionError with a sentence for the first clause that the detector breaks, and
    BlemishError for an argument that cannot be.
    """
    case = Case(detector, folder, {} if settings is None else settings, size)
    for clause in CLAUSES:
        clause(case)


def check_has_the_signature(case: Case) -> None:
    """A described dataclass; `image`, and `valid` if given, become `map` and `score`."""
    kind = type(case.opened()) if isinstance(case.detector, str) else case.detector
    assert dataclasses.is_dataclass(kind), f"{case.name} is no dataclass of settings"
    assert describe(case.detector), f"{case.name}: the first line of its file says nothing about it"
    runtime = open_session(case.fitted.graph).runtime
    needed = [value.name for value in runtime.get_inputs()]
    optional = [value.name for value in runtime.get_overridable_initializers()]
    assert needed == ["image"], f"{case.name}: the model's inputs are {needed}, not just image"
    assert "valid" in optional, f"{case.name}: the model has no optional input valid"
    # Straight from the runtime, for a session refuses what is not finite.
    map_, score = runtime.run(["map", "score"], {"image": case.probes})
    for what, values, dimensions in (("score", score, 1), ("map", map_, 3)):
        assert values.dtype == np.float32, f"{case.name}: {what} is {values.dtype}, not float32"
        assert values.ndim == dimensions, f"{case.name}: {what} has the shape {values.shape}"
        assert len(values) == len(case.probes), f"{case.name}: {what} lacks images"
        assert np.isfinite(values).all(), f"{case.name}: {what} holds a NaN or an infinity"


def check_same_seed_same_model(case: Case) -> None:
    """The same seed gives the same bytes, whether features come from the cache or not."""
    detector: Any = case.opened()
    before = dataclasses.asdict(detector)
    again = case.fit(cached=False, detector=detector)
    assert again.graph == case.fitted.graph, f"{case.name}: two fits with one seed differ"
    assert dataclasses.asdict(detector) == before, f"{case.name}: a fit changed its settings"


def check_threads_agree(case: Case) -> None:
    """Fits and scores with one thread and with three, in processes of their own, agree."""
    assert len(case.data) == case.count  # drawn before the two processes look for it
    children = {threads: score_elsewhere(case, threads) for threads in (1, 3)}
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
    fitted, recipe = case.oblong.fitted, case.oblong.recipe
    good = good_pictures(20, OBLONG, seed=3)
    defective, boxes = defective_pictures(20, OBLONG, seed=4)
    low, high = fitted.score(good), fitted.score(defective)
    area = auroc(np.concatenate([low.score, high.score]), np.repeat([0, 1], 20))
    hits = np.mean(
        [peaks_inside(map_, box, recipe) for map_, box in zip(high.map, boxes, strict=True)]
    )
    print(f"{case.name}: AUROC {area:.3f}, map peaks on {hits:.0%} of the planted defects")
    assert area is not None, "there are good and defective pictures"
    assert area >= LEAST_AUROC, f"{case.name}: AUROC {area:.3f} is below {LEAST_AUROC}"
    assert hits >= LEAST_HITS, f"{case.name}: the map peaks on only {hits:.0%} of the defects"


def check_height_is_not_width(case: Case) -> None:
    """A model for pictures that are wider than high takes them, and so are its maps."""
    height, width = OBLONG
    fitted = case.oblong.fitted
    assert (fitted.height, fitted.width) == OBLONG, (
        f"{case.name} was fitted to pictures of {height} x {width} pixels, height by width; its "
        f"model says that it is for {fitted.height} x {fitted.width}"
    )
    rows, columns = fitted.score(good_pictures(1, OBLONG, seed=3)).map.shape[1:]
    assert rows * width == columns * height, (
        f"{case.name}: the map of a picture of {height} x {width} pixels has {rows} x {columns} "
        "cells, which are not square"
    )


def check_padding_is_left_out(case: Case) -> None:
    """Cells outside the box `valid` do not count for the score; without it all cells do.

    What lies in the padding still reaches the cells next to it through the backbone's receptive
    field, so that the scores with and without the padding's content need not be equal.
    """
    (height, width), pictures = case.size, case.probes[:1].copy()
    stripes = np.indices((height // 4, width // 4)).sum(0) // 4 % 2 * 255
    pictures[0, -(height // 4) :, -(width // 4) :] = stripes[..., None]
    whole = np.array([[0, 0, height, width]], np.float32)
    corner = np.array([[0, 0, height // 2, width // 2]], np.float32)
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
    good, (height, width) = case.probes, case.size
    others = {
        "contiguous": good[:, :, ::-1],
        "float32": good.astype(np.float32),
        str(height + 1): np.zeros((1, height + 1, width, 3), np.uint8),
        str([height, width]): np.zeros((height, width), np.uint8),
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
    needed, budget = _watched(case).looked, 0.0
    while True:
        with contextlib.suppress(BudgetExceeded):
            time = Time()
            resumed = case.fit(
                clock=Clock(budget, time), progress=time.report, checkpoint=case.folder / "budget"
            )
            if resumed.finished:
                break
        assert budget < 64 * needed, f"{case.name} does not end, however large its budget"
        budget = max(needed / 16, 2 * budget)
    same = resumed.graph == case.fitted.graph
    assert same, f"{case.name}: a fit that ran out of time resumes to another model"


def check_keeps_the_budget(case: Case) -> None:
    """A fit looks at its clock all the time, and stops when the time is up, wherever it is."""
    undisturbed = _watched(case)
    assert undisturbed.looked > 0, f"{case.name} never looks at its clock"
    assert undisturbed.unwatched <= MOST_UNWATCHED, (
        f"{case.name} reports progress {undisturbed.unwatched} times without a look at its clock"
    )
    for share in (0.0, 0.25, 0.75):
        time = Time()
        with contextlib.suppress(BudgetExceeded):
            clock = Clock(share * undisturbed.looked, time)
            assert not case.fit(clock=clock, progress=time.report).finished, (
                f"{case.name} goes on to the end on {share:.0%} of the time that it needs"
            )


def _watched(case: Case) -> Time:
    """The time in which an undisturbed fit was made."""
    time = Time()
    case.fit(clock=Clock(LONG, time), progress=time.report)
    return time


CLAUSES: tuple[Callable[[Case], None], ...] = (
    check_has_the_signature,
    check_same_seed_same_model,
    check_threads_agree,
    check_batch_invariance,
    check_file_keeps_the_score,
    check_finds_planted_defects,
    check_height_is_not_width,
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
