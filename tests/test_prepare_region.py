"""Where patches lie: the region of interest, and every square inside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import PLATE, plate_at, scan

from blemish.errors import DatasetError
from blemish.prepare.patch_recipe import RegionSettings
from blemish.prepare.region_of_interest import RegionOfInterest, count_of, place_at
from blemish.prepare.region_segmentation import cells_under, find_region
from blemish.simulator.simulate import simulate_plate


def pixels_of(region: RegionOfInterest):
    """The region as bool [H, W]."""
    full = region.cells.repeat(region.side, axis=0).repeat(region.side, axis=1)
    return full[: region.shape[0], : region.shape[1]]


@st.composite
def regions(draw) -> RegionOfInterest:
    side = draw(st.sampled_from([1, 2, 4]))
    height, width = draw(st.integers(5, 40)), draw(st.integers(5, 40))
    shape = (-(-height // side), -(-width // side))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    cells = rng.random(shape) < draw(st.sampled_from([0.7, 0.95, 1.0]))
    return RegionOfInterest((height, width), side, cells)


@given(regions(), st.integers(1, 12))
@settings(max_examples=60)
def test_places_are_all_the_squares_inside_the_region(region, size):
    inside = pixels_of(region)
    height, width = region.shape
    expected = {
        (row, column)
        for row in range(height - size + 1)
        for column in range(width - size + 1)
        if inside[row : row + size, column : column + size].all()
    }
    places = region.places(size)
    found = [place_at(places, number) for number in range(count_of(places))]
    assert len(found) == len(set(found))
    assert set(found) == expected
    for row, column in list(expected)[:20]:
        assert region.contains(row, column, row + size, column + size)


@given(regions(), st.integers(1, 12), st.integers(1, 9))
@settings(max_examples=60)
def test_windows_lie_inside_and_reach_the_edges(region, size, stride):
    places = {place_at(p, n) for p in [region.places(size)] for n in range(count_of(p))}
    windows = region.windows(size, stride)
    assert set(windows) <= places
    assert len(set(windows)) == len(windows)
    if places:
        for axis in (0, 1):
            rows = [place[axis] for place in (places if axis == 0 else windows)]
            assert min(rows) == min(window[axis] for window in windows)
        assert max(place[0] for place in places) == max(window[0] for window in windows)


def test_a_sliding_window_steps_by_the_stride_and_ends_at_the_edge():
    windows = RegionOfInterest.whole((700, 600)).windows(256, 160)
    assert sorted({top for top, _ in windows}) == [0, 160, 320, 444]
    assert sorted({left for _, left in windows}) == [0, 160, 320, 344]
    assert RegionOfInterest.whole((256, 256)).windows(256, 160) == [(0, 0)]


def test_nothing_beyond_the_plate_is_in_the_region():
    region = RegionOfInterest.whole((100, 90))
    assert region.contains(0, 0, 100, 90)
    assert not region.contains(-1, 0, 10, 10)
    assert not region.contains(0, 0, 101, 10)


def agreement(region: RegionOfInterest, truth) -> float:
    """Intersection over union of the region and the truth."""
    found = pixels_of(region)
    return float((found & truth).sum() / (found | truth).sum())


def test_bright_print_on_a_dark_plate_on_a_darker_table():
    region = find_region("p", scan(3), RegionSettings(margin=0))
    assert agreement(region, plate_at()) > 0.95


def test_a_dark_plate_before_a_light():
    region = find_region("p", 255 - scan(3), RegionSettings(margin=0))
    assert agreement(region, plate_at()) > 0.95


@pytest.mark.parametrize("modality", ["dark_field", "transmission", "bright_field"])
def test_a_simulated_plate(modality):
    """Its table or mask is left out, and nearly all of the plate is in."""
    pixels = simulate_plate(2, 3, modality, 900, 1200).image
    region = find_region("p", pixels, RegionSettings(margin=8))
    inside = pixels_of(region)
    assert 0.8 < inside.mean() < 0.98
    assert inside[200:-200, 200:-200].all()
    table = {"dark_field": pixels < 8, "transmission": pixels > 215, "bright_field": pixels < 8}
    frame = np.ones(pixels.shape, bool)
    frame[30:-30, 40:-40] = False
    assert (table[modality] & frame & inside).sum() < 0.02 * (table[modality] & frame).sum()


def test_in_16_bits_and_colours():
    deep = scan(3).astype(np.uint16) * 16
    assert agreement(find_region("p", deep, RegionSettings(margin=0)), plate_at()) > 0.95
    rgb = scan(3)[:, :, None].repeat(3, axis=2)
    assert agreement(find_region("p", rgb, RegionSettings(margin=0)), plate_at()) > 0.95


def test_a_plate_with_ragged_black_borders_at_its_sides():
    rng = np.random.default_rng(0)
    grey = rng.normal(150, 12, (300, 400))
    edge = 30 + np.cumsum(rng.normal(0, 1, 300)).clip(-15, 15)
    columns = np.arange(400)
    truth = (columns >= edge[:, None]) & (columns < 400 - edge[:, None])
    pixels = np.where(truth, grey, 0).clip(0, 255).astype(np.uint8)
    region = find_region("p", pixels, RegionSettings(margin=0))
    assert agreement(region, truth) > 0.95
    inner = find_region("p", pixels, RegionSettings(margin=8))
    assert not (pixels_of(inner) & ~truth).any()
    assert pixels_of(inner)[[0, -1], 200].all()  # at the plate's edge there is nothing to keep off


def test_a_plate_that_fills_the_picture():
    pixels = np.random.default_rng(0).normal(120, 20, (200, 200)).clip(0, 255).astype(np.uint8)
    assert find_region("p", pixels, RegionSettings()).cells.mean() > 0.95


def test_a_margin_keeps_off_the_edge():
    region = find_region("p", scan(3), RegionSettings(margin=10))
    rows, columns = np.nonzero(pixels_of(region))
    top, left, bottom, right = PLATE
    assert rows.min() >= top + 8
    assert columns.min() >= left + 8
    assert rows.max() < bottom - 8
    assert columns.max() < right - 8


def test_a_box_a_mask_and_the_whole(tmp_path):
    import cv2

    box = find_region("p", scan(1), RegionSettings("box", margin=0, box=(40, 50, 100, 80)))
    truth = np.zeros((240, 320), bool)
    truth[50:130, 40:140] = True
    assert np.array_equal(pixels_of(box), truth)
    cv2.imwrite(str(tmp_path / "m.png"), truth.astype(np.uint8) * 255)
    setting = RegionSettings("mask", margin=0, mask="m.png")
    mask = find_region("p", scan(1), setting, tmp_path / "m.png")
    assert np.array_equal(pixels_of(mask), truth)
    assert find_region("p", scan(1), RegionSettings("whole")).cells.all()


def test_a_plate_of_one_grey_is_taken_whole_and_background_alone_is_refused():
    even = np.full((100, 100), 7, np.uint8)
    assert find_region("p", even, RegionSettings()).cells.all()
    with pytest.raises(
        DatasetError, match=r"the plate p \(method 'plate'.*take method = \"whole\""
    ):
        find_region("p", even, RegionSettings(background="dark"))


def test_a_cell_is_touched_by_one_pixel():
    mask = np.zeros((10, 9), bool)
    mask[9, 8] = True
    region = RegionOfInterest((10, 9), 4, np.ones((3, 3), bool))
    assert np.argwhere(cells_under(mask, region)).tolist() == [[2, 2]]
