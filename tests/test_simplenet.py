"""SimpleNet: its loss, its fakes, the one matrix that it becomes, and its settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contexts import context

torch = pytest.importorskip("torch")

from blemish.detectors import open_detector, quick_settings  # noqa: E402
from blemish.detectors._planted_defects import good_pictures  # noqa: E402
from blemish.detectors.conformance import Case  # noqa: E402
from blemish.detectors.network import Training, seeded  # noqa: E402
from blemish.detectors.simplenet import NoiseSpace, SimpleNet, Simplenet  # noqa: E402
from blemish.errors import BlemishError  # noqa: E402


def patches(count: int, channels: int = 6, seed: int = 0) -> np.ndarray:
    """Patches whose channels differ in mean and scale, as those of a backbone do."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** np.linspace(-1, 1, channels)
    return ((rng.normal(size=(count, channels)) + 3) * scale).astype(np.float32)


def trained(steps: int = 40) -> SimpleNet:
    x = torch.from_numpy(patches(256))
    settings = Simplenet(discriminator_rate=1e-2)
    with seeded(0):
        network = SimpleNet(NoiseSpace.standard(patches(256)), 32, identity=True)
    Training(steps, context()).run(
        network, settings.optimizers(network), lambda step: network.loss(x, 1.0, varies=True)
    )
    return network


def test_once_trained_it_is_one_matrix_before_its_leaky_relu() -> None:
    network = trained(5).double()
    x = torch.from_numpy(patches(20, seed=1)).double()
    with torch.no_grad():
        network.eval()
        expected = network.discriminator(network.adapt(x)).numpy()
    matrix, bias, weights = network.as_matrices()
    hidden = x.numpy() @ matrix + bias
    found = np.where(hidden > 0, hidden, 0.2 * hidden) @ weights
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_what_is_nearer_to_the_margin_than_a_half_costs() -> None:
    """Equation 6 of the paper: D of nothing is 0, and each side lacks its margin of 1/2."""
    network = SimpleNet(NoiseSpace.standard(patches(64)), 8, identity=True)
    torch.nn.init.zeros_(network.discriminator[3].weight)
    assert network.loss(torch.from_numpy(patches(64)), 1.0, varies=False).item() == pytest.approx(
        1.0
    )
    x = torch.from_numpy(patches(256))
    assert 0 <= trained().train().loss(x, 1.0, varies=False).item() < 0.9


def test_far_patches_score_higher_than_those_it_learnt_from_whatever_their_scale() -> None:
    network = trained().eval()
    good = patches(100, seed=1)
    for channel in range(good.shape[1]):
        far = good.copy()
        far[:, channel] += 8 * good[:, channel].std()
        with torch.no_grad():
            low, high = (
                -network.discriminator(network.adapt(torch.from_numpy(x))).mean().item()
                for x in (good, far)
            )
        assert high > low


def test_a_standardised_channel_has_mean_0_and_deviation_1() -> None:
    x = patches(1000)
    space = NoiseSpace.standard(x)
    y = (x - space.mean) / space.scale
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(y.std(0), 1, atol=1e-3)


def test_copies_of_one_grey_picture_have_no_scale_and_do_no_harm() -> None:
    space = NoiseSpace.standard(np.full((10, 3), 7.0, np.float32))
    assert np.isfinite(space.scale).all()
    assert (space.scale > 0).all()


def test_copies_of_one_picture_give_a_model_with_finite_scores(tmp_path: Path) -> None:
    case = Case("simplenet", tmp_path, {**quick_settings("simplenet"), "steps": "3"}, count=4)
    data = case.data.take([0, 0, 0])
    scores = case.fit(data).score(good_pictures(2, 64, seed=0))
    assert np.isfinite(scores.score).all()
    assert np.isfinite(scores.map).all()


def test_the_score_is_the_mean_of_the_largest_cells(tmp_path: Path) -> None:
    settings = {**quick_settings("simplenet"), "steps": "3", "top": "2"}
    case = Case("simplenet", tmp_path, settings, count=4)
    scores = case.fitted.score(case.probes)
    largest = np.sort(scores.map.reshape(len(scores.map), -1), axis=1)[:, -2:]
    np.testing.assert_allclose(scores.score, largest.mean(1), rtol=1e-5, atol=1e-6)
    assert case.fitted.facts["steps"] == case.fitted.facts["steps_planned"] == 3


def test_the_papers_preset_has_the_papers_settings() -> None:
    paper = open_detector("simplenet", preset="paper")
    assert isinstance(paper, Simplenet)
    assert paper.backbone == "wide_resnet50_2.tv_in1k"
    assert (paper.noise_deviation, paper.hidden, paper.top) == (0.015, 1024, 1)
    assert (paper.adaptor_rate, paper.discriminator_rate) == (1e-4, 2e-4)
    assert open_detector("simplenet", preset="cpu") == Simplenet()


def test_a_layer_that_the_backbone_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(BlemishError, match=r"no layer 'layer2'; it has .*block10"):
        Case("simplenet", tmp_path, {"layers": "layer2,layer3"}, count=2).fit()
