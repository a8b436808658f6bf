"""Pixel AUROC and AUPRO against scikit-learn, a slow AUPRO written here, and adeval."""

from __future__ import annotations

import json
import runpy
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import label as label_regions
from sklearn.metrics import roc_auc_score

from blemish.errors import DatasetError, ImageError
from blemish.metrics.pixel import PixelScores

SCRIPT = Path(__file__).parents[1] / "scripts" / "make_adeval_fixtures.py"
fixtures = SimpleNamespace(**runpy.run_path(str(SCRIPT)))
CASES = json.loads(fixtures.FIXTURES.read_text("utf-8"))["cases"]

Maps = NDArray[np.float32]
Masks = NDArray[np.bool_]


def measure(
    maps: Maps, masks: Masks, limit: float = 0.3, **options: Any
) -> tuple[float | None, float | None]:
    with PixelScores(**options) as pixels:
        for anomaly_map, mask in zip(maps, masks, strict=True):
            pixels.add(anomaly_map, mask)
        return pixels.auroc(), pixels.aupro(limit)


def slow_aupro(maps: Maps, masks: Masks, limit: float) -> float:
    """The definition, threshold by threshold and region by region."""
    regions = []
    for anomaly_map, mask in zip(maps, masks, strict=True):
        numbers, count = label_regions(mask, np.ones((3, 3)))
        regions += [anomaly_map[numbers == number] for number in range(1, count + 1)]
    background = maps[~masks]
    fpr, overlap = [0.0], [0.0]
    for threshold in np.unique(maps)[::-1]:
        fpr.append(float(np.mean(background >= threshold)))
        overlap.append(float(np.mean([np.mean(region >= threshold) for region in regions])))
    at_limit = next(i for i, rate in enumerate(fpr) if rate >= limit)
    share = (limit - fpr[at_limit - 1]) / (fpr[at_limit] - fpr[at_limit - 1])
    last = overlap[at_limit - 1] + share * (overlap[at_limit] - overlap[at_limit - 1])
    x, y = [*fpr[:at_limit], limit], [*overlap[:at_limit], last]
    return float(np.trapezoid(y, x)) / limit


def random_case(seed: int, levels: int, size: int = 12) -> tuple[Maps, Masks]:
    rng = np.random.default_rng(seed)
    masks = rng.random((3, size, size)) < rng.choice([0.02, 0.3, 0.7])
    masks[0, 0, :2] = True, False
    maps = np.floor(levels * rng.random(masks.shape) ** 2) + masks * (rng.random() < 0.5)
    return maps.astype(np.float32), masks


@settings(max_examples=60)
@given(
    st.integers(0, 10_000),
    st.sampled_from([1, 2, 5, 40, 100_000]),
    st.sampled_from([0.05, 0.3, 1.0]),
)
def test_both_metrics_agree_with_slow_ones_tied_or_not(
    seed: int, levels: int, limit: float
) -> None:
    maps, masks = random_case(seed, levels)
    auroc, aupro = measure(maps, masks, limit)
    assert auroc == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12)
    assert aupro == pytest.approx(slow_aupro(maps, masks, limit), abs=1e-12)


@pytest.mark.parametrize("levels", [3, 100_000])
@pytest.mark.parametrize("seed", range(5))
def test_a_tiny_memory_gives_equal_figures(seed: int, levels: int, tmp_path: Path) -> None:
    maps, masks = random_case(seed, levels, size=40)
    at_once = measure(maps, masks)
    # Room for 64 background pixels and 8 defect pixels: hundreds of blocks of each.
    in_blocks = measure(maps, masks, folder=tmp_path, memory_limit=1024)
    assert in_blocks == pytest.approx(at_once, abs=1e-13)


def test_background_in_blocks_gives_the_same_bits() -> None:
    maps, masks = random_case(0, 100_000, size=40)
    masks[:, 5:] = False
    room_for_all_defects = 128 * int(masks.sum() + 1)
    assert room_for_all_defects // 4 // 4 < np.sum(~masks)
    assert measure(maps, masks) == measure(maps, masks, memory_limit=room_for_all_defects)


def test_memory_stays_bounded_whatever_the_number_of_maps(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    limit = 1 << 20
    tracemalloc.start()
    try:
        with PixelScores(tmp_path, memory_limit=limit) as pixels:
            for _ in range(40):
                anomaly_map = rng.random((256, 256), dtype=np.float32)
                pixels.add(anomaly_map, anomaly_map > 0.98)
            tracemalloc.reset_peak()
            assert pixels.auroc() == 1.0
            assert tracemalloc.get_traced_memory()[1] < 2 * limit < 40 * anomaly_map.nbytes
            assert list(tmp_path.iterdir())
        assert not list(tmp_path.iterdir()), "leaving the block removes the files"
    finally:
        tracemalloc.stop()


def test_every_region_weighs_the_same_and_corners_connect() -> None:
    mask = np.zeros((20, 20), bool)
    mask[0, 0] = mask[1, 1] = True  # one region: touching at a corner
    mask[10:14, 10:14] = True
    anomaly_map = np.zeros((20, 20), np.float32)
    anomaly_map[:2, :2] = 1
    anomaly_map[0, 1] = anomaly_map[1, 0] = 0
    with PixelScores() as pixels:
        pixels.add(anomaly_map, mask)
        # One of two regions is found at no false positive, the other comes with the background.
        ramp = 0.5 + 0.5 * 0.3 / 2
        assert pixels.aupro() == pytest.approx(ramp, abs=1e-12)


def test_a_perfect_map_scores_one_and_an_inverted_one_zero() -> None:
    _, masks = random_case(1, 2)
    assert measure(masks.astype(np.float32), masks) == pytest.approx((1.0, 1.0))
    assert measure(-masks.astype(np.float32), masks) == (0.0, 0.0)


def test_a_constant_map_is_a_diagonal() -> None:
    _, masks = random_case(1, 2)
    assert measure(np.full(masks.shape, 7, np.float32), masks) == pytest.approx((0.5, 0.15))


def test_minus_zero_ties_with_zero() -> None:
    mask = np.array([[True, False]])
    assert measure(np.array([[[-0.0, 0.0]]], np.float32), mask[None])[0] == 0.5


def test_without_a_region_or_without_background_there_is_no_figure() -> None:
    maps = np.zeros((2, 4, 4), np.float32)
    assert measure(maps, np.zeros(maps.shape, bool)) == (None, None)
    assert measure(maps, np.ones(maps.shape, bool)) == (None, None)
    assert measure(maps[:0], np.zeros((0, 4, 4), bool)) == (None, None)


def test_an_empty_mask_adds_background_only() -> None:
    maps, masks = random_case(2, 100_000)
    more = np.concatenate([maps, maps[:1] + 10])
    empty = np.concatenate([masks, np.zeros_like(masks[:1])])
    assert measure(more, empty)[1] == pytest.approx(slow_aupro(more, empty, 0.3), abs=1e-12)


def test_figures_follow_a_map_added_later() -> None:
    maps, masks = random_case(3, 100_000)
    with PixelScores() as pixels:
        pixels.add(maps[0], masks[0])
        first = pixels.auroc(), pixels.aupro()
        pixels.add(maps[1], masks[1])
        assert (pixels.auroc(), pixels.aupro()) == measure(maps[:2], masks[:2]) != first


def test_maps_of_different_sizes_and_strides_are_pooled() -> None:
    maps, masks = random_case(4, 100_000)
    with PixelScores() as pixels:
        pixels.add(maps[0].T, masks[0].T)
        pixels.add(maps[1][:, :5], masks[1][:, :5])
        values = np.concatenate([maps[0].ravel(), maps[1][:, :5].ravel()])
        truth = np.concatenate([masks[0].ravel(), masks[1][:, :5].ravel()])
        assert pixels.auroc() == pytest.approx(roc_auc_score(truth, values), abs=1e-12)


@pytest.mark.parametrize(
    ("anomaly_map", "mask"),
    [
        (np.array([[np.nan, 0]], np.float32), np.zeros((1, 2), bool)),
        (np.zeros((1, 2), np.float64), np.zeros((1, 2), bool)),
        (np.zeros((1, 2), np.float32), np.zeros((2, 1), bool)),
        (np.zeros((1, 2), np.float32), np.zeros((1, 2), np.uint8)),
    ],
)
def test_a_map_or_mask_that_does_not_fit_is_refused_by_name(anomaly_map: Maps, mask: Masks) -> None:
    with PixelScores() as pixels, pytest.raises(ImageError, match=r"scratch/007\.png"):
        pixels.add(anomaly_map, mask, name="scratch/007.png")


def test_a_spill_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with PixelScores(missing, memory_limit=16) as pixels, pytest.raises(DatasetError, match="miss"):
        pixels.add(np.zeros((4, 4), np.float32), np.zeros((4, 4), bool))


@pytest.mark.parametrize("case", CASES)
def test_the_seeds_give_the_maps_that_adeval_saw(case: dict[str, Any]) -> None:
    maps, masks = fixtures.maps_and_masks(case["seed"], case["levels"], case["strength"])
    assert fixtures.digest(maps, masks) == case["sha256"]


@pytest.mark.parametrize("case", [case for case in CASES if case["levels"] is None])
def test_distinct_values_agree_with_adeval_at_rank_thresholds(case: dict[str, Any]) -> None:
    # Thresholds at T ranks leave steps of 1 / (T - 1) in the false-positive rate, plus one pixel
    # for the rounded rank; on a rising curve from 0 to 1 the trapezoids are off by half a step.
    maps, masks = fixtures.maps_and_masks(case["seed"], case["levels"], case["strength"])
    _, aupro = measure(maps, masks)
    for thresholds, expected in case["aupro_ranks"].items():
        step = 1 / (int(thresholds) - 1) + 1 / np.sum(~masks)
        assert aupro == pytest.approx(expected, abs=step / 2 / 0.3)


@pytest.mark.parametrize("case", [case for case in CASES if case["levels"] is not None])
def test_on_tied_values_ranks_underestimate(case: dict[str, Any]) -> None:
    # Tied background pixels get ranks of their own there, so that a tie is a step to the right
    # before the rise, where we draw the diagonal: its area is smaller, by up to half the rise.
    maps, masks = fixtures.maps_and_masks(case["seed"], case["levels"], case["strength"])
    _, aupro = measure(maps, masks)
    assert aupro is not None
    assert all(area < aupro - 0.05 for area in case["aupro_ranks"].values())


@pytest.mark.parametrize("case", CASES)
def test_all_values_agree_with_adeval_in_strips(case: dict[str, Any]) -> None:
    # Its 1,000 strips of equal width hold one tied value at most, which makes them exact but for
    # the corner below the largest value; else they are off by half the background of a strip.
    maps, masks = fixtures.maps_and_masks(case["seed"], case["levels"], case["strength"])
    auroc, aupro = measure(maps, masks)
    background = maps[~masks]
    if case["levels"] is None:
        crowd = np.histogram(background, 1000, (maps.min(), maps.max()))[0].max()
    else:
        crowd = np.sum(background == maps.max())
    error = crowd / background.size / 2 + 1e-6
    assert auroc == pytest.approx(case["auroc_strips"], abs=error)
    assert aupro == pytest.approx(case["aupro_strips"], abs=error / 0.3)


@pytest.mark.parametrize("memory_limit", [1 << 20, 1 << 10])
def test_asking_between_two_maps_changes_nothing(memory_limit: int) -> None:
    maps, masks = random_case(3, 100_000, size=30)
    asked = []
    with PixelScores(memory_limit=memory_limit) as pixels:
        for anomaly_map, mask in zip(maps, masks, strict=True):
            pixels.add(anomaly_map, mask)
            asked.append((pixels.auroc(), pixels.fpr_at(0.5)))
        at_once = pytest.approx(measure(maps, masks), abs=1e-12)
        assert (pixels.auroc(), pixels.aupro()) == at_once
        assert pixels.fpr_at(0.5) == asked[-1][1] == np.mean(maps[~masks] > 0.5)
    assert asked[0] != asked[-1]
