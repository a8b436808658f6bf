"""Every detector there is keeps the contract, and the contract catches those that break it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from blemish.detectors import conformance, describe, detector_names, open_detector, quick_settings
from blemish.detectors._planted import defective_pictures, good_pictures, peaks_inside
from blemish.detectors.base import Clock, FittedDetector, Scores
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

    def fit(self, data: Any, **options: Any) -> FittedDetector:
        return self.spoil(super().fit(data, **options))

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
    def fit(self, data: Any, **options: Any) -> FittedDetector:
        return super().fit(data if len(data) != 1 else data.take([0, 0]), **options)


class ForgetsOnResume(Wrapped):
    def fit(self, data: Any, *, checkpoint: Path | None = None, **options: Any) -> FittedDetector:
        if checkpoint is not None:
            if checkpoint.exists():
                return super(ForgetsOnResume, replace(self, prior=7.0)).fit(data, **options)
            checkpoint.mkdir(parents=True)
        return super().fit(data, **options)


class SaysNothing(Wrapped):
    def fit(self, data: Any, **options: Any) -> FittedDetector:
        return super().fit(data, **{**options, "progress": None})


class NeverStops(Wrapped):
    def fit(self, data: Any, **options: Any) -> FittedDetector:
        time.sleep(0.3)
        return super().fit(data, **{**options, "budget": None})


BROKEN = [
    (conformance.check_has_the_signature, WithoutBox, "no optional input valid"),
    (conformance.check_has_the_signature, NotANumber, "map holds a NaN"),
    (conformance.check_same_seed_same_model, NeverTheSame, "two fits with one seed differ"),
    (conformance.check_batch_invariance, RelativeToTheBatch, "score differs in one batch and"),
    (conformance.check_finds_planted_defects, FindsTheGood, "AUROC 0.0"),
    (conformance.check_finds_planted_defects, LooksElsewhere, "peaks on only"),
    (conformance.check_padding_is_left_out, CountsThePadding, "outside the box valid counts"),
    (conformance.check_refuses_other_arrays, TakesAnything, "contiguous"),
    (conformance.check_needs_two_images, LearnsFromOne, "learns from 1 image"),
    (conformance.check_resumes_after_a_kill, ForgetsOnResume, "resumes to another model"),
    (conformance.check_resumes_after_a_kill, SaysNothing, "reports no progress"),
    (conformance.check_resumes_after_the_budget, ForgetsOnResume, "resumes to another model"),
    (conformance.check_keeps_the_budget, NeverStops, "on a budget of 0.05 s"),
]


@pytest.mark.parametrize(("clause", "broken", "words"), BROKEN)
def test_the_contract_catches(
    clause: Callable[[Case], None],
    broken: type[Wrapped],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conformance, "open_detector", lambda *_: broken())
    monkeypatch.setattr(conformance, "describe", lambda _: "A broken detector.")
    with pytest.raises(AssertionError, match=words):
        clause(Case("broken", tmp_path, count=8))


def test_the_contract_passes_what_only_wraps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the broken ones above are caught for what they break."""
    monkeypatch.setattr(conformance, "open_detector", lambda *_: Wrapped())
    monkeypatch.setattr(conformance, "describe", lambda _: "A wrapped detector.")
    for clause in CLAUSES:
        if clause is not conformance.check_threads_agree:  # its processes know nothing of this
            clause(Case("wrapped", tmp_path, count=8))


def test_a_detector_that_fails_in_a_process_of_its_own_is_caught(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="there is no detector 'nonesuch'"):
        conformance.check_threads_agree(Case("nonesuch", tmp_path, count=2))


def test_check_detector_goes_through_every_clause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Case] = []
    monkeypatch.setattr(conformance, "CLAUSES", (seen.append, seen.append))
    check_detector("padim", tmp_path, settings={"top": "2"}, size=96)
    assert seen == [Case("padim", tmp_path, {"top": "2"}, 96)] * 2
    assert seen[0].detector == Padim(top=2)


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
    assert not {"base", "conformance", "_embedding", "_planted"} & set(detector_names())
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
