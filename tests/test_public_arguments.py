"""Whatever a caller gives the public functions: a result, or a typed error in one sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blemish
from blemish.calibration.promise import Promise

Call = Callable[[Any], object]


class Bytes:
    def __fspath__(self) -> bytes:
        return b"x"


class Number:
    def __fspath__(self) -> int:
        return 5


OBJECTS: list[Any] = [b"x", b"", [], (), [3], {}, object(), Bytes(), Number(), lambda: 0]
OBJECTS += [np.zeros(3), np.zeros((0, 3))]
NUMBERS: list[Any] = [1.5, float("nan"), float("inf"), 10**30]
TEXTS = ["a\0b", "\udcff", "a\nb", "x" * 300, "x/" * 3000]  # that no file is called
NEVER = [*OBJECTS, *NUMBERS, *TEXTS]
PATHLESS = [None, 1, True, "", *NEVER]


def calls(model: Path, plates: Path) -> dict[str, tuple[Call, list[Any]]]:
    """Each argument of the public door, and values that cannot be."""
    inspector, data = blemish.Inspector.open(model), blemish.open_dataset(plates)
    out = plates.parent / "never.blemish"
    return {
        "open_dataset": (blemish.open_dataset, PATHLESS),
        "open_dataset layout": (
            lambda v: blemish.open_dataset(plates, layout=v),
            [1, *OBJECTS, *NUMBERS],
        ),
        "open_dataset category": (lambda v: blemish.open_dataset(plates, category=v), NEVER),
        "open_dataset pattern": (lambda v: blemish.open_dataset(plates, part_pattern=v), NEVER),
        "open_dataset parts": (lambda v: blemish.open_dataset(plates, parts=v), [1, "", *NEVER]),
        "open_dataset split": (lambda v: blemish.open_dataset(plates, split=v), [1, "", *NEVER]),
        "Dataset.category": (data.category, PATHLESS),
        "Dataset.split": (data.split, PATHLESS),
        "Inspector.open": (blemish.Inspector.open, PATHLESS),
        "Inspector.open threads": (
            lambda v: blemish.Inspector.open(model, threads=v),
            [True, 0, -1, *OBJECTS, *TEXTS, 1.5],
        ),
        "Inspector.of_category": (inspector.of_category, PATHLESS),
        "fit": (blemish.fit, PATHLESS),
        "fit plan": (lambda v: blemish.fit(data, v), [None, 1, *OBJECTS, *NUMBERS]),
        "train": (lambda v: blemish.train(v, out), PATHLESS),
        "train path": (lambda v: blemish.train(data, v), [plates, *PATHLESS]),
        "train plan": (lambda v: blemish.train(data, out, v), [None, 1, *OBJECTS, *NUMBERS]),
        "train budget": (
            lambda v: blemish.train(data, out, budget=v),
            [True, 0, -1, float("inf"), float("nan"), "90s", *OBJECTS],
        ),
        "evaluate": (lambda v: blemish.evaluate(v, data), PATHLESS),
        "evaluate data": (lambda v: blemish.evaluate(inspector, v), PATHLESS),
        "calibrate": (lambda v: blemish.calibrate(v, data), PATHLESS),
        "calibrate good": (lambda v: blemish.calibrate(model, v, out=out), PATHLESS),
        "calibrate promise": (
            lambda v: blemish.calibrate(model, data, v, out=out),
            [1, "1%", *NEVER],
        ),
        "calibrate out": (lambda v: blemish.calibrate(model, data, out=v), [1, "", *NEVER]),
        "check_detector": (lambda v: blemish.check_detector(v, out), [None, 1, *OBJECTS, *NUMBERS]),
        "check_detector name": (lambda v: blemish.check_detector(v, out), ["", "magic", *TEXTS]),
        "check_detector folder": (lambda v: blemish.check_detector("padim", v), PATHLESS),
        "check_detector settings": (
            lambda v: blemish.check_detector("padim", out, settings=v),
            [1, {"rank": 5}, {5: "rank"}, {"magic": "1"}, *NUMBERS, *TEXTS, b"x", [3]],
        ),
        "check_detector size": (
            lambda v: blemish.check_detector("padim", out, size=v),
            [None, 64, (64,), (64, 64.0), (64, True), (0, 64), (-32, 32), (33, 64), (1 << 40, 64)],
        ),
        "Promise": (blemish.Promise, [0, 1, -1, None, "1%", *NEVER]),
        "Promise confidence": (lambda v: blemish.Promise(0.1, v), [0, 1, -1, None, *NEVER]),
        **{f"Plan {name}": (planned(name), values) for name, values in PLANS.items()},
    }


def planned(name: str) -> Call:
    return lambda value: blemish.Plan(**{name: value})


PLANS: dict[str, list[Any]] = {
    "detector": [None, 1, *OBJECTS, *NUMBERS],
    "preset": [1, *OBJECTS, *NUMBERS],
    "settings": [None, 1, {"bank": 5}, {5: "bank"}, *NUMBERS, *TEXTS, b"x", [3], object()],
    "size": [True, "64", 64.0, *NEVER],
    "resize": [1, *OBJECTS, *NUMBERS],
    "crop": [True, "64", *NEVER],
    "tile": [True, "64", *NEVER],
    "promise": [None, 1, 0.01, *NEVER],
    "hold_out": [0, 1, -1, True, "20%", *NEVER],
    "cross_fit": [None, True, -1, "5", *NEVER],
    "view_scales": [None, 1, "yes", *NEVER],
    "seed": [None, True, -1, "x", 0.0, *NEVER],
    "cache": [1, "", *NEVER],
}


def test_a_value_that_cannot_be_is_refused_in_one_sentence(model: Path, plates: Path) -> None:
    for name, (call, values) in calls(model, plates).items():
        for value in values:
            try:
                call(value)
            except blemish.BlemishError as error:
                sentence = str(error)
            else:
                pytest.fail(f"{name} takes {value!r}")
            assert len(sentence.splitlines()) == 1, (name, value)
    assert not (plates.parent / "never.blemish").exists()


@pytest.mark.parametrize("kind", [int, dict, Bytes])
def test_a_class_that_is_no_detector_breaks_the_contract(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=f"{kind.__name__} is no dataclass of settings"):
        blemish.check_detector(kind, tmp_path)


def test_every_field_of_a_plan_is_tried() -> None:
    assert PLANS.keys() == {field.name for field in dataclasses.fields(blemish.Plan)}


def test_a_plan_takes_what_stands_for_a_value() -> None:
    plan = blemish.Plan(seed=np.int64(3), size=np.int32(64), hold_out=np.float64(0.5), cache="c")  # type: ignore[arg-type]
    assert (plan.seed, type(plan.seed), plan.hold_out, plan.cache) == (3, int, 0.5, Path("c"))
    assert blemish.Plan().promise == Promise()


def test_arrays_and_shares_that_cannot_be_are_refused(model: Path) -> None:
    inspector = blemish.Inspector.open(model)
    for pixels in (None, 1, b"d", np.zeros(64, np.uint8), np.zeros((8, 8), np.float32)):
        with pytest.raises(blemish.BlemishError):
            inspector.look_at(pixels)  # type: ignore[arg-type]
    huge = np.broadcast_to(np.uint8(3), (1 << 20, 1 << 20))
    with pytest.raises(blemish.BlemishError, match="BLEMISH_FILE_LIMIT"):
        inspector.look(huge)
    for share in (None, 1, b"1%"):
        with pytest.raises(blemish.BlemishError):
            Promise.from_text(share, "95%")  # type: ignore[arg-type]
