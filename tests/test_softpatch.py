"""SoftPatch: how noisy a patch is, that noisy ones never reach the bank, and what the score is."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from sklearn.neighbors import LocalOutlierFactor

from blemish.dataset import Dataset, open_dataset
from blemish.detectors import open_detector, softpatch
from blemish.detectors._patch_noise import (
    JUDGED_TOGETHER,
    Judge,
    gaussian,
    judge_place,
    lof,
    nearest,
    places_of,
)
from blemish.detectors._planted_defects import good_pictures
from blemish.detectors.base import Clock, FitContext, FittedDetector
from blemish.detectors.embedding import Embedding
from blemish.detectors.patchcore import Patchcore, grow_bank, learn_space
from blemish.detectors.softpatch import Softpatch
from blemish.errors import BlemishError, BudgetExceeded
from blemish.features.backbone import open_backbone
from blemish.features.feature_stream import FeatureStream
from blemish.features.session import open_session
from blemish.images import Recipe
from blemish.metrics.image import auroc

SIZE = 64


# --- how noisy a patch is among others


@pytest.mark.parametrize(("count", "channels", "neighbours"), [(30, 5, 6), (700, 20, 6), (9, 3, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_lof_is_that_of_scikit_learn(count: int, channels: int, neighbours: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(count, channels)) + 50).astype(np.float32)
    x[:3] += rng.normal(0, 5, (3, channels)).astype(np.float32)
    judge = LocalOutlierFactor(neighbours).fit(x.astype(np.float64))
    assert np.allclose(lof(x, neighbours), -judge.negative_outlier_factor_, rtol=1e-3)


def test_with_fewer_others_than_neighbours_lof_takes_all_others() -> None:
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert np.array_equal(lof(x, 6), lof(x, 4))
    assert np.allclose(lof(x[:2], 6), 1)


COPIES = arrays(
    np.float32,
    st.tuples(st.integers(2, 40), st.integers(1, 3)),
    elements=st.integers(-2, 2).map(float),
)


@settings(max_examples=100)
@given(x=COPIES)
@pytest.mark.parametrize("judge", [lof, nearest, gaussian])
def test_copies_of_a_patch_are_judged_alike_and_finite(judge: Judge, x: np.ndarray) -> None:
    noise = judge(x, neighbours=3)
    assert noise.dtype == np.float32
    assert (noise > 0).all()
    assert (noise <= 101 * len(x)).all()


@pytest.mark.parametrize("judge", [lof, nearest, gaussian])
def test_patches_without_any_variance_are_no_noise(judge: Judge) -> None:
    x = np.tile(np.random.default_rng(1).normal(size=7).astype(np.float32), (30, 1))
    assert np.allclose(judge(x, neighbours=6), 1, atol=1e-4)


def test_one_patch_beside_copies_is_the_noisiest() -> None:
    x = np.zeros((20, 4), np.float32)
    x[7] = 1
    noise = lof(x, 6)
    assert noise.argmax() == 7
    assert noise[7] > 10 * np.delete(noise, 7).max()


def test_nearest_is_the_distance_to_the_nearest_other_plus_one() -> None:
    x = np.random.default_rng(2).normal(20, 1, (600, 8)).astype(np.float32)
    apart = cdist(x, x)
    np.fill_diagonal(apart, np.inf)
    assert np.allclose(nearest(x, 6), apart.min(1) + 1, rtol=1e-4)


def test_gaussian_is_the_mahalanobis_distance_plus_one() -> None:
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(90, 6)) @ rng.normal(size=(6, 6)) + 9).astype(np.float32)
    inverse = np.linalg.inv(np.cov(x.T.astype(np.float64)) + 0.01 * np.eye(6))
    expected = cdist(x, x.mean(0, keepdims=True), "mahalanobis", VI=inverse)[:, 0] + 1
    assert np.allclose(gaussian(x, 6), expected, rtol=1e-3)


# --- places


@given(grid=st.tuples(st.integers(1, 9), st.integers(1, 9)), block=st.integers(1, 8))
def test_every_cell_belongs_to_one_place(grid: tuple[int, int], block: int) -> None:
    places = places_of(grid, block)
    assert sorted(np.concatenate(places)) == list(range(grid[0] * grid[1]))
    for cells in places:
        rows, columns = np.unravel_index(cells, grid)
        assert len({(r // block, c // block) for r, c in zip(rows, columns, strict=True)}) == 1


def test_what_lies_outside_the_picture_is_not_judged_and_judges_nothing() -> None:
    rng = np.random.default_rng(4)
    points, inside = rng.normal(size=(4, 30, 5)).astype(np.float32), rng.random((4, 30)) < 0.7
    points[~inside] = 1e6
    noise = judge_place(points, inside, lambda x: lof(x, 6))
    assert np.array_equal(np.isnan(noise), ~inside)
    assert np.allclose(noise[inside], lof(points[inside], 6))


def test_a_patch_without_others_is_no_noise() -> None:
    inside = np.array([[False, True, False]])
    noise = judge_place(np.zeros((1, 3, 2), np.float32), inside, lambda x: lof(x, 6))
    assert np.array_equal(noise, [[np.nan, 1, np.nan]], equal_nan=True)


def test_too_many_patches_are_dealt_out() -> None:
    sizes = []

    def judge(x: np.ndarray) -> np.ndarray:
        sizes.append(len(x))
        return x[:, 0]

    points = np.arange(16 * 700, dtype=np.float32).reshape(16, 700, 1)
    noise = judge_place(points, np.ones((16, 700), bool), judge)
    assert np.array_equal(noise, points[..., 0])
    assert max(sizes) <= JUDGED_TOGETHER
    assert max(sizes) - min(sizes) <= 16


# --- the bank


def write(folder: Path, pictures: Sequence[np.ndarray]) -> Dataset:
    folder.mkdir(parents=True)
    for number, pixels in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number:03}.png"), pixels)
    return open_dataset(folder)


def stream_of(layers: Sequence[str], recipe: Recipe | None = None) -> FeatureStream:
    return FeatureStream(open_backbone(), layers, recipe or Recipe(SIZE, SIZE, "squash"))


def fit(detector: Softpatch | Patchcore, data: Dataset, **options) -> FittedDetector:
    return detector.fit(data, FitContext(stream_of(detector.layers), seed=0, **options))


def striped(pictures: np.ndarray) -> np.ndarray:
    """The pictures, each with a chequered square of 24 pixels somewhere."""
    rng, pictures = np.random.default_rng(5), pictures.copy()
    chequers = (np.indices((24, 24)).sum(0) // 4 % 2 * 255)[..., None]
    for pixels in pictures:
        row, column = rng.integers(8, SIZE - 32, 2)
        pixels[row : row + 24, column : column + 24] = chequers
    return pictures


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write(tmp_path_factory.mktemp("softpatch") / "good", good_pictures(12, SIZE, seed=0))


@pytest.mark.parametrize("noise", ["lof", "nearest", "gaussian"])
@pytest.mark.parametrize("side", [1, 4])
def test_a_defect_among_the_training_pictures_is_still_found(
    tmp_path: Path, noise: str, side: int
) -> None:
    """PatchCore has learnt it by heart: it lies within the radius of its bank."""
    clean, noisy = good_pictures(36, SIZE, seed=0), striped(good_pictures(3, SIZE, seed=1))
    data = write(tmp_path / "noisy", [*noisy, *clean])  # a noisy one comes first
    truth, pictures = np.repeat([1, 0], [3, 36]), np.concatenate([noisy, clean])
    by_heart = fit(Patchcore(bank=3000), data).score(pictures)
    assert (
        by_heart.score.max()
        < 0.05 * fit(Patchcore(), data.take(range(3, 39))).score(noisy).score.max()
    )
    cleaned = fit(Softpatch(noise_method=noise, place_side=side, bank=3000), data).score(pictures)
    assert auroc(cleaned.score, truth) == 1


def test_patches_without_a_weight_never_enter_the_bank(good: Dataset) -> None:
    features = stream_of(("block4",))
    context = FitContext(features, seed=0)
    embedding = Embedding.of(features, 8, 1)
    space = learn_space(embedding, good.images, False, context)
    points = np.concatenate([space.apply(x) for x in embedding.patches(features, good.images)])
    weights = np.arange(len(points), dtype=np.float32)
    weights[::2] = np.nan  # the very first among them
    bank = grow_bank(embedding, good.images, space, 100, context, weights)
    assert bank.count > 50
    kept = bank.weights[: bank.count].astype(int)
    assert (kept % 2 == 1).all()
    assert np.array_equal(points[kept], bank.patches)


def test_tau_is_the_share_that_is_left_out(good: Dataset) -> None:
    patches = 12 * 64
    assert fit(Softpatch(tau=0.0), good).facts["noisy"] == 0
    facts = fit(Softpatch(tau=0.25, coreset=0.1), good).facts
    assert facts["noisy"] == patches // 4
    assert facts["bank"] <= round(0.1 * patches)  # of all, the noisy ones among them


# --- the score


def test_the_score_is_the_squared_distance_times_the_weight_of_the_nearest(good: Dataset) -> None:
    """Block 4 has fewer channels than patches are judged in: no projection blurs the oracle."""
    detector = Softpatch(
        layers=("block4",), layer_weights=(0.5,), tau=0.0, bank=4000, top_share=0.05, pool=1
    )
    probes = good_pictures(3, SIZE, seed=1)
    rows = block4(good_pictures(12, SIZE, seed=0)).astype(np.float16).astype(np.float64)
    others = block4(probes)
    weights = np.stack(
        [-LocalOutlierFactor(6).fit(rows[:, p]).negative_outlier_factor_ for p in range(64)], 1
    )
    apart = cdist(others.reshape(-1, 40), rows.reshape(-1, 40)) / 2  # the layer's weight
    expected = (apart.min(1) ** 2 * weights.ravel()[apart.argmin(1)]).reshape(3, 64)
    scores = fit(detector, good).score(probes)
    assert np.allclose(scores.map.reshape(3, 64), expected, rtol=1e-2)
    assert np.allclose(scores.score, np.sort(expected)[:, -3:].mean(1), rtol=1e-2)


def block4(pictures: np.ndarray) -> np.ndarray:
    """Block 4 of pictures, [image, place, channel]."""
    (x,) = open_session(open_backbone().path).run(["block4"], {"image": pictures})
    return x.reshape(len(x), 40, 64).transpose(0, 2, 1)


# --- what may go wrong


@pytest.mark.parametrize("count", [2, 4])
def test_fewer_pictures_than_neighbours_are_enough(good: Dataset, count: int) -> None:
    scores = fit(Softpatch(), good.take(range(count))).score(good_pictures(2, SIZE, seed=1))
    assert np.isfinite(scores.score).all()


@pytest.mark.parametrize("noise", ["lof", "nearest", "gaussian"])
def test_pictures_that_are_all_the_same_are_learnt(tmp_path: Path, noise: str) -> None:
    data = write(tmp_path / "same", [np.full((SIZE, SIZE, 3), 90, np.uint8)] * 9)
    fitted = fit(Softpatch(noise_method=noise), data)
    probes = np.stack(
        [np.full((SIZE, SIZE, 3), 90, np.uint8), striped(good_pictures(1, SIZE, 0))[0]]
    )
    scores = fitted.score(probes)
    assert np.isfinite(scores.map).all()
    assert scores.score[0] < 1e-2 * scores.score[1]


def test_padding_is_neither_judged_nor_learnt(tmp_path: Path) -> None:
    wide = [pixels[:32] for pixels in good_pictures(8, SIZE, seed=0)]
    detector = Softpatch(tau=0.0)
    features = stream_of(detector.layers, Recipe(SIZE, SIZE, "pad"))
    facts = detector.fit(write(tmp_path / "wide", wide), FitContext(features, seed=0)).facts
    assert facts["patches"] == 8 * 32


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (
            {"noise_method": "loft"},
            "noise_method=loft of detector softpatch must be one of lof, nearest, gaussian",
        ),
        ({"tau": "1"}, "tau=1.0 of detector softpatch must be at least 0 and below 1"),
        ({"place_side": "9"}, "place_side=9 of detector softpatch must be .* at most 8"),
        ({"layer_weights": "1,1"}, "must be 3 numbers, one for each of block4, block10, block14"),
        (
            {"layer_weights": "1,0,1"},
            "layer_weights=1.0,0.0,1.0 of detector softpatch must be above 0",
        ),
        ({"neighbours": "0"}, "neighbours=0 of detector softpatch must be at least 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_named(
    good: Dataset, chosen: dict[str, str], words: str
) -> None:
    with pytest.raises(BlemishError, match=words):
        fit(open_detector("softpatch", chosen), good)


def test_the_preset_of_the_paper_names_its_backbone() -> None:
    paper = open_detector("softpatch", preset="paper")
    assert paper.backbone == "wide_resnet50_2.tv_in1k"
    assert paper.layers == ("layer2", "layer3")


@pytest.mark.parametrize("question", [2, 5, 30, 66, 67, 70, 72])
def test_goes_on_wherever_the_time_ran_out(
    good: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: int
) -> None:
    """With one place a pass, so that there are passes to be cut short; 72 questions in all."""
    whole, asked = fit(Softpatch(bank=100), good), 0
    monkeypatch.setattr(softpatch, "PATCH_BYTES", 12 * 128 * 4 * 16)

    def strike(self: Clock, what: str) -> None:
        nonlocal asked
        asked += 1
        if asked == question:
            raise BudgetExceeded(what)

    with monkeypatch.context() as patch, contextlib.suppress(BudgetExceeded):
        patch.setattr(Clock, "check", strike)
        fit(Softpatch(bank=100), good, checkpoint=tmp_path / "kept")
    assert asked == question
    assert fit(Softpatch(bank=100), good, checkpoint=tmp_path / "kept").graph == whole.graph
