"""One patch: it shows the plate where its transform says, and nothing that is not there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import scan

from blemish.prepare.patch_augmentation import cut, draw_spot, draw_turn, lit, plain, turned
from blemish.prepare.patch_recipe import Augmentation
from blemish.prepare.region_of_interest import RegionOfInterest

SIZE = 64
TURNED = Augmentation(1.0, rotation_deg=45, shear_deg=20, scale=(0.9, 1.1))


def spots(settings_: Augmentation, region: RegionOfInterest, count: int = 60):
    places = region.places(SIZE)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        yield draw_spot(region, places, SIZE, draw_turn(settings_, rng), rng)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_no_pixel_is_padded_or_mirrored(kind):
    """Around the region lies a value that no patch may show, not even a little."""
    plate = np.full((200, 240), np.iinfo(kind).max, kind)
    plate[40:160, 40:200] = 100
    cells = np.zeros((200, 240), bool)
    cells[40:160, 40:200] = True
    region = RegionOfInterest((200, 240), 1, cells)
    found = list(spots(TURNED, region))
    assert sum(not spot.plain for spot in found) > 30
    for spot in found:
        assert (cut(plate, spot, SIZE) == 100).all()


def test_at_the_plates_own_edge_too():
    plate = np.full((90, 90), 50, np.uint8)
    region = RegionOfInterest.whole((90, 90))
    found = list(spots(TURNED, region))
    assert any(spot.plain for spot in found)
    for spot in found:
        assert (cut(plate, spot, SIZE) == 50).all()


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_the_transform_says_which_pixel_of_the_plate_is_shown(seed):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:400, :400]
    plate = np.stack([columns, rows, columns], axis=2).astype(np.uint16) * 100
    region = RegionOfInterest.whole((400, 400))
    spot = draw_spot(region, region.places(SIZE), SIZE, draw_turn(TURNED, rng), rng)
    patch = cut(plate, spot, SIZE)
    for x, y in ((0, 0), (SIZE - 1, 0), (17, 45)):
        there = spot.transform @ [x, y, 1]
        assert np.abs(patch[y, x, :2] / 100 - there).max() < 0.05


def test_a_plain_patch_is_a_copy():
    plate = scan(0)
    patch = cut(plate, plain(30, 40, SIZE), SIZE)
    assert np.array_equal(patch, plate[30:94, 40:104])
    patch[:] = 0
    assert plate[30:94, 40:104].any()


def test_a_patch_as_wide_as_its_plate_is_a_copy_too():
    plate = np.ascontiguousarray(scan(0)[:64, :64])
    cut(plate, plain(0, 0, SIZE), SIZE)[:] = 0
    assert plate.any()


def test_scale_above_one_magnifies_and_flips_flip():
    plate = scan(0)
    double = turned(np.eye(2) / 2, (100, 100), SIZE)
    whole = cv2.resize(plate[84:117, 84:117], None, fx=2, fy=2)[:SIZE, :SIZE]
    assert np.corrcoef(cut(plate, double, SIZE).ravel(), whole.ravel())[0, 1] > 0.9
    flipped = turned(np.diag([-1.0, 1.0]), (100 + 31.5, 100 + 31.5), SIZE)
    assert np.array_equal(cut(plate, flipped, SIZE), plate[100:164, 100:164][:, ::-1])


def test_so_many_patches_are_turned_and_within_the_limits():
    settings_ = Augmentation(0.8, rotation_deg=10, scale=(1.0, 1.2))
    turns = [draw_turn(settings_, np.random.default_rng(seed)) for seed in range(500)]
    some = [turn for turn in turns if turn is not None]
    assert 370 < len(some) < 430
    assert {tuple(np.sign(np.diag(turn))) for turn in some} == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    scales = [1 / np.sqrt(abs(np.linalg.det(turn))) for turn in some]
    assert 1.0 <= min(scales) < 1.02
    assert 1.18 < max(scales) <= 1.2
    angles = [
        abs(np.degrees(np.arcsin(turn[1, 0] * s))) for turn, s in zip(some, scales, strict=True)
    ]
    assert 9 < max(angles) <= 10


def test_brightness_and_contrast_are_about_the_mean():
    patch = np.array([[80, 120]], np.uint8)
    bright = Augmentation(brightness=(1.2, 1.2))
    assert lit(patch, bright, 255, np.random.default_rng(0)).tolist() == [[96, 144]]
    flat = Augmentation(contrast=(0.5, 0.5))
    assert lit(patch, flat, 255, np.random.default_rng(0)).tolist() == [[90, 110]]
    deep = patch.astype(np.uint16) * 30
    found = lit(deep, bright, 4095, np.random.default_rng(0))
    assert found.dtype == np.uint16
    assert found.tolist() == [[2880, 4095]]
    assert lit(patch, Augmentation(), 255, np.random.default_rng(0)) is patch
