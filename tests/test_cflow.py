"""CFlow: likelihoods are of the features where they lie, and fixed when the fit ends."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from blemish.dataset import Dataset, open_dataset  # noqa: E402
from blemish.detectors import cflow, open_detector, quick_settings  # noqa: E402
from blemish.detectors._position_code import position_code  # noqa: E402
from blemish.detectors.base import FitContext, FittedDetector  # noqa: E402
from blemish.detectors.cflow import Cflow, Flows, ScaleFlow, Unit, warm_cosine  # noqa: E402
from blemish.detectors.conformance import Case  # noqa: E402
from blemish.detectors.network import seeded  # noqa: E402
from blemish.features.backbone import open_backbone  # noqa: E402
from blemish.features.feature_stream import Batch, FeatureStream  # noqa: E402
from blemish.graph.builder import Graph, feature_model  # noqa: E402
from blemish.images import Recipe  # noqa: E402

SIZE = (32, 32)
WHOLE = np.float32([0, 0, 32, 32])


def flow(channels: int, side: int = 4) -> ScaleFlow:
    with seeded(0):
        made = ScaleFlow((channels, side, side), 2, 8)
        for weight in made.parameters():
            if weight.requires_grad:  # the permutations are not learnt
                weight.data += 0.3 * torch.randn_like(weight)
    return made.eval()


# --- the code of a position


def test_a_code_is_of_the_column_then_of_the_row() -> None:
    code = position_code(3, 5, 8)
    assert code.shape == (8, 3, 5)
    column, row = 4, 2
    waves = [math.sin(column), math.cos(column), math.sin(column / 100), math.cos(column / 100)]
    waves += [math.sin(row), math.cos(row), math.sin(row / 100), math.cos(row / 100)]
    np.testing.assert_allclose(code[:, row, column], waves, atol=1e-6)


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 32))
def test_no_two_cells_have_the_same_code(height: int, width: int, quarter: int) -> None:
    code = position_code(height, width, 4 * quarter).reshape(4 * quarter, -1)
    assert np.abs(code).max() <= 1
    assert len(np.unique(code.round(5), axis=1).T) == height * width


@pytest.mark.parametrize("channels", [0, 2, 130])
def test_a_code_needs_a_multiple_of_four_channels(channels: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of 4 channels, not {channels}"):
        position_code(2, 2, channels)


# --- the likelihood


def test_the_likelihood_is_that_of_a_change_of_variables() -> None:
    """The determinant here is of the Jacobian that autograd finds."""
    made = flow(6)
    with seeded(1):
        fibers = torch.randn(3, 6)

    def latent(fiber: torch.Tensor, cell: int) -> torch.Tensor:
        z = fiber[None]
        for block in made.blocks:
            (z,), _ = block([z], [made.codes[cell : cell + 1]])
        return z[0]

    for cell, fiber in enumerate(fibers):
        jacobian = torch.autograd.functional.jacobian(lambda x, cell=cell: latent(x, cell), fiber)
        normal = torch.distributions.Normal(0, 1).log_prob(latent(fiber, cell)).sum()
        expected = (normal + torch.linalg.slogdet(jacobian)[1]) / 6
        found = made.log_likelihood(fiber[None], made.codes[cell : cell + 1])
        assert found.item() == pytest.approx(expected.item(), abs=1e-5)


def test_a_map_of_likelihoods_holds_each_cell_with_its_own_code() -> None:
    made = flow(5)
    with seeded(2), torch.no_grad():
        x = torch.randn(3, 5, 4, 4)
        maps = made(x)
        for crop, row, column in [(0, 0, 0), (1, 2, 3), (2, 3, 0)]:
            cell = 4 * row + column
            alone = made.log_likelihood(x[crop, :, row, column][None], made.codes[cell][None])
            assert float(maps[crop, 0, row, column]) == pytest.approx(float(alone), abs=1e-5)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Networks this small are slower with more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sided(rng: np.random.Generator, count: int) -> np.ndarray:
    """Features [count, 4, 4, 4] around +2 in the left half and around -2 in the right one."""
    x = rng.normal(0, 0.3, (count, 4, 4, 4)).astype(np.float32)
    x[..., :2] += 2
    x[..., 2:] -= 2
    return x


@pytest.mark.usefixtures("one_thread")
def test_what_is_usual_on_the_left_is_unlikely_on_the_right() -> None:
    rng = np.random.default_rng(0)
    with seeded(0):
        flows = Flows({"x": (4, 4, 4)}, 2, 16)
    optimizer = torch.optim.Adam(flows.parameters(), 3e-3)
    for step in range(150):
        batch = Batch({"x": sided(rng, 8)}, np.tile(WHOLE, (8, 1)), np.arange(8))
        with seeded(step):
            loss = flows.loss(batch, SIZE, 64)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    good = sided(rng, 20)
    with torch.no_grad():
        (usual,), (swapped,) = (flows(torch.from_numpy(x)) for x in (good, good[..., ::-1].copy()))
    assert float((swapped < usual.median()).float().mean()) > 0.95
    assert float(usual.mean() - swapped.mean()) > 0.3  # nats per channel


def test_a_loss_knows_nothing_of_the_padding() -> None:
    with seeded(0):
        flows = Flows({"x": (4, 4, 4)}, 2, 8)
    x = sided(np.random.default_rng(0), 2)
    x[0, :, 2:] = np.nan  # below the first picture
    valid = np.stack([np.float32([0, 0, 16, 32]), WHOLE])
    batch = Batch({"x": x}, valid, np.arange(2))
    assert torch.isfinite(flows.loss(batch, SIZE, 1000))
    assert not torch.isfinite(flows.loss(dataclasses.replace(batch, valid=valid[[1, 1]]), SIZE, 99))


# --- what normalises a map


def unlikely(unit: Unit, values: np.ndarray, logarithm: bool) -> np.ndarray:
    graph = Graph()
    output = unit.unlikely(graph, "l", logarithm)
    model = feature_model(graph, {"l": (1, 1, len(values))}, output)
    session = onnxruntime.InferenceSession(model)
    return session.run(None, {"l": np.float32(values).reshape(1, 1, 1, -1)})[0].ravel()


def test_likelihoods_are_relative_to_the_largest_in_training() -> None:
    unit = Unit.of(np.float32([-2, -1, -1.5]))
    found = unlikely(unit, np.array([-1, -1 - math.log(2), -1e9, 5, 1e9]), False)
    np.testing.assert_allclose(found, [0, 0.5, 1, 0, 0], atol=1e-6)


def test_log_likelihoods_are_in_units_of_their_spread() -> None:
    unit = Unit.of(np.float32([-1, -3]))
    np.testing.assert_allclose(unlikely(unit, np.array([-2, -4, 0]), True), [0, 2, -2], atol=1e-6)


def test_likelihoods_that_are_all_alike_have_a_unit() -> None:
    assert Unit.of(np.float32([-1, -1])) == Unit(-1.0, 0.01, -1.0)


def test_the_learning_rate_warms_up_and_goes_down_along_a_cosine() -> None:
    rates = [warm_cosine(done / 1000) for done in range(1001)]
    assert rates[0] == pytest.approx(0.1)
    assert rates.index(max(rates)) == 80
    assert rates[:81] == sorted(rates[:81])
    assert rates[80:] == sorted(rates[80:], reverse=True)
    assert rates[540] == pytest.approx((1 + math.cos(math.pi * 0.54)) / 2, abs=1e-3)
    assert rates[1000] == pytest.approx(1e-3)


# --- fits


def pictures(folder: Path, pixels: list[np.ndarray]) -> Dataset:
    folder.mkdir()
    for number, one in enumerate(pixels):
        (folder / f"{number}.png").write_bytes(cv2.imencode(".png", one)[1].tobytes())
    return open_dataset(folder)


def fitted(data: Dataset, **changed: str) -> FittedDetector:
    detector = open_detector("cflow", {**quick_settings("cflow"), "steps": "5", **changed})
    recipe = Recipe(64, 64, "squash")
    features = FeatureStream(open_backbone(detector.backbone), detector.layers, recipe)
    return detector.fit(data, FitContext(features, seed=0))


@pytest.mark.parametrize("standardise", ["yes", "no"])
def test_two_equal_pictures_without_any_contrast_are_enough(
    tmp_path: Path, standardise: str
) -> None:
    data = pictures(tmp_path / "grey", [np.full((64, 64, 3), 90, np.uint8)] * 2)
    model = fitted(data, standardise=standardise)
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    grey = np.full((1, 64, 64, 3), 90, np.uint8)
    scores = model.score(np.concatenate([grey, noise]))
    assert np.isfinite(scores.map).all()
    assert scores.score[0] < scores.score[1:].min()


def test_channels_without_spread_stay_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    class Table:
        stream = type("Stream", (), {"shapes": {"x": (4, 4, 4)}})()

    x = sided(np.random.default_rng(0), 2)
    x[:, 0] = 7
    batch = Batch({"x": x}, np.tile(WHOLE, (2, 1)), np.arange(2))
    monkeypatch.setattr(cflow, "some_batches", lambda table: [batch])
    flows = Flows({"x": (4, 4, 4)}, 1, 4)
    flows.standardise(Table(), SIZE)  # type: ignore[arg-type]
    assert torch.equal(flows.flows[0].mean[0], torch.tensor(7.0))
    assert float(flows.flows[0].spread.min()) > 0.01
    assert math.isfinite(float(flows.loss(batch, SIZE, 32).detach()))


def test_a_map_of_likelihoods_lies_between_nothing_and_all_scales(tmp_path: Path) -> None:
    """The map of the paper: 0 where every scale is as likely as can be, 3 where none is."""
    case = Case("cflow", tmp_path, count=4)
    scores = fitted(case.data, logarithm="no", top="1").score(case.probes)
    assert scores.map.min() >= 0
    assert scores.map.max() <= 3
    np.testing.assert_allclose(scores.score, scores.map.max((1, 2)))


def test_the_paper_preset_is_the_papers() -> None:
    paper = open_detector("cflow", preset="paper")
    assert isinstance(paper, Cflow)
    assert (paper.blocks, paper.code, paper.fibers, paper.rate) == (8, 128, 256, 2e-4)
    assert paper.layers == ("layer2", "layer3", "layer4")
    assert open_detector("cflow", preset="cpu") == Cflow()
