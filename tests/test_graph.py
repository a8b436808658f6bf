"""Every block of a detector's graph, and the finished graphs, against plain numpy and OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from blemish.dataset import Dataset, open_dataset
from blemish.detectors._planted_defects import good_pictures
from blemish.detectors.base import FitContext, FittedDetector
from blemish.detectors.duet import Duet
from blemish.detectors.embedding import cells_inside
from blemish.detectors.padim import Moments, Padim, mahalanobis
from blemish.detectors.patchcore import Patchcore
from blemish.features.backbone import open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.features.session import open_session
from blemish.graph import blocks
from blemish.graph.builder import OPSET, Graph, model, serialize, tensor
from blemish.graph.join import join
from blemish.images import Recipe

Shape = tuple[int, int, int]
SIZE = 64


def run(graph: Graph, output: str, shapes: dict[str, Sequence[int | str]], **values) -> np.ndarray:
    """One output of a graph for the values given to its inputs."""
    inputs = [tensor(name, shape) for name, shape in shapes.items()]
    graph.add("Identity", output, to="result")
    proto = model(graph, inputs, [onnx.helper.make_tensor_value_info("result", 1, None)])
    (result,) = open_session(serialize(proto)).run(None, values)
    return result


def pooled(x: np.ndarray, pool: int) -> np.ndarray:
    """Means over pool x pool cells of x [n, c, h, w]; at the edge, over those that there are."""
    rows, columns = np.indices(x.shape[2:])
    reach = pool // 2
    out = np.empty_like(x)
    for r, c in zip(rows.ravel(), columns.ravel(), strict=True):
        window = x[:, :, max(0, r - reach) : r + reach + 1, max(0, c - reach) : c + reach + 1]
        out[:, :, r, c] = window.mean((2, 3))
    return out


def on_grid(x: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Layers [n, c, h, w] brought to the grid: means where finer, bilinear where coarser."""
    n, c, h, w = x.shape
    if h >= grid[0]:
        return x.reshape(n, c, grid[0], h // grid[0], grid[1], w // grid[1]).mean((3, 5))
    planes = x.reshape(n * c, h, w)
    wide = [cv2.resize(plane, grid[::-1], interpolation=cv2.INTER_LINEAR) for plane in planes]
    return np.stack(wide).reshape(n, c, *grid)


def embedded(layers: Sequence[np.ndarray], grid: tuple[int, int], pool: int) -> np.ndarray:
    """What `blocks.embed` is to compute, [n, C, h, w]."""
    return np.concatenate([on_grid(pooled(x, pool), grid) for x in layers], axis=1)


@pytest.mark.parametrize("pool", [1, 3, 5])
@pytest.mark.parametrize("grid", [(8, 6), (4, 3), (16, 12)])
def test_embed(pool: int, grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    shapes: dict[str, Shape] = {"fine": (3, 16, 12), "middle": (2, 8, 6), "coarse": (4, 4, 3)}
    values = {n: rng.normal(size=(2, *shape)).astype(np.float32) for n, shape in shapes.items()}
    graph = Graph()
    output = blocks.embed(graph, list(shapes.items()), grid, pool)
    free = {name: ("n", *shape) for name, shape in shapes.items()}
    found = run(graph, output, free, **values)
    assert found.shape == (2, 9, *grid)
    assert np.allclose(found, embedded(list(values.values()), grid, pool), atol=1e-5)


def test_embed_of_one_layer_on_its_own_grid_is_that_layer() -> None:
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 5)).astype(np.float32)
    graph = Graph()
    output = blocks.embed(graph, [("x", (3, 4, 5))], (4, 5))
    assert np.array_equal(run(graph, output, {"x": ("n", 3, 4, 5)}, x=x), x)


@pytest.mark.parametrize("grid", [(16, 12), (24, 6), (20, 9)])
def test_resize(grid: tuple[int, int]) -> None:
    x = np.random.default_rng(1).random((3, 1, 8, 6)).astype(np.float32)
    graph = Graph()
    found = run(graph, blocks.resize(graph, "x", (8, 6), grid), {"x": ("n", 1, 8, 6)}, x=x)
    expected = [cv2.resize(map_[0], grid[::-1], interpolation=cv2.INTER_LINEAR) for map_ in x]
    assert np.allclose(found[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.0, 2.5])
def test_smooth(sigma: float) -> None:
    x = np.random.default_rng(2).random((2, 14, 11)).astype(np.float32)
    graph = Graph()
    found = run(graph, blocks.smooth(graph, "x", sigma), {"x": ("n", 14, 11)}, x=x)
    side = 2 * max(1, round(3 * sigma)) + 1
    expected = [
        cv2.GaussianBlur(map_, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)
        if sigma
        else map_
        for map_ in x
    ]
    assert np.allclose(found, expected, atol=1e-5)


SIDE = st.integers(0, SIZE) | st.sampled_from(range(0, SIZE + 1, 8))  # on a cell's edge, too


@settings(max_examples=60)
@given(boxes=st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE), min_size=1, max_size=4))
def test_inside_is_the_same_in_the_graph_and_while_fitting(
    boxes: list[tuple[int, int, int, int]],
) -> None:
    corners = [(min(t, b), min(lf, r), max(t, b), max(lf, r)) for t, lf, b, r in boxes]
    valid = np.array(corners, np.float32)
    grid = (4, 8)
    expected = cells_inside(valid, grid, (SIZE, SIZE)).reshape(-1, *grid) > 0
    for box, cells in zip(corners, expected, strict=True):
        pixels = np.zeros((SIZE, SIZE), bool)
        pixels[box[0] : box[2], box[1] : box[3]] = True
        reached = pixels.reshape(4, 16, 8, 8).any((1, 3))
        if box[0] < box[2] and box[1] < box[3]:  # an empty box has no pixels, but may have cells
            assert np.array_equal(cells, reached)
    graph = Graph()
    output = blocks.inside(graph, "valid", grid, (SIZE, SIZE))
    inputs = [tensor("valid", ("n", 4))]
    graph.add("Identity", output, to="result")
    proto = model(graph, inputs, [onnx.helper.make_tensor_value_info("result", 9, None)])
    (found,) = open_session(serialize(proto)).run(None, {"valid": valid})
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("top", [1, 2, 3, 12])
@pytest.mark.parametrize("shift", [0.0, -5.0])
def test_peak_is_the_mean_of_the_largest_values_inside(top: int, shift: float) -> None:
    rng = np.random.default_rng(3)
    x = (rng.random((5, 3, 4)) + shift).astype(np.float32)
    inside = rng.random((5, 3, 4)) < 0.5
    inside[0] = True
    inside[1] = False
    inside[1, 2, 3] = True  # one cell only, fewer than `top`
    graph = Graph()
    mask = graph.add("Greater", "inside", graph.constant(np.array(0.5)))
    shapes = {"x": ("n", 3, 4), "inside": ("n", 3, 4)}
    output = blocks.peak(graph, "x", mask, top)
    found = run(graph, output, shapes, x=x, inside=inside.astype(np.float32))
    expected = [
        np.sort(map_[cells])[::-1][:top].mean() for map_, cells in zip(x, inside, strict=True)
    ]
    assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("bank", [1, 7, 512, 513, 1500])
def test_nearest_is_the_smallest_euclidean_distance(bank: int) -> None:
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(bank, 10)).astype(np.float32)
    x = rng.normal(size=(2, 30, 10)).astype(np.float32)
    x[0, 0] = rows[-1]
    graph = Graph()
    found = run(graph, blocks.nearest(graph, "x", rows), {"x": ("n", 30, 10)}, x=x)
    expected = [cdist(patches, rows).min(1) for patches in x]
    assert np.allclose(found, expected, rtol=1e-4, atol=2e-3)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("bank", [1, 7, 512, 513, 1500])
def test_weighted_nearest_takes_the_weight_of_the_nearest_row(bank: int) -> None:
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(bank, 10)).astype(np.float32)
    weights = rng.random(bank).astype(np.float32)
    x = rng.normal(size=(2, 30, 10)).astype(np.float32)
    x[0, 0] = rows[-1]
    graph = Graph()
    output = blocks.weighted_nearest(graph, "x", rows, weights)
    found = run(graph, output, {"x": ("n", 30, 10)}, x=x)
    apart = np.stack([cdist(patches, rows) for patches in x])
    expected = apart.min(2) ** 2 * weights[apart.argmin(2)]
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_patches_and_cells_are_inverse() -> None:
    x = np.random.default_rng(5).random((2, 1, 3, 4)).astype(np.float32)
    graph = Graph()
    flat = graph.add("Flatten", blocks.patches(graph, "x"), axis=1)
    found = run(graph, blocks.cells(graph, flat, (3, 4)), {"x": ("n", 1, 3, 4)}, x=x)
    assert np.array_equal(found, x[:, 0])


# --- PaDiM's moments


def test_whitening_is_the_inverse_root_of_the_covariance_of_each_position() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(50, 5, 2, 3)).astype(np.float32) @ np.diag([1, 2, 3]).astype("f4") + 7
    moments = Moments((2, 3), 5)
    for batch in np.array_split(x, 7):
        moments.add(batch, np.ones((len(batch), 6), np.float32))
    mean, whitening = moments.whitening(prior=0, regularization=0)
    for position in range(6):
        rows = x.reshape(50, 5, 6)[:, :, position].astype(np.float64)
        covariance = np.cov(rows.T, bias=True)
        found = np.linalg.inv(whitening[position].astype(np.float64))
        assert np.allclose(found @ found.T, covariance, rtol=2e-3, atol=2e-3)
        # One image's worth of the mean of the first batch is mixed in.
        assert np.allclose(mean[position], rows.mean(0), atol=6e-2)


def test_whitening_shrinks_towards_the_pooled_covariance_and_leaves_padding_out() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(40, 4, 1, 3)).astype(np.float32) * np.float32([1, 2, 4])
    inside = np.ones((40, 3), np.float32)
    inside[10:, 1] = 0  # the second position is seen ten times, the third never
    inside[:, 2] = 0
    garbage = np.where(inside[:, None, None] > 0, x, 10).astype(np.float32)
    moments = Moments((1, 3), 4)
    for start in range(0, 40, 16):
        moments.add(garbage[start : start + 16], inside[start : start + 16])
    _, whitening = moments.whitening(prior=20, regularization=0.1)
    scatters = [
        np.cov(x[:40, :, 0, 0].T, bias=True) * 40,
        np.cov(x[:10, :, 0, 1].T, bias=True) * 10,
    ]
    pooled_ = (scatters[0] + scatters[1]) / 50
    for position, count in enumerate((40, 10, 0)):
        own = scatters[position] if count else 0
        expected = (own + 20 * pooled_) / (count + 20) + 0.1 * np.diag(pooled_).mean() * np.eye(4)
        root = np.linalg.inv(whitening[position].astype(np.float64))
        assert np.allclose(root @ root.T, expected, rtol=1e-3, atol=1e-3)


def test_mahalanobis_in_the_graph() -> None:
    rng = np.random.default_rng(8)
    mean = rng.normal(size=(6, 9)).astype(np.float32)
    whitening = np.tril(rng.normal(size=(6, 9, 9))).astype(np.float32)
    x = rng.normal(size=(3, 9, 2, 3)).astype(np.float32)
    graph = Graph()
    found = run(graph, mahalanobis(graph, "x", mean, whitening), {"x": ("n", 9, 2, 3)}, x=x)
    centred = x.reshape(3, 9, 6).transpose(0, 2, 1) - mean
    expected = np.linalg.norm(np.einsum("pij,npj->npi", whitening, centred), axis=2) / 3
    assert np.allclose(found, expected, rtol=2e-3)  # the matrices are kept in half precision


# --- the joined graph


def mean_head(graph: Graph) -> tuple[str, str]:
    """The mean over a layer's channels as the map, its peak inside `valid` as the score."""
    axes = graph.add("ReduceMean", "block4", axes=[1], keepdims=0)
    inside = blocks.inside(graph, "valid", (8, 8), (SIZE, SIZE))
    return axes, blocks.peak(graph, axes, inside)


@pytest.fixture(scope="module")
def joined() -> bytes:
    return join(open_backbone().path, ["block4"], SIZE, SIZE, mean_head)


def test_the_joined_model_is_valid_onnx_of_a_known_opset(joined: bytes) -> None:
    proto = onnx.load_from_string(joined)
    onnx.checker.check_model(proto, full_check=True)
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", OPSET)]
    assert OPSET == 17
    assert [output.name for output in proto.graph.output] == ["map", "score"]


def test_the_joined_model_takes_any_batch_and_needs_no_box(joined: bytes) -> None:
    session = open_session(joined)
    images = good_pictures(5, SIZE, seed=0)
    map_, score = session.run(["map", "score"], {"image": images})
    assert map_.shape == (5, 8, 8)
    assert np.allclose(score, map_.max((1, 2)))
    (single,) = session.run(["score"], {"image": images[2:3]})
    assert np.allclose(single, score[2], rtol=1e-5)
    boxes = np.array([[0, 0, SIZE, SIZE]] * 4 + [[0, 0, 16, 24]], np.float32)
    boxed_map, boxed = session.run(["map", "score"], {"image": images, "valid": boxes})
    assert np.array_equal(boxed_map, map_)
    assert np.array_equal(boxed[:4], score[:4])
    assert boxed[4] == map_[4, :2, :3].max()


def test_layers_that_the_head_does_not_read_are_left_out(joined: bytes) -> None:
    kept = onnx.load_from_string(joined).graph
    names = {values.name for values in kept.initializer}
    assert "conv_stem.weight" in names
    assert not any(name.startswith(("block.5", "block.15")) for name in names)
    assert any(name.startswith("block.4") for name in names)
    assert len(joined) < 0.1 * open_backbone().path.stat().st_size


# --- whole detectors against their definition


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("good")
    for number, pixels in enumerate(good_pictures(12, SIZE, seed=0)):
        cv2.imwrite(str(folder / f"{number:02}.png"), pixels)
    return open_dataset(folder)


def fit(detector: Padim | Patchcore | Duet, data: Dataset) -> FittedDetector:
    features = FeatureStream(
        open_backbone(), detector.layers, Recipe(SIZE, SIZE, "squash"), folder=None
    )
    return detector.fit(data, FitContext(features, seed=0))


def features_of(
    pictures: np.ndarray, layers: Sequence[str], kept_as: type = np.float16
) -> list[np.ndarray]:
    """The backbone's layers, rounded as a fit reads them."""
    session = open_session(open_backbone().path)
    return [
        x.astype(kept_as).astype(np.float32) for x in session.run(list(layers), {"image": pictures})
    ]


def test_padim_is_the_mahalanobis_distance_at_every_position(good: Dataset) -> None:
    detector = Padim(prior=10, regularization=0.05, top=2)
    probes = good_pictures(3, SIZE, seed=1)
    grid = (4, 4)
    x = embedded(features_of(good_pictures(12, SIZE, seed=0), detector.layers), grid, 1)
    x = x.reshape(12, -1, 16).astype(np.float64)
    mean = x.mean(0)
    scatters = [np.cov(x[:, :, p].T, bias=True) * 12 for p in range(16)]
    common = sum(scatters) / (12 * 16)
    ridge = 0.05 * np.diag(common).mean() * np.eye(len(common))
    probe = embedded(features_of(probes, detector.layers, np.float32), grid, 1).reshape(3, -1, 16)
    expected = np.empty((3, 16))
    for p in range(16):
        covariance = (scatters[p] + 10 * common) / 22 + ridge
        centred = probe[:, :, p] - mean[:, p]
        squared = np.einsum("nc,cd,nd->n", centred, np.linalg.inv(covariance), centred)
        expected[:, p] = np.sqrt(squared / len(common))
    scores = fit(detector, good).score(probes)
    assert np.allclose(scores.map.reshape(3, 16), expected, rtol=1e-2)
    assert np.allclose(scores.score, np.sort(expected)[:, -2:].mean(1), rtol=1e-2)


@pytest.mark.parametrize("whiten", [False, True])
def test_patchcore_is_the_distance_to_the_nearest_patch(good: Dataset, whiten: bool) -> None:
    detector = Patchcore(bank=4000, whiten=whiten)  # room for all 12 x 64 patches
    probes = good_pictures(3, SIZE, seed=1)
    rows, others = (
        embedded(features_of(pictures, detector.layers), (8, 8), 3)
        .transpose(0, 2, 3, 1)
        .reshape(-1, 152)
        .astype(np.float64)
        for pictures in (good_pictures(12, SIZE, seed=0), probes)
    )
    if whiten:
        values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True))
        axes = vectors / np.sqrt(values + 0.01 * values.mean())
        rows, others = rows @ axes, others @ axes
    expected = cdist(others, rows).min(1).reshape(3, 8, 8)
    fitted = fit(detector, good)
    assert fitted.facts["bank"] == len(rows)
    scores = fitted.score(probes)
    assert np.allclose(scores.map, expected, rtol=1e-2, atol=1e-2 * expected.mean())
    assert np.allclose(scores.score, expected.max((1, 2)), rtol=1e-2)


def test_duet_is_the_harmonic_mean_of_both_in_units_of_their_medians(good: Dataset) -> None:
    duet = Duet(top=4, bank=100)
    same = {"layers": duet.layers, "grid_stride": duet.grid_stride}
    padim = fit(Padim(**same, prior=duet.prior, regularization=duet.regularization), good)
    patchcore = fit(Patchcore(**same, pool=duet.pool, bank=duet.bank), good)
    learnt = good_pictures(12, SIZE, seed=0)
    units = [np.median(part.score(learnt).map) for part in (padim, patchcore)]
    fitted = fit(duet, good)
    assert fitted.facts["units"] == pytest.approx(units, rel=1e-2)
    probes = good_pictures(3, SIZE, seed=1)
    a, b = (
        part.score(probes).map / unit
        for part, unit in zip((padim, patchcore), fitted.facts["units"], strict=True)
    )
    expected = 2 * a * b / (a + b)
    scores = fitted.score(probes)
    assert np.allclose(scores.map, expected, rtol=1e-3)
    assert np.allclose(scores.score, np.sort(expected.reshape(3, -1))[:, -4:].mean(1), rtol=1e-3)


def test_a_score_of_more_cells_than_there_are_is_their_mean(good: Dataset) -> None:
    scores = fit(Padim(top=1000), good).score(good_pictures(2, SIZE, seed=1))
    assert np.allclose(scores.score, scores.map.mean((1, 2)), rtol=1e-5)


def test_paths_are_not_part_of_a_model(good: Dataset) -> None:
    graph = fit(Padim(), good).graph
    assert str(good.root).encode() not in graph
    assert str(Path.home()).encode() not in graph
