"""Resizing, tiling and the way back: a place in the image stays that place."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blemish.errors import ImageError
from blemish.images import (
    Recipe,
    Window,
    centre_box,
    crops,
    fit,
    stitch,
    surround,
    tile_boxes,
    unfit,
)
from blemish.util.typed_json import read

SIDES = st.integers(20, 400)
RESIZES = st.sampled_from(["pad", "squash"])
STRIDE = 8


def cell_means(tensor: np.ndarray, stride: int = STRIDE) -> np.ndarray:
    """A stand-in for a model: the mean of each cell of its grid."""
    height, width = tensor.shape[0] // stride, tensor.shape[1] // stride
    cells = tensor[:, :, 0].reshape(height, stride, width, stride)
    return np.asarray(cells.mean(axis=(1, 3)), np.float32)


@settings(max_examples=150)
@given(SIDES, SIDES, st.floats(0, 1), st.floats(0, 1), RESIZES)
def test_a_bright_spot_returns_to_its_place(
    height: int, width: int, down: float, right: float, resize: str
) -> None:
    recipe = Recipe(128, 96, resize=resize)
    image = np.zeros((height, width), np.uint8)
    row, column = int(down * (height - 1)), int(right * (width - 1))
    image[max(0, row - 4) : row + 5, max(0, column - 4) : column + 5] = 255
    tensor, valid = fit(image, recipe)
    found = unfit(cell_means(tensor), valid, recipe, image.shape)
    assert found.shape == image.shape
    assert found.dtype == np.float32
    peak = np.unravel_index(int(found.argmax()), found.shape)
    # one cell of the grid in original pixels, and half of the spot itself
    rows, columns = STRIDE * height / valid[2] + 4, STRIDE * width / valid[3] + 4
    assert abs(peak[0] - row) <= rows
    assert abs(peak[1] - column) <= columns


@settings(max_examples=60)
@given(SIDES, SIDES, st.integers(1, 40), st.integers(1, 40))
def test_a_slope_comes_back_as_a_slope(height: int, width: int, rows: int, columns: int) -> None:
    """Interpolating a linear map between pixel centres gives that map, but for the edge."""
    recipe = Recipe(128, 96)
    _, valid = fit(np.zeros((height, width), np.uint8), recipe)
    centres = ((np.arange(rows) + 0.5) / rows * 128)[:, None] + np.zeros(columns)
    found = unfit(centres.astype(np.float32), valid, recipe, (height, width))
    expected = (np.arange(height) + 0.5) / height * float(valid[2])
    last = np.ceil(float(valid[2]) * rows / 128) - 0.5
    expected = np.clip(expected, 64 / rows, last * 128 / rows)
    np.testing.assert_allclose(found, expected[:, None] + np.zeros(width), atol=2e-3)


def test_cells_of_the_padding_alone_take_no_part() -> None:
    recipe = Recipe(64, 64)
    _, valid = fit(np.zeros((30, 64), np.uint8), recipe)  # fills 3.75 of 8 rows of cells
    map_ = np.zeros((8, 8), np.float32)
    map_[4:] = 100
    assert unfit(map_, valid, recipe, (30, 64)).max() == 0


def test_pad_keeps_the_aspect_ratio_and_repeats_the_edge() -> None:
    image = np.full((50, 100, 3), 10, np.uint8)
    image[-10:] = (200, 30, 60)
    tensor, valid = fit(image, Recipe(80, 80))
    assert valid.tolist() == [0, 0, 40, 80]
    assert (tensor[36:] == (200, 30, 60)).all()
    assert (tensor[:30] == 10).all()
    tensor, valid = fit(image, Recipe(80, 80, resize="squash"))
    assert valid.tolist() == [0, 0, 80, 80]
    assert (tensor[66:] == (200, 30, 60)).all()


def test_shrinking_averages_even_when_the_other_side_grows() -> None:
    stripes = np.zeros((20, 400), np.uint8)
    stripes[:, ::2] = 200
    tensor, _ = fit(stripes, Recipe(40, 100, resize="squash"))
    assert tensor.shape == (40, 100, 3)
    assert (tensor == 100).all()


def test_grey_and_its_rgb_copy_become_the_same_input() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (77, 131), dtype=np.uint8)
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(fit(grey, Recipe(64, 64))[0], fit(rgb, Recipe(64, 64))[0])


@pytest.mark.parametrize("shape", [(5, 5, 4), (5,), (0, 5)])
def test_an_array_that_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=r"\[\d"):
        fit(np.zeros(shape, np.uint8), Recipe(32, 32))
    with pytest.raises(ImageError, match="not float64"):
        fit(np.zeros((5, 5)), Recipe(32, 32))  # type: ignore[arg-type]


TILINGS = (st.integers(1, 300), st.integers(1, 300), st.integers(1, 120), st.floats(0, 0.9))


@settings(max_examples=150)
@given(*TILINGS)
def test_tiles_cover_every_pixel(height: int, width: int, tile: int, overlap: float) -> None:
    tile = max(tile, height // 20, width // 20)
    covered = np.zeros((height, width), bool)
    for top, left, bottom, right in tile_boxes(height, width, tile, overlap):
        assert 0 <= top < bottom <= height
        assert 0 <= left < right <= width
        assert bottom - top == min(tile, height)
        assert right - left == min(tile, width)
        covered[top:bottom, left:right] = True
    assert covered.all()


def test_a_line_scan_gives_a_row_of_tiles_and_a_small_image_one() -> None:
    boxes = tile_boxes(256, 4096, 256, 0.25)
    assert boxes[:2] == [(0, 0, 256, 256), (0, 192, 256, 448)]
    assert boxes[-1] == (0, 3840, 256, 4096)
    assert len(boxes) == 21
    assert tile_boxes(100, 80, 256, 0.25) == [(0, 0, 100, 80)]


@settings(max_examples=60)
@given(*TILINGS)
def test_the_tiles_of_a_map_give_the_map_back(
    height: int, width: int, tile: int, overlap: float
) -> None:
    tile = max(tile, height // 12, width // 12)
    map_ = np.random.default_rng(height).normal(size=(height, width)).astype(np.float32)
    boxes = tile_boxes(height, width, tile, overlap)
    pieces = (map_[top:bottom, left:right] for top, left, bottom, right in boxes)
    np.testing.assert_allclose(stitch(pieces, boxes, map_.shape), map_, atol=1e-5)


def test_the_middle_of_a_tile_outweighs_the_border_of_its_neighbour() -> None:
    boxes = [(0, 0, 10, 100), (0, 50, 10, 150)]
    low, high = np.zeros((10, 100), np.float32), np.ones((10, 100), np.float32)
    blended = stitch([low, high], boxes, (10, 150))
    overlap = blended[5, 50:100]
    assert (np.diff(overlap) > 0).all()
    assert overlap[0] < 0.05
    assert overlap[-1] > 0.95
    with pytest.raises(ValueError, match="cover"):
        stitch([low], boxes[:1], (10, 150))


def test_crops_of_a_tiled_image_lead_back_to_the_defect() -> None:
    image = np.zeros((200, 900), np.uint8)
    image[150:158, 700:708] = 255
    recipe = Recipe(128, 128, tile=256)
    pieces = list(crops(image, recipe))
    assert [piece.box for piece in pieces][-1] == (0, 644, 200, 900)
    assert all(piece.tensor.shape == (128, 128, 3) for piece in pieces)
    maps = [unfit(cell_means(piece.tensor), piece.valid, recipe, piece.shape) for piece in pieces]
    found = stitch(maps, [piece.box for piece in pieces], image.shape)
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    assert abs(row - 154) <= 16
    assert abs(column - 704) <= 16
    (whole,) = crops(image, Recipe(128, 128))
    assert whole.box == (0, 0, 200, 900)


@settings(max_examples=150)
@given(SIDES, SIDES, st.floats(0, 1), st.floats(0, 1), RESIZES, st.integers(1, 64))
def test_a_bright_spot_returns_to_its_place_through_a_centre_crop(
    height: int, width: int, down: float, right: float, resize: str, margin: int
) -> None:
    recipe = Recipe(128, 96, resize=resize, margin=margin)
    image = np.zeros((height, width), np.uint8)
    top, left, bottom, end = centre_box(image.shape, recipe)
    row, column = top + int(down * (bottom - 1 - top)), left + int(right * (end - 1 - left))
    image[max(0, row - 4) : row + 5, max(0, column - 4) : column + 5] = 255
    (piece,) = crops(image, recipe)
    inside = unfit(cell_means(piece.tensor), piece.valid, recipe, piece.shape)
    found = surround(inside, piece.box, image.shape)
    assert found.shape == image.shape
    peak = np.unravel_index(int(found.argmax()), found.shape)
    rows = STRIDE * piece.shape[0] / piece.valid[2] + 4
    columns = STRIDE * piece.shape[1] / piece.valid[3] + 4
    assert abs(peak[0] - row) <= rows
    assert abs(peak[1] - column) <= columns


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 200))
def test_a_centre_crop_is_in_the_middle_and_never_empty(
    height: int, width: int, margin: int
) -> None:
    top, left, bottom, right = centre_box((height, width), Recipe(224, 224, margin=margin))
    assert (top, left) == (height - bottom, width - right)
    kept = 224 / (224 + 2 * margin)
    assert kept * height <= bottom - top < kept * height + 2
    assert kept * width <= right - left < kept * width + 2


def test_a_centre_crop_is_that_of_the_papers() -> None:
    """256 x 256 and then its middle 224 x 224, where the image has 256 pixels."""
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    (piece,) = crops(image, Recipe(224, 224, "squash", margin=16))
    np.testing.assert_array_equal(piece.tensor, image[16:240, 16:240])
    (larger,) = crops(image.repeat(4, 0).repeat(4, 1), Recipe(224, 224, "squash", margin=16))
    assert larger.box == (64, 64, 960, 960)
    np.testing.assert_array_equal(larger.tensor, piece.tensor)


def test_around_a_centre_crop_nothing_is_found() -> None:
    map_ = np.array([[3, 2], [5, 4]], np.float32)
    found = surround(map_, (1, 1, 3, 3), (4, 4))
    np.testing.assert_array_equal(found[1:3, 1:3], map_)
    assert found.sum() == map_.sum() + 12 * 2
    assert surround(map_, (0, 0, 2, 2), (2, 2)) is map_


def test_a_recipe_survives_json_and_refuses_nonsense() -> None:
    recipe = Recipe(256, 320, resize="squash", window=Window(12.5, 4095.0), tile=512, overlap=0.5)
    for sound in (recipe, Recipe(64, 64), Recipe(224, 224, margin=16)):
        assert read(Recipe, json.loads(json.dumps(sound.to_json()))) == sound
    with pytest.raises(ValueError, match="colour"):
        read(Recipe, {"height": 64, "width": 64, "colour": "grey"})
    for wrong in (
        *({"resize": "stretch"}, {"tile": 0}, {"overlap": 1.0}, {"height": 0}),
        *({"margin": -1}, {"margin": 16, "tile": 256}),
    ):
        with pytest.raises(ImageError):
            read(Recipe, {"height": 64, "width": 64, **wrong})
