"""Reverse Distillation: its loss, its map, its networks, and the layers that it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

from blemish.dataset import open_dataset  # noqa: E402
from blemish.detectors import open_detector, quick_settings  # noqa: E402
from blemish.detectors.conformance import Case  # noqa: E402
from blemish.detectors.network import add_network, seeded  # noqa: E402
from blemish.detectors.reverse_distillation import (  # noqa: E402
    Distillation,
    ReverseDistillation,
    _balance,
    _standardise,
    _tensors,
)
from blemish.errors import BlemishError  # noqa: E402
from blemish.features.backbone import open_backbone  # noqa: E402
from blemish.features.feature_stream import FeatureStream  # noqa: E402
from blemish.features.feature_table import FeatureTable  # noqa: E402
from blemish.graph.builder import Graph, feature_model  # noqa: E402
from blemish.images import Recipe  # noqa: E402

SHAPES = [(4, 16, 24), (6, 8, 12), (10, 4, 6)]


def small(**settings: bool) -> Distillation:
    with seeded(0):
        return Distillation(SHAPES, ReverseDistillation(**settings))


def some_layers(count: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, *shape, generator=generator) for shape in SHAPES]


class Rebuilds(Distillation):
    """A network whose decoder gives back the teacher's layers times `factor`, changed in places."""

    def __init__(self, factor: float, change: tuple[slice, slice] | None = None) -> None:
        super().__init__(SHAPES, ReverseDistillation())
        self.factor, self.change = factor, change

    def both(self, layers: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        rebuilt = [self.factor * layer for layer in layers]
        if self.change is not None:
            rebuilt[0][:, :, *self.change] *= -1
        return list(layers), rebuilt


@pytest.mark.parametrize(("factor", "loss"), [(1, 0), (2, 0), (-1, 6)])
def test_each_layer_adds_one_less_the_cosine(factor: float, loss: float) -> None:
    """To the loss and to every cell of the map; a length does not count."""
    network, layers = Rebuilds(factor), some_layers(2, 0)
    everywhere = [torch.ones_like(layer[:, :1]) for layer in layers]
    assert float(network.loss(layers, everywhere)) == pytest.approx(loss, abs=1e-5)
    map_ = network(*layers)
    assert map_.shape == (2, 16, 24)
    assert torch.allclose(map_, torch.full_like(map_, loss), atol=1e-5)


def test_padding_counts_for_nothing_in_the_loss() -> None:
    layers = some_layers(2, 0)
    network = Rebuilds(1, (slice(8, 16), slice(None)))
    insides = [torch.ones_like(layer[:, :1]) for layer in layers]
    assert float(network.loss(layers, insides)) > 0.5
    for inside in insides:
        inside[:, :, inside.shape[2] // 2 :] = 0
    assert float(network.loss(layers, insides)) == pytest.approx(0, abs=1e-5)


def test_the_map_shows_where_a_layer_is_not_rebuilt() -> None:
    (map_,) = Rebuilds(1, (slice(4, 6), slice(9, 12)))(*some_layers(1, 0))
    assert torch.allclose(map_[4:6, 9:12], torch.tensor(2.0), atol=1e-5)
    map_[4:6, 9:12] = 0
    assert torch.allclose(map_, torch.tensor(0.0), atol=1e-5)


@pytest.mark.parametrize("bottlenecks", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_the_network_means_the_same_in_the_graph(bottlenecks: bool, signed: bool) -> None:
    """With the running statistics of its normalisation, for other batches than it was made with."""
    network = small(standardise=signed, bottlenecks=bottlenecks)
    network.both(some_layers(8, 1))  # moves the running statistics
    network.eval()
    layers = some_layers(3, 2)
    expected = network(*layers).detach().numpy()
    shapes = {f"layer{k}": shape for k, shape in enumerate(SHAPES)}
    graph = Graph()
    (name,) = add_network(graph, network, shapes)
    session = onnxruntime.InferenceSession(feature_model(graph, shapes, name))
    feed = {name: layer.numpy() for name, layer in zip(shapes, layers, strict=True)}
    np.testing.assert_allclose(session.run(None, feed)[0], expected, atol=1e-5)
    assert expected.std() > 0.01


@pytest.mark.parametrize("signed", [False, True])
def test_the_decoder_reaches_negative_values_only_for_signed_layers(signed: bool) -> None:
    _, decoded = small(standardise=signed).both(some_layers(4, 3))
    assert [layer.shape[1:] for layer in decoded] == SHAPES
    assert all((layer.min() < 0) == signed for layer in decoded)


def test_the_papers_networks_have_the_papers_shapes() -> None:
    """On a device that only counts: an embedding of 2048 channels on 8 x 8 cells at 256 pixels."""
    paper = open_detector("reverse_distillation", preset="paper")
    assert isinstance(paper, ReverseDistillation)
    assert paper.layers == ("layer1", "layer2", "layer3")
    shapes = [(256, 64, 64), (512, 32, 32), (1024, 16, 16)]
    with torch.device("meta"):
        network = Distillation(shapes, paper)
    embeddings: list[tuple[int, ...]] = []
    network.embed.register_forward_hook(lambda *call: embeddings.append(tuple(call[2].shape)))
    _, decoded = network.both([torch.zeros(16, *shape, device="meta") for shape in shapes])
    assert embeddings == [(16, 2048, 8, 8)]
    assert [tuple(layer.shape[1:]) for layer in decoded] == shapes


@pytest.mark.parametrize(
    "layers",
    [
        "block4,block10",
        "block2,block4,block7,block14",
        "block4,block2,block10",
        "block7,block10,block14",
    ],
)
def test_layers_that_are_not_three_of_doubling_strides_are_refused(
    tmp_path: Path, layers: str
) -> None:
    with pytest.raises(BlemishError, match="needs three layers, each of twice the stride"):
        Case("reverse_distillation", tmp_path, {"layers": layers}, count=2).fit()


def test_an_input_that_the_embedding_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BlemishError, match="multiples of 64 pixels, not 96 x 96"):
        Case("reverse_distillation", tmp_path, size=(96, 96), count=2).fit()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"depths": "1,1,1"}, "needs four depths"),
        ({"depths": "1,0,1,1"}, "depths=1,0,1,1 .* at least 1"),
        ({"batch": "1"}, "batch=1 .* at least 2"),
        ({"embedding": "0"}, "embedding=0.0 .* above 0"),
    ],
)
def test_networks_that_cannot_be_built_are_refused(
    tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    with pytest.raises(BlemishError, match=words):
        Case("reverse_distillation", tmp_path, settings, count=2).fit()


def pictures(folder: Path, values: Sequence[np.ndarray]) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(values):
        (folder / f"{number:02}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return folder


def test_the_statistics_are_those_of_the_training_pictures(tmp_path: Path) -> None:
    """Channels come to mean 0, variance 1 over the picture, not its padding; maps to mean 0."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (64, 128, 3), np.uint8) for _ in range(4)]
    data = open_dataset(pictures(tmp_path / "noise", noise))
    settings = ReverseDistillation()
    features = FeatureStream(open_backbone(), settings.layers, Recipe(128, 128, "pad"))
    table = FeatureTable.of(features, data.images)
    network = Distillation(list(features.shapes.values()), settings).eval()
    _standardise(network, table, (128, 128))
    _balance(network, table, (128, 128))
    layers, insides = _tensors(table.take(range(4)), (128, 128))
    with torch.no_grad():
        teacher, map_ = network.both(layers)[0], network(*layers)
    assert torch.allclose(map_.mean(0), torch.zeros(16, 16), atol=1e-3)
    assert 0.5 < float(map_.std()) < 4
    for e, inside in zip(teacher, insides, strict=True):
        assert 0 < inside.mean() < 1
        cells = e.movedim(1, 0)[:, inside[:, 0] > 0]
        assert torch.allclose(cells.mean(1), torch.zeros(len(cells)), atol=1e-4)
        assert torch.allclose(cells.var(1), torch.ones(len(cells)), atol=1e-2)
    table.close()


def test_constant_pictures_give_finite_scores(tmp_path: Path) -> None:
    grey = [np.full((64, 64, 3), 90, np.uint8)] * 4
    data = open_dataset(pictures(tmp_path / "grey", grey))
    settings = {**quick_settings("reverse_distillation"), "steps": "2"}
    case = Case("reverse_distillation", tmp_path, settings)
    scores = case.fit(data).score(case.probes)
    assert np.isfinite(scores.score).all()
    assert np.isfinite(scores.map).all()
