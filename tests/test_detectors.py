"""Every detector there is keeps the contract, and the contract catches those that break it."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from outside_files import EXTENDING

from blemish.dataset import Dataset
from blemish.detectors import (
    DETECTORS,
    conformance,
    current_settings,
    describe,
    detector_names,
    learns_from_defects,
    open_detector,
    quick_settings,
    stated,
    trained_in_steps,
    usual_size,
    usual_tile,
)
from blemish.detectors._planted_defects import defective_pictures, good_pictures, peaks_inside
from blemish.detectors.base import Clock, FitContext, FittedDetector, Scores
from blemish.detectors.conformance import CLAUSES, Case, check_detector
from blemish.detectors.padim import Padim
from blemish.errors import BlemishError, BudgetExceeded
from blemish.images import Recipe


@pytest.fixture(scope="module", params=detector_names())
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    name = request.param
    return Case(name, tmp_path_factory.mktemp(name), quick_settings(name))


@pytest.fixture(scope="module", params=["duet", "patchcore", "softpatch"])
def full_bank(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A bank too small for its patches, so that it takes several passes."""
    settings = {"bank": "200"}
    return Case(request.param, tmp_path_factory.mktemp("full"), settings, count=48)


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
def test_keeps_the_contract(case: Case, clause: Callable[[Case], None]) -> None:
    clause(case)


@pytest.mark.parametrize("check", range(1, 15, 2))
def test_resumes_in_whichever_pass_the_time_ran_out(
    full_bank: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: int
) -> None:
    """The clock strikes at its n-th question, whatever the machine's speed."""
    asked = 0

    def strike(self: Clock, what: str) -> None:
        nonlocal asked
        asked += 1
        if asked == check + 1:
            raise BudgetExceeded(what)

    kept = tmp_path / "kept"
    with monkeypatch.context() as patch, contextlib.suppress(BudgetExceeded):
        patch.setattr(Clock, "check", strike)
        full_bank.fit(checkpoint=kept)
    assert asked == check + 1
    assert full_bank.fit(checkpoint=kept).graph == full_bank.fitted.graph


@pytest.mark.parametrize("bank", [40, 150])
def test_the_bank_covers_every_training_patch_within_its_radius(tmp_path: Path, bank: int) -> None:
    """A second pass keeps what the first lost; only half-precision features blur the limit."""
    fitted = Case("patchcore", tmp_path, {"bank": str(bank)}).fitted
    assert fitted.facts["bank"] <= bank
    farthest = fitted.score(good_pictures(36, 64, seed=0)).map.max()
    assert 0.9 * fitted.facts["radius"] < farthest < 1.001 * fitted.facts["radius"]


# --- detectors that break one clause each


def edited(fitted: FittedDetector, change: Callable[[onnx.ModelProto], None]) -> FittedDetector:
    proto = onnx.load_from_string(fitted.graph)
    change(proto)
    return replace(fitted, graph=proto.SerializeToString(deterministic=True))


def after(output: str, op: str, *constants: np.ndarray) -> Callable[[onnx.ModelProto], None]:
    """Put one more node between the graph and one of its outputs."""

    def change(proto: onnx.ModelProto) -> None:
        (node,) = [node for node in proto.graph.node if output in node.output]
        node.output[0] = "before"
        names = [f"constant.{number}" for number in range(len(constants))]
        for name, values in zip(names, constants, strict=True):
            proto.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        proto.graph.node.append(onnx.helper.make_node(op, ["before", *names], [output]))

    return change


@dataclass(frozen=True)
class Wrapped(Padim):
    """PaDiM, whose `spoil` changes what its fit gives back."""

    layers: tuple[str, ...] = ("block4", "block10")

    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        return self.spoil(super().fit(data, context))

    def spoil(self, fitted: FittedDetector) -> FittedDetector:
        return fitted


class WithoutBox(Wrapped):
    def spoil(self, fitted: FittedDetector) -> FittedDetector:
        def change(proto: onnx.ModelProto) -> None:
            del proto.graph.input[1]

        return edited(fitted, change)


class NotANumber(Wrapped):
    def spoil(self, fitted: FittedDetector) -> FittedDetector:
        return edited(fitted, after("map", "Mul", np.float32([np.nan])))


class NeverTheSame(Wrapped):
    def spoil(self, fitted: FittedDetector) -> FittedDetector:
        def change(proto: onnx.ModelProto) -> None:
            proto.doc_string = uuid.uuid4().hex

        return edited(fitted, change)


class RelativeToTheBatch(Wrapped):
    def spoil(self, fitted: FittedDetector) -> FittedDetector:
        def change(proto: onnx.ModelProto) -> None:
            after("score", "Sub")(proto)
            mean = onnx.helper.make_node("ReduceMean", ["before"], ["batch mean"], keepdims=0)
            proto.graph.node[-1].input.append("batch mean")
            proto.graph.node.insert(len(proto.graph.node) - 1, mean)

        return edited(fitted, change)


class FindsTheGood(Wrapped):
    def spoil(self, fitted: FittedDetector) -> FittedDetector:
        return edited(fitted, after("score", "Neg"))


class LooksElsewhere(Wrapped):
    def spoil(self, fitted: FittedDetector) -> FittedDetector:
        return edited(fitted, after("map", "Neg"))


class CountsThePadding(Wrapped):
    def spoil(self, fitted: FittedDetector) -> FittedDetector:
        def change(proto: onnx.ModelProto) -> None:
            whole = np.float32([[0, 0, fitted.height, fitted.width]])
            proto.graph.initializer.append(onnx.numpy_helper.from_array(whole, "whole"))
            for node in proto.graph.node:
                for number, name in enumerate(node.input):
                    if name == "valid":
                        node.input[number] = "whole"

        return edited(fitted, change)


class TakesAnything(Wrapped):
    def spoil(self, fitted: FittedDetector) -> FittedDetector:
        @dataclass(frozen=True)
        class Careless(FittedDetector):
            def score(self, images: np.ndarray, valid: Any = None) -> Scores:
                return super().score(np.ascontiguousarray(images, np.uint8), valid)

        return Careless(fitted.graph, fitted.height, fitted.width)


class LearnsFromOne(Wrapped):
    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        return super().fit(data if len(data) != 1 else data.take([0, 0]), context)


class ForgetsOnResume(Wrapped):
    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        if context.checkpoint is not None:
            if context.checkpoint.exists():
                return super(ForgetsOnResume, replace(self, prior=7.0)).fit(data, context)
            context.checkpoint.mkdir(parents=True)
        return super().fit(data, context)


class SaysNothing(Wrapped):
    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        return super().fit(data, replace(context, progress=None))


class ChangesItsSettings(Wrapped):
    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        fitted = super().fit(data, context)
        object.__setattr__(self, "prior", 7.0)
        return fitted


class IgnoresItsBudget(Wrapped):
    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        return super().fit(data, replace(context, clock=Clock()))


class OnlyLooksAtItsClock(Wrapped):
    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        return super().fit(data, replace(context, clock=Clock(None, context.clock.now)))


class LooksAtItsClockOnce(Wrapped):
    def fit(self, data: Dataset, context: FitContext) -> FittedDetector:
        context.clock.check("beginning")
        for done in range(5):
            context.tell("going on", done, 5)
        return super().fit(data, replace(context, clock=Clock()))


class SwapsHeightAndWidth(Wrapped):
    def spoil(self, fitted: FittedDetector) -> FittedDetector:
        return replace(fitted, height=fitted.width, width=fitted.height)


class SwapsTheMap(Wrapped):
    def spoil(self, fitted: FittedDetector) -> FittedDetector:
        def change(proto: onnx.ModelProto) -> None:
            after("map", "Transpose")(proto)
            proto.graph.node[-1].attribute.append(onnx.helper.make_attribute("perm", [0, 2, 1]))

        return edited(fitted, change)


BROKEN = [
    (conformance.check_has_the_signature, WithoutBox, "no optional input valid"),
    (conformance.check_has_the_signature, NotANumber, "map holds a NaN"),
    (conformance.check_same_seed_same_model, NeverTheSame, "two fits with one seed differ"),
    (conformance.check_same_seed_same_model, ChangesItsSettings, "a fit changed its settings"),
    (conformance.check_batch_invariance, RelativeToTheBatch, "score differs in one batch and"),
    (conformance.check_finds_planted_defects, FindsTheGood, "AUROC 0.0"),
    (conformance.check_finds_planted_defects, LooksElsewhere, "peaks on only"),
    (conformance.check_padding_is_left_out, CountsThePadding, "outside the box valid counts"),
    (conformance.check_refuses_other_arrays, TakesAnything, "contiguous"),
    (conformance.check_needs_two_images, LearnsFromOne, "learns from 1 image"),
    (conformance.check_resumes_after_a_kill, ForgetsOnResume, "resumes to another model"),
    (conformance.check_resumes_after_a_kill, SaysNothing, "reports no progress"),
    (conformance.check_resumes_after_the_budget, ForgetsOnResume, "resumes to another model"),
    (conformance.check_keeps_the_budget, IgnoresItsBudget, "never looks at its clock"),
    (conformance.check_keeps_the_budget, OnlyLooksAtItsClock, "goes on to the end on 0%"),
    (conformance.check_keeps_the_budget, LooksAtItsClockOnce, "6 times without a look"),
    (conformance.check_height_is_not_width, SwapsHeightAndWidth, "says that it is for 192 x 128"),
    (conformance.check_height_is_not_width, SwapsTheMap, "cells, which are not square"),
]


@pytest.mark.parametrize(("clause", "broken", "words"), BROKEN)
def test_the_contract_catches(
    clause: Callable[[Case], None],
    broken: type[Wrapped],
    words: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(AssertionError, match=words):
        clause(Case(broken, tmp_path, count=8))


def test_the_contract_passes_what_only_wraps(tmp_path: Path) -> None:
    """So that the broken ones above are caught for what they break."""
    for clause in CLAUSES:
        clause(Case(Wrapped, tmp_path, count=8))


def test_a_detector_that_fails_in_a_process_of_its_own_is_caught(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="there is no detector 'nonesuch'"):
        conformance.check_threads_agree(Case("nonesuch", tmp_path, count=2))


def test_check_detector_goes_through_every_clause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Case] = []
    monkeypatch.setattr(conformance, "CLAUSES", (seen.append, seen.append))
    check_detector("padim", tmp_path, settings={"top": "2"}, size=(96, 64))
    assert seen == [Case("padim", tmp_path, {"top": "2"}, (96, 64))] * 2
    assert seen[0].opened() == Padim(top=2)


# --- the planted defects are honest


def test_a_planted_defect_is_weak_and_where_its_box_says() -> None:
    defective, boxes = defective_pictures(30, 96, seed=5)
    for pixels, (top, left, bottom, right) in zip(defective, boxes, strict=True):
        assert (bottom - top, right - left) == (8, 8)
        assert min(top, left) >= 16
        assert max(bottom, right) <= 80
        grey = pixels[..., 0].astype(float)
        around = grey[top - 8 : bottom + 8, left - 8 : right + 8].copy()
        around[8:16, 8:16] = np.nan
        median = np.nanmedian(around)
        mad = np.nanmedian(np.abs(around - median))
        step = abs(grey[top:bottom, left:right].mean() - np.nanmean(around))
        assert 3.5 < step / mad < 5.5  # 3 x 1.4826 of the MAD before it was planted
        assert abs(grey.mean() - 128) < 3
        assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_pictures_depend_on_their_seed_only() -> None:
    assert np.array_equal(good_pictures(3, 64, seed=1), good_pictures(3, 64, seed=1))
    assert not np.array_equal(good_pictures(1, 64, seed=1), good_pictures(1, 64, seed=2))


def test_a_peak_counts_up_to_one_cell_beside_the_box() -> None:
    recipe, box = Recipe(64, 64, "squash"), (16, 24, 24, 32)
    for row in range(8):
        for column in range(8):
            map_ = np.zeros((8, 8), np.float32)
            map_[row, column] = 1
            assert peaks_inside(map_, box, recipe) == (1 <= row <= 3 and 2 <= column <= 4)


# --- names and settings


def test_detectors_are_found_by_their_files() -> None:
    assert {"duet", "padim", "patchcore"} <= set(detector_names())
    assert not {"base", "conformance", "embedding", "head", "_planted"} & set(detector_names())
    for name in detector_names():
        assert dataclasses.is_dataclass(open_detector(name))
        assert len(describe(name)) > 20


def test_settings_are_read_by_the_type_of_their_field() -> None:
    text = {"layers": "block4,block10", "prior": "3", "top": "5", "grid_stride": "8"}
    assert open_detector("padim", text) == Padim(
        layers=("block4", "block10"), prior=3.0, top=5, grid_stride=8
    )
    assert open_detector("patchcore", {"whiten": "yes"}) == open_detector(
        "patchcore", {"whiten": "True"}
    )


@pytest.mark.parametrize(
    ("name", "settings", "preset", "words"),
    [
        ("pdim", {}, None, "no detector 'pdim'; there are: .*padim"),
        ("padim", {"priors": "1"}, None, "no setting 'priors'; it has: .*prior"),
        ("padim", {"prior": "many"}, None, "prior of detector padim cannot be 'many'"),
        ("patchcore", {"whiten": "maybe"}, None, "whiten of detector patchcore cannot be 'maybe'"),
        ("padim", {}, "fast", "no preset 'fast'"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(
    name: str, settings: dict[str, str], preset: str | None, words: str
) -> None:
    with pytest.raises(BlemishError, match=words):
        open_detector(name, settings, preset=preset)


def test_a_grid_that_does_not_divide_the_input_is_refused(tmp_path: Path) -> None:
    names = [name for name in detector_names() if hasattr(open_detector(name), "grid_stride")]
    assert {"padim", "patchcore", "simplenet"} <= set(names)
    for name in names:
        with pytest.raises(BlemishError, match="does not divide the model's input of 64 x 64"):
            Case(name, tmp_path, {"grid_stride": "24"}, count=3).fit()


# --- settings by their former names


@pytest.mark.parametrize(
    ("name", "preset", "texts", "today"),
    [
        ("padim", None, {"sigma": "0.5"}, {"smoothing": 8.0}),  # cells of 16 pixels
        ("patchcore", None, {"sigma": "0.5", "grid_stride": "4"}, {"smoothing": 2.0}),
        ("softpatch", None, {"sigma": "1"}, {"smoothing": 8.0}),
        ("softpatch", None, {"noise": "nearest", "block": "2"}, {"noise_method": "nearest"}),
        ("simplenet", "paper", {"sigma": "0.25"}, {"smoothing": 2.0}),
        ("simplenet", None, {"decay": "no", "noise": "0.5"}, {"rate_decay": False}),
        ("reverse_distillation", None, {"sigma": "6"}, {"smoothing": 6.0}),  # pixels ever since
        ("reverse_distillation", None, {"standardised": "no"}, {"standardise": False}),
        ("cflow", None, {"crops": "4"}, {"batch": 4}),
        ("uflow", None, {"width": "1/2"}, {"hidden_share": 0.5}),
        ("uniad", None, {"width": "64", "decay": "0.01"}, {"token_channels": 64}),
        ("uniad", None, {"neighbours": "5"}, {"neighbourhood": 5}),
        ("mixed", None, {"decay": "0.01", "patch": "64"}, {"weight_decay": 0.01}),
        ("mixed", None, {"cells": "0", "sigma": "0.5"}, {"cell_weight": 0.0, "smoothing": 8.0}),
    ],
)
def test_a_setting_is_taken_by_its_former_name_and_unit(
    name: str,
    preset: str | None,
    texts: dict[str, str],
    today: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened = open_detector(name, texts, preset=preset)
    assert {key: getattr(opened, key) for key in today} == today
    assert len(caplog.messages) == len(texts.keys() - dataclasses.asdict(opened).keys())
    for key in today:
        assert any(message.endswith(f"is called {key} now") for message in caplog.messages)


def test_the_settings_of_an_old_card_are_those_of_today(caplog: pytest.LogCaptureFixture) -> None:
    card = {"layers": ["block4"], "grid_stride": 8, "sigma": 0.5, "unheard": 1}
    found = current_settings("padim", card)
    assert found == {"layers": ("block4",), "grid_stride": 8, "smoothing": 4.0, "unheard": 1}
    assert caplog.messages == []


# --- detectors from a file of one's own

MINE = '''"""A detector from outside."""

from dataclasses import dataclass
from typing import ClassVar

from blemish.detectors.padim import Padim
from blemish.util.settings import setting

@dataclass(frozen=True)
class Mine(Padim):
    """PaDiM, and a setting of its own.

    Attributes:
        keep: Share that is kept.
    """

    usual_size: ClassVar[int] = 128

    layers: tuple[str, ...] = ("block4",)
    keep: float = setting(0.5, unit="share", most=1)
    count: int = 3
'''


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    return str(tmp_path / "mine.py")


def test_a_detector_from_a_file_keeps_the_contract(mine: str, tmp_path: Path) -> None:
    for clause in CLAUSES:
        clause(Case(mine, tmp_path, count=8))


def test_a_class_that_no_other_process_can_import_is_named(tmp_path: Path) -> None:
    class Local(Wrapped):
        pass

    with pytest.raises(AssertionError, match=r"cannot import .*Local: give"):
        conformance.check_threads_agree(Case(Local, tmp_path, count=2))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("keep=1.5", r"keep=1\.5 of detector .*mine.py must be at most 1"),
        ("count=1.5", "count of detector .*mine.py cannot be '1.5'"),
        ("pool=2", "pool=2 of detector .*mine.py must be at least 1 and odd"),
        ("kep=1", "no setting 'kep'.* did you mean 'keep'"),
    ],
)
def test_settings_from_outside_are_checked_like_those_of_the_package(
    mine: str, text: str, words: str
) -> None:
    key, _, value = text.partition("=")
    with pytest.raises(BlemishError, match=words):
        open_detector(mine, {key: value})


def test_facts_from_outside_may_come_from_a_base_class(mine: str, tmp_path: Path) -> None:
    assert (usual_size(mine), trained_in_steps(mine)) == (128, False)
    assert open_detector(mine, preset="cpu") == open_detector(mine)  # a preset of PaDiM's
    pytest.importorskip("torch")
    (tmp_path / "taught.py").write_text(
        MINE.replace("padim", "mixed").replace("Padim", "Mixed"), encoding="utf-8"
    )
    assert learns_from_defects(str(tmp_path / "taught.py"))
    assert trained_in_steps(str(tmp_path / "taught.py"))


def test_facts_are_read_without_importing_the_detector() -> None:
    code = (
        "import sys; from blemish.detectors import learns_from_defects, usual_size, usual_tile; "
        "print(learns_from_defects('mixed'), usual_size('duet'), usual_tile('mixed'), "
        "'torch' in sys.modules)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.split() == ["True", "320", "256", "False"]


def test_every_fact_that_a_class_states_is_read_from_its_file_alike() -> None:
    pytest.importorskip("torch")
    for name in detector_names():
        kind = DETECTORS.settings_class(name)
        assert trained_in_steps(name) == trained_in_steps(open_detector(name))
        assert trained_in_steps(name) == hasattr(kind, "steps")
        assert usual_size(name) == stated(kind, "usual_size")
        assert usual_tile(name) == stated(kind, "usual_tile")
        assert learns_from_defects(name) == stated(kind, "learns_from_defects")


def test_the_detector_that_the_documentation_shows_keeps_the_contract(tmp_path: Path) -> None:
    section = EXTENDING.read_text(encoding="utf-8").partition("\n## A detector\n")[2]
    code = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)[0]
    (tmp_path / "mahalanobis.py").write_text(code, encoding="utf-8")
    check_detector(str(tmp_path / "mahalanobis.py"), tmp_path)
