"""U-Flow: a volume-true flow in the shape of a U, and the decision that needs no labels."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from plates import dented, plate, save
from running import Cli

torch = pytest.importorskip("torch")

from blemish.cli import main  # noqa: E402
from blemish.dataset import open_dataset  # noqa: E402
from blemish.detectors import open_detector, uflow  # noqa: E402
from blemish.detectors._standardisation import Standard  # noqa: E402
from blemish.detectors.conformance import Case  # noqa: E402
from blemish.detectors.network import seeded  # noqa: E402
from blemish.detectors.uflow import UFlow, UShapedFlow  # noqa: E402
from blemish.errors import BlemishError  # noqa: E402
from blemish.features.session import open_session  # noqa: E402
from blemish.graph.builder import Graph, feature_model  # noqa: E402
from blemish.inspector import Inspector  # noqa: E402
from blemish.model.artifact import open_artifact  # noqa: E402

QUICK = UFlow.quick_settings
SETTINGS = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def surprised(tmp_path_factory: pytest.TempPathFactory, plates: Path) -> Path:
    """A U-Flow model of the plates."""
    path = tmp_path_factory.mktemp("uflow") / "plates.blemish"
    train = ["train", str(plates), "-o", str(path), "--size", "64", "--quiet"]
    assert main([*train, "--detector", "uflow", *SETTINGS]) == 0
    return path


# The flow.


def test_the_latents_have_the_paper_s_shapes() -> None:
    """ResNet-18: 256 channels at stride 16, then 160 at stride 8, then 84 at stride 4."""
    flow = UShapedFlow([(64, 8, 8), (128, 4, 4), (256, 2, 2)], 0.1, True).eval()
    assert flow.channels == [84, 80, 128]
    layers = [torch.zeros(2, *norm.normalized_shape) for norm in flow.norms]
    latents, log_det = flow.latents(*layers)
    shapes = [(2, 84, 8, 8), (2, 80, 4, 4), (2, 128, 2, 2)]
    assert [tuple(z.shape) for z in latents] == shapes
    assert log_det.shape == (2,)


def test_the_log_determinant_is_that_of_the_jacobian() -> None:
    shapes = [(6, 2, 2), (10, 1, 1)]
    with seeded(3):
        flow = UShapedFlow(shapes, 1.0, False).double()
        for weights in flow.parameters():  # away from the beginning, where all scales are 1
            weights.data += 0.3 * torch.randn_like(weights) if weights.requires_grad else 0
        x = torch.randn(sum(a * b * c for a, b, c in shapes), dtype=torch.float64)

    def whole(x: torch.Tensor) -> torch.Tensor:
        parts = torch.split(x, [a * b * c for a, b, c in shapes])
        layers = [part.reshape(1, *shape) for part, shape in zip(parts, shapes, strict=True)]
        latents, _ = flow.latents(*layers)
        return torch.cat([z.flatten() for z in latents])

    parts = torch.split(x, [a * b * c for a, b, c in shapes])
    layers = [part.reshape(1, *shape) for part, shape in zip(parts, shapes, strict=True)]
    jacobian = torch.autograd.functional.jacobian(whole, x)
    assert jacobian.shape[0] == jacobian.shape[1]
    expected = torch.linalg.slogdet(jacobian).logabsdet
    assert abs(expected) > 1
    torch.testing.assert_close(flow.latents(*layers)[1][0], expected)


def test_features_are_standardised_position_by_position() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(5, 2, (2000, 3, 2, 2))
    x[:, 1] *= 10
    x[:, 2] = 7  # a channel that never changes
    norm = Standard((3, 2, 2))
    norm.learn(np.full((2, 2), len(x)), x.sum(0), (x * x).sum(0))
    y = norm(torch.from_numpy(x.astype(np.float32))).numpy()
    np.testing.assert_allclose(y[:, :2].mean(0), 0, atol=0.01)
    np.testing.assert_allclose(y[:, :2].std(0), 1, atol=0.05)
    np.testing.assert_allclose(y[:, 2], 0, atol=0.1)


def test_a_position_that_only_padding_ever_reached_takes_the_channel_s_moments() -> None:
    x = np.random.default_rng(0).normal(5, 2, (100, 1, 1, 1))
    count = np.array([[100, 0]])
    norm = Standard((1, 1, 2))
    norm.learn(count, x.sum(0) * [1, 0], (x * x).sum(0) * [1, 0])
    assert float(norm.mean[0, 0, 1]) == pytest.approx(x.mean(), abs=1e-3)
    assert float(norm.deviation[0, 0, 0]) == pytest.approx(x.std(), rel=1e-2)


def test_a_batch_is_cut_to_what_lies_inside_of_all_its_pictures() -> None:
    layers = [torch.zeros(2, 1, 16, 16), torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 4, 4)]
    valid = np.array([[0, 0, 64, 33], [0, 0, 40, 64]], np.float32)
    cut = uflow.inside_all(layers, valid, (64, 64))
    assert [tuple(layer.shape[2:]) for layer in cut] == [(12, 12), (6, 6), (3, 3)]
    whole = uflow.inside_all(layers, valid * 0 + 64, (64, 64))
    assert [layer.shape for layer in whole] == [layer.shape for layer in layers]


def test_the_scales_become_one_map() -> None:
    z2 = {"fine": np.array([[0.5, 2.0], [300.0, 400.0]]), "coarse": np.full((1, 1), 1.0)}
    graph = Graph()
    map_ = uflow.over_scales(graph, list(z2), [(2, 2), (1, 1)])
    shapes = {"fine": (2, 2), "coarse": (1, 1)}
    session = open_session(feature_model(graph, shapes, map_))
    feed = {name: values[None].astype(np.float32) for name, values in z2.items()}
    [found] = session.run(None, feed)[0]
    both = np.stack([z2["fine"], np.full((2, 2), 1.0)])
    expected = -np.log(np.exp(-both / 2).mean(0))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_strong_defects_do_not_tie() -> None:
    """1 - exp(-z2 / 2) is 1 for both, to the last digit that a float has."""
    graph = Graph()
    map_ = uflow.over_scales(graph, ["a", "b"], [(1, 2), (1, 2)])
    session = open_session(feature_model(graph, {"a": (1, 2), "b": (1, 2)}, map_))
    z2 = np.array([[[300.0, 400.0]]], np.float32)
    [[[low, high]]] = session.run(None, {"a": z2, "b": z2})[0]
    assert (low, high) == (pytest.approx(150), pytest.approx(200))


@pytest.mark.parametrize("layers", ["block10,block4", "block4,block7,block10", "block2,block7"])
def test_layers_that_are_no_pyramid_are_refused(tmp_path: Path, layers: str) -> None:
    with pytest.raises(BlemishError, match="twice the stride"):
        Case("uflow", tmp_path, {**QUICK, "layers": layers}, count=2).fit()


def test_the_papers_settings_open_and_train_on_any_backbone(tmp_path: Path) -> None:
    paper = open_detector("uflow", preset="paper")
    assert (paper.backbone, paper.layers) == (
        "wide_resnet50_2.tv_in1k",
        ("layer1", "layer2", "layer3"),
    )
    settings = {**QUICK, "steps": "2", "layer_norm": "true"}
    fitted = Case("uflow", tmp_path, settings, count=4).fit()
    assert fitted.facts["steps"] == 2


# The model.


def test_the_map_is_of_the_latents_that_leave_the_graph(surprised: Path) -> None:
    artifact = open_artifact(surprised)
    channels = artifact.card.latent_channels
    session = open_session(artifact.model)
    images = np.stack([plate(1, (64, 64)), dented(2, (64, 64))])
    map_, score, *energies = session.run(["map", "score", *channels], {"image": images})
    assert len(energies) == len(open_detector("uflow", QUICK).layers)
    assert energies[0].shape == map_.shape
    assert all((energy >= 0).all() for energy in energies)
    np.testing.assert_allclose(map_.reshape(2, -1).max(1) >= score, True)
    assert score[1] > score[0]
    assert len(np.unique(map_[1])) > 0.95 * map_[1].size  # no plateau at the top


def test_a_verdict_says_what_chance_would_make_of_it(surprised: Path, plates: Path) -> None:
    inspector = Inspector.open(surprised)
    good = inspector.look(plate(7)).surprise
    bad = inspector.look(dented(200)).surprise
    assert good is not None
    assert bad is not None
    assert bad.log_nfa < good.log_nfa
    look = inspector.look(dented(200))
    assert look.surprise_map is not None
    assert look.surprise_map.shape == look.map.shape
    # The most surprising place, but for what interpolation takes from its edges.
    assert look.surprise_map.max() <= -bad.log_nfa + 1e-3 * bad.log_tests
    assert look.surprise_map.max() > -good.log_nfa


def test_tiles_are_tested_together(surprised: Path) -> None:
    artifact = open_artifact(surprised)
    recipe = dataclasses.replace(artifact.card.recipe, tile=64)
    tiled = Inspector(artifact.model, recipe, artifact.card)
    whole = Inspector.of(artifact).look(plate(7)).surprise
    tiles = tiled.look(plate(7, (64, 112))).surprise
    assert whole is not None
    assert tiles is not None
    assert [len(maps) for maps in tiles.maps] == [2] * len(tiles.maps)
    assert tiles.log_tests == pytest.approx(whole.log_tests + np.log10(2))


def test_the_command_line_says_it_beside_the_promise(
    cli: Cli, surprised: Path, plates: Path, tmp_path: Path
) -> None:
    picture = plates / "test/dent/200.png"
    run = cli("inspect", surprised, picture)
    assert "log10 NFA" in run.out
    [verdict] = json.loads(cli("inspect", surprised, picture, "--json").out)
    [view] = verdict["views"]
    assert set(view["nfa"]) == {"log10", "anomalous"}
    assert view["nfa"]["anomalous"] == (view["nfa"]["log10"] < 0)
    figures = json.loads(cli("evaluate", surprised, plates, "--json", "-").out)
    chance, decision = figures["a_contrario"], figures["decision"]
    counts = ("tn", "fp", "fn", "tp")
    assert sum(chance[key] for key in counts) == sum(decision[key] for key in counts)
    assert {"recall", "fpr", "mcc", "iou"} <= set(chance)
    assert "without a threshold, at log10 NFA < 0" in cli("evaluate", surprised, plates).out


def test_a_model_without_latents_is_judged_as_ever(
    cli: Cli, model: Path, plates: Path, tmp_path: Path
) -> None:
    picture = save(tmp_path / "a.png", plate(3))
    [verdict] = json.loads(cli("inspect", model, picture, "--json").out)
    assert "nfa" not in verdict["views"][0]
    assert "NFA" not in cli("inspect", model, picture).out
    assert "a_contrario" not in json.loads(cli("evaluate", model, plates, "--json", "-").out)


def test_more_good_plates_than_not_are_no_surprise(surprised: Path, plates: Path) -> None:
    inspector = Inspector.open(surprised)
    good = open_dataset(plates).split("test").good().images
    surprises = [inspector.look(image).surprise for image in good]
    assert np.mean([one is not None and one.anomalous for one in surprises]) < 0.5
