"""Whether the peak lies on the mask, and how much of each region lies above one threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from plates import save_set
from scipy.ndimage import label as label_regions
from sklearn.metrics import f1_score

from blemish.dataset import open_dataset
from blemish.errors import DatasetError
from blemish.evaluation import Evaluation, evaluate
from blemish.inspector import Inspector
from blemish.metrics.localised import localised_rates, peak_on_mask
from blemish.metrics.pixel import PixelScores

Maps = NDArray[np.float32]
Masks = NDArray[np.bool_]


def peaked(*places: tuple[int, int]) -> Maps:
    map_ = np.zeros((8, 10), np.float32)
    for place in places:
        map_[place] = 1
    return map_


def square() -> Masks:
    mask = np.zeros((8, 10), bool)
    mask[2:5, 3:6] = True
    return mask


@pytest.mark.parametrize(
    ("map_", "expected"),
    [
        (peaked((3, 4)), 1),
        (peaked((2, 3)), 1),  # its corner
        (peaked((1, 3)), 0),  # one pixel beside its rim
        (peaked((1, 3), (2, 3)), 1),  # half of a peak of two pixels
        (peaked((1, 3), (1, 4), (2, 3)), 0),
        (np.zeros((8, 10), np.float32), 0),  # a flat map has found nothing
        (-peaked((3, 4)), 0),
    ],
)
def test_the_peak_lies_on_the_mask_itself_or_beside_it(map_: Maps, expected: int) -> None:
    assert peak_on_mask(map_, square()) == expected


def test_without_a_marked_pixel_nobody_knows() -> None:
    assert peak_on_mask(peaked((3, 4)), None) == -1
    assert peak_on_mask(peaked((3, 4)), np.zeros((8, 10), bool)) == -1


def test_rates_count_images_with_a_mask_only() -> None:
    #             good, found, beside, missed, missed, no mask
    localised = [-1, 1, 0, 1, 0, -1]
    rejected = [True, True, True, False, False, True]
    assert localised_rates(localised, rejected) == {
        **{"localised": 0.5, "localised_of_rejected": 0.5, "localised_recall": 0.25}
    }


def test_rates_of_nothing_are_none() -> None:
    keys = ("localised", "localised_of_rejected", "localised_recall")
    assert localised_rates([], []) == dict.fromkeys(keys)
    assert localised_rates([-1, -1], [True, False]) == dict.fromkeys(keys)
    none_rejected = localised_rates([1, 0], [False, False])
    assert none_rejected == {
        **{"localised": 0.5, "localised_of_rejected": None, "localised_recall": 0.0}
    }
    with pytest.raises(DatasetError, match="2 peaks need as many decisions"):
        localised_rates([1, 0], [True])


# PRO at one threshold.


def slow_pro(maps: Maps, masks: Masks, threshold: float) -> float:
    shares = []
    for map_, mask in zip(maps, masks, strict=True):
        numbers, count = label_regions(mask, np.ones((3, 3)))
        above = map_.astype(np.float64) > threshold
        shares += [np.mean(above[numbers == number]) for number in range(1, count + 1)]
    return float(np.mean(shares))


def both_at(
    maps: Maps, masks: Masks, threshold: float, memory_limit: int = 1 << 20
) -> tuple[float | None, float | None]:
    with PixelScores(memory_limit=memory_limit) as pixels:
        for map_, mask in zip(maps, masks, strict=True):
            pixels.add(map_, mask)
        return pixels.pro_at(threshold), pixels.fpr_at(threshold)


@settings(max_examples=60)
@given(
    st.integers(0, 10_000),
    st.sampled_from([1, 3, 100_000]),
    st.floats(-0.1, 1.1),
    st.sampled_from([1 << 20, 1024]),  # all at once, or in hundreds of blocks
)
def test_shares_above_a_threshold_agree_with_slow_ones(
    seed: int, levels: int, at: float, memory_limit: int
) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((3, 20, 20)) < rng.choice([0.02, 0.3, 0.7])
    masks[0, 0, :2] = True, False
    maps = (np.floor(levels * rng.random(masks.shape)) / levels).astype(np.float32)
    pro, fpr = both_at(maps, masks, at, memory_limit)
    assert pro == pytest.approx(slow_pro(maps, masks, at), abs=1e-12)
    assert fpr == pytest.approx(np.mean(maps[~masks].astype(np.float64) > at), abs=1e-12)


def test_a_value_on_the_threshold_is_not_above_it() -> None:
    value = np.float32(0.1)  # as float64 it lies above 0.1
    maps = np.array([[[value, 0, 1, 1]]], np.float32)
    masks = np.array([[[True, False, False, True]]])
    assert both_at(maps, masks, float(value)) == (0.5, 0.5)
    assert both_at(maps, masks, 0.1) == (1.0, 0.5)
    assert both_at(maps, masks, -np.inf) == (1.0, 1.0)


def test_without_a_region_or_background_there_is_no_share() -> None:
    map_ = np.ones((1, 2, 2), np.float32)
    assert both_at(map_, np.zeros((1, 2, 2), bool), 0.0) == (None, 1.0)
    assert both_at(map_, np.ones((1, 2, 2), bool), 0.0) == (1.0, None)


# In an evaluation.


@pytest.fixture(scope="module")
def evaluation(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Plates of which one dent has no mask."""
    root = save_set(tmp_path_factory.mktemp("set") / "set", train=0, good=6, dents=7)
    (root / "ground_truth/dent/206_mask.png").unlink()
    return evaluate(Inspector.open(model), open_dataset(root))


def looks(evaluation: Evaluation) -> list[tuple[Maps, Masks | None]]:
    return [evaluation.look(index)[1:] for index in range(len(evaluation.images))]


def test_each_image_says_whether_its_peak_lies_on_its_mask(evaluation: Evaluation) -> None:
    expected = []
    for map_, mask in looks(evaluation):
        where = np.unravel_index(map_.argmax(), map_.shape)
        expected.append(-1 if mask is None else int(mask[where]))
    assert [image.localised for image in evaluation.images] == expected
    assert expected.count(-1) == 7
    assert 1 in expected


def test_localised_figures_are_at_the_models_threshold(evaluation: Evaluation) -> None:
    marked = [image for image in evaluation.images if image.localised >= 0]
    caught = [image for image in marked if image.score > evaluation.inspector.threshold]
    pixel = evaluation.figures["pixel"]
    assert len(marked) == 6
    assert pixel["localised"] == sum(image.localised for image in marked) / 6
    assert pixel["localised_of_rejected"] == np.mean([image.localised for image in caught])
    assert pixel["localised_recall"] == sum(image.localised for image in caught) / 6


def test_pro_is_taken_at_the_f1_optimal_threshold_of_the_maps_peaks(
    evaluation: Evaluation,
) -> None:
    """All labelled images set that threshold, those without a mask as well."""
    seen = looks(evaluation)
    peaks = np.array([map_.max() for map_, _ in seen], np.float64)
    labels = [image.label == "defective" for image in evaluation.images]
    of_peaks = [(f1_score(labels, peaks > peak), peak) for peak in peaks]
    threshold = max(of_peaks)[1]
    assert max(of_peaks)[0] > f1_score(labels, np.ones(len(peaks)))
    known = [
        (map_, np.zeros(map_.shape, bool) if mask is None else mask)
        for (map_, mask), image in zip(seen, evaluation.images, strict=True)
        if image.label == "good" or mask is not None
    ]
    maps, masks = (np.stack(arrays) for arrays in zip(*known, strict=True))
    pixel = evaluation.figures["pixel"]
    assert pixel["pro_at_f1"] == pytest.approx(slow_pro(maps, masks, threshold))
    assert pixel["fpr_at_f1"] == pytest.approx(np.mean(maps[~masks] > threshold))
    assert pixel["pro_at_f1"] != pytest.approx(pixel["aupro"])


def test_the_papers_decisions_stand_beside_it(evaluation: Evaluation) -> None:
    assert {"mcc", "recall", "fpr"} <= evaluation.figures["oracle_f1"].keys()
    assert {"mcc", "recall", "fpr"} <= evaluation.figures["decision"].keys()
