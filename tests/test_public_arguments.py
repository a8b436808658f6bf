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


# No path, no text, no number, no plan, no promise, no data set.
NEVER: list[Any] = [
    *(1.5, b"x", b"", "a\0b", "\udcff", "a\nb", "x" * 300, "x/" * 3000, [], (), [3], object()),
    *(Bytes(), Number(), np.zeros(3), float("nan"), -1, 10**30, lambda: 0),
]
PATHLESS: list[Any] = [None, 1, True, *NEVER]


def calls(model: Path, plates: Path) -> dict[str, tuple[Call, list[Any]]]:
    """Each argument of the public door, and values that cannot be."""
    inspector, data = blemish.Inspector.open(model), blemish.open_dataset(plates)
    out = plates.parent / "never.blemish"
    no_text = [value for value in NEVER if not isinstance(value, str)]
    found: dict[str, tuple[Call, list[Any]]] = {
        "open_dataset": (blemish.open_dataset, [*PATHLESS, ""]),
        "open_dataset layout": (lambda v: blemish.open_dataset(plates, layout=v), no_text),
        "open_dataset category": (lambda v: blemish.open_dataset(plates, category=v), NEVER),
        "open_dataset pattern": (lambda v: blemish.open_dataset(plates, part_pattern=v), NEVER),
        "open_dataset parts": (lambda v: blemish.open_dataset(plates, parts=v), [*NEVER, ""]),
        "open_dataset split": (lambda v: blemish.open_dataset(plates, split=v), [*NEVER, ""]),
        "Dataset.category": (data.category, PATHLESS),
        "Dataset.split": (data.split, PATHLESS),
        "Inspector.open": (blemish.Inspector.open, [*PATHLESS, ""]),
        "Inspector.open threads": (
            lambda v: blemish.Inspector.open(model, threads=v),
            [True, 0, *NEVER],
        ),
        "Inspector.of_category": (inspector.of_category, PATHLESS),
        "Inspector.look": (inspector.look, [*PATHLESS, ""]),
        "fit": (blemish.fit, [*PATHLESS, ""]),
        "fit plan": (lambda v: blemish.fit(data, v), [None, 1, *no_text]),
        "train": (lambda v: blemish.train(v, out), [*PATHLESS, ""]),
        "train path": (lambda v: blemish.train(data, v), [*PATHLESS, "", plates]),
        "train plan": (lambda v: blemish.train(data, out, v), [None, 1, *no_text]),
        "train budget": (
            lambda v: blemish.train(data, out, budget=v),
            [True, 0, float("inf"), "soon", *(v for v in NEVER if v != 10**30)],
        ),
        "evaluate": (lambda v: blemish.evaluate(v, data), [*PATHLESS, ""]),
        "evaluate data": (lambda v: blemish.evaluate(inspector, v), [*PATHLESS, ""]),
        "calibrate": (lambda v: blemish.calibrate(v, data), [*PATHLESS, ""]),
        "calibrate good": (lambda v: blemish.calibrate(model, v, out=out), [*PATHLESS, ""]),
        "calibrate promise": (
            lambda v: blemish.calibrate(model, data, v, out=out),
            [1, "1%", *NEVER],
        ),
        "calibrate out": (lambda v: blemish.calibrate(model, data, out=v), [*NEVER, ""]),
        "Promise": (blemish.Promise, [0, 1, None, *NEVER]),
        "Promise confidence": (lambda v: blemish.Promise(0.1, v), [0, 1, None, *NEVER]),
    }
    never = {
        "detector": [None, 1, *no_text],
        "preset": [1, *no_text],
        "settings": [None, 1, {"bank": 5}, {5: "bank"}, *(v for v in NEVER if v != [])],
        "resize": [1, *no_text],
        "promise": [None, 1, *NEVER],
        "hold_out": [0, 1, *(v for v in NEVER)],
        "view_scales": [None, 1, *NEVER],
        "cache": [1, *NEVER, ""],
    }
    for field in dataclasses.fields(blemish.Plan):
        whole = [v for v in NEVER if not (v == -1 and field.name in ("size", "crop", "tile"))]
        values = never.get(field.name, ["x", True, *whole])
        found[f"Plan {field.name}"] = (lambda v, n=field.name: blemish.Plan(**{n: v}), values)
    return found


NAMES = [
    *("open_dataset", "open_dataset layout", "open_dataset category", "open_dataset pattern"),
    *("open_dataset parts", "open_dataset split", "Dataset.category", "Dataset.split"),
    *("Inspector.open", "Inspector.open threads", "Inspector.of_category", "Inspector.look"),
    *("fit", "fit plan", "train", "train path", "train plan", "train budget"),
    *("evaluate", "evaluate data", "calibrate", "calibrate good", "calibrate promise"),
    *("calibrate out", "Promise", "Promise confidence"),
    *(f"Plan {field.name}" for field in dataclasses.fields(blemish.Plan)),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_value_that_cannot_be_is_refused_in_one_sentence(
    model: Path, plates: Path, name: str
) -> None:
    call, values = calls(model, plates)[name]
    for value in values:
        with pytest.raises(blemish.BlemishError) as refused:
            call(value)
        assert len(str(refused.value).splitlines()) == 1, value
    assert not (plates.parent / "never.blemish").exists()


def test_every_argument_of_the_door_has_its_values(model: Path, plates: Path) -> None:
    assert calls(model, plates).keys() == set(NAMES)


def test_a_plan_takes_what_stands_for_a_value() -> None:
    plan = blemish.Plan(seed=np.int64(3), size=np.int32(64), hold_out=np.float64(0.5), cache="c")  # type: ignore[arg-type]
    assert (plan.seed, type(plan.seed), plan.hold_out, plan.cache) == (3, int, 0.5, Path("c"))
    assert blemish.Plan().promise == Promise()
