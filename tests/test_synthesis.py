"""Defect generators: the contract for every one of them, and what is special to each."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plates import plate, save

from blemish.errors import BlemishError, ImageError
from blemish.synthesis import (
    generator_names,
    open_generator,
    preset_names,
    settings_of,
    takes_sources,
)
from blemish.synthesis._noise import perlin
from blemish.synthesis._poisson import blend
from blemish.synthesis._textures import TEXTURES
from blemish.synthesis.conformance import CLAUSES, GeneratorCase, picture
from blemish.synthesis.visible import Greys, PixelChange, first_visible, noise_of

NAMES = ["cutpaste", "cutpaste_scar", "nsa", "perlin", "random_walk"]


def grain(side: int = 256, seed: int = 0, noise: float = 4.0) -> np.ndarray:
    """A smooth grey surface with noise, uint8."""
    rng = np.random.default_rng(seed)
    waves = 8 * np.sin(np.arange(side) / 20)
    return np.clip(128 + waves + rng.normal(0, noise, (side, side)), 0, 255).astype(np.uint8)


def extent(mask: np.ndarray) -> int:
    rows, columns = np.nonzero(mask)
    return max(int(np.ptp(rows)), int(np.ptp(columns))) + 1


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("name", generator_names())
def test_every_generator_keeps_the_contract(name, clause):
    clause(GeneratorCase(name))


def test_generators_are_found_by_their_file():
    assert generator_names() == NAMES


@given(
    name=st.sampled_from(NAMES),
    shape=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    kind=st.sampled_from(["grey", "colour", "deep", "deep colour"]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_a_mask_holds_every_pixel_that_changed_visibly(name, shape, kind, seed):
    image = picture(shape, kind, seed)
    before = image.copy()
    after = open_generator(name)(image, np.random.default_rng(seed))
    again = open_generator(name)(image, np.random.default_rng(seed))
    assert np.array_equal(after.image, again.image)
    assert np.array_equal(image, before)
    step = np.abs(after.image.astype(int) - image)
    step = step.max(axis=2) if step.ndim == 3 else step
    level = 16 if image.dtype == np.uint16 else 1
    # Where there is print a window may be much noisier than the picture.
    assert step[~after.mask].max(initial=0) <= 10 * max(3 * level, noise_of(image))
    assert after.image.max() <= Greys.of(image).top
    if after.mask.any():
        assert step[after.mask].max() >= 6 * level
    else:
        assert not step.any()


@pytest.mark.parametrize("name", NAMES)
def test_a_large_image_is_taken(name):
    image = cv2.resize(picture((256, 256)), (2048, 1536))
    after = open_generator(name)(image, np.random.default_rng(1))
    assert after.image.shape == image.shape


# What can be seen


@given(
    seed=st.integers(0, 10**6),
    noise=st.floats(0, 20),
    size=st.floats(0, 60),
    gap=st.sampled_from([3, 5, 9]),
)
@settings(max_examples=100)
def test_outside_the_mask_nothing_exceeds_the_bound(seed, noise, size, gap):
    rng = np.random.default_rng(seed)
    image = rng.integers(60, 200, (40, 50), dtype=np.uint8)
    field = cv2.GaussianBlur(rng.normal(0, 1, (30, 32)).astype(np.float32), (0, 0), 2)
    values = image[5:35, 9:41] + np.float32(size / np.abs(field).max()) * field
    after = first_visible(image, lambda _: PixelChange(5, 9, values, noise, gap))
    step = np.abs(after.image.astype(int) - image)
    assert step[~after.mask].max() <= np.float32(max(3, noise))  # the precision of the bound
    count, labels = cv2.connectedComponents(after.mask.astype(np.uint8))
    for spot in range(1, count):
        assert (labels == spot).sum() >= 6
        assert step[labels == spot].max() > max(3, noise)


def drawn_step(image: np.ndarray, size: float, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A square of that step and side drawn on an image, with a rim of two levels."""
    values = image[10:40, 10:40].astype(np.float32)
    values[:, :] += 2
    values[5 : 5 + side, 5 : 5 + side] += size
    noise = noise_of(image)
    after = first_visible(image, lambda _: PixelChange(10, 10, values, noise))
    return after.image, after.mask


def test_a_step_in_the_noise_is_not_claimed():
    image = grain(64, noise=8)
    changed, mask = drawn_step(image, 5, 6)
    assert not mask.any()
    assert np.array_equal(changed, image)


def test_a_step_above_the_noise_is_claimed_and_the_rim_is_not():
    image = grain(64)
    changed, mask = drawn_step(image, 30, 6)
    assert mask.sum() == 36
    assert mask[15:21, 15:21].all()
    assert (changed[mask].astype(int) - image[mask] >= 30).all()
    assert changed[12, 12] == image[12, 12] + 2


def test_a_speck_is_no_defect():
    assert not drawn_step(grain(64), 100, 2)[1].any()


def test_pixels_beyond_the_bound_that_belong_to_no_visible_spot_are_put_back():
    image = grain(64)
    values = image[10:40, 10:40].astype(np.float32)
    values[5:12, 5:12] += 40
    values[20, 20] += 40
    after = first_visible(image, lambda _: PixelChange(10, 10, values, 4.0))
    assert after.mask.sum() == 49
    assert after.image[30, 30] == image[30, 30]


def test_grain_pasted_over_grain_is_not_claimed():
    image, other = grain(64, seed=1), grain(64, seed=2)
    after = first_visible(
        image,
        lambda _: PixelChange(8, 8, other[8:48, 8:48].astype(np.float32), noise_of(image), gap=9),
    )
    assert not after.mask.any()


def test_what_is_never_visible_is_tried_ten_times():
    tries = []
    image = grain(32)
    after = first_visible(image, lambda greys: tries.append(greys))
    assert len(tries) == 10
    assert np.array_equal(after.image, image)
    assert not after.mask.any()


def test_noise_is_told_whatever_the_depth():
    rng = np.random.default_rng(0)
    for deviation in (2.0, 20.0, 200.0):
        values = rng.normal(2000, deviation, (300, 300)).astype(np.uint16)
        assert noise_of(values) == pytest.approx(deviation, rel=0.08)
    assert noise_of(np.zeros((8, 8), np.uint8)) == 0


@pytest.mark.parametrize(("highest", "top"), [(10, 255), (1000, 1023), (4095, 4095), (4096, 8191)])
def test_16_bit_pixels_stay_in_their_own_full_scale(highest, top):
    assert Greys.of(np.array([[0, highest]], np.uint16)).top == top


# Settings


def test_an_unknown_generator_preset_or_setting_names_the_nearest():
    with pytest.raises(BlemishError, match=r"no generator 'cutpast'.*did you mean 'cutpaste'\?"):
        open_generator("cutpast")
    with pytest.raises(BlemishError, match=r"no preset 'darkfield'.*did you mean 'dark_field'\?"):
        open_generator("random_walk", preset="darkfield")
    with pytest.raises(BlemishError, match=r"no setting 'strengt'.*did you mean 'strength'\?"):
        open_generator("random_walk", {"strengt": "3,4"})
    with pytest.raises(BlemishError, match="no setting 'sources'"):
        open_generator("nsa", {"sources": "folder"})


@pytest.mark.parametrize(
    ("name", "key", "value", "rule"),
    [
        ("random_walk", "elongated", "1.5", "between 0 and 1"),
        ("random_walk", "strength", "8,3", "LOW,HIGH"),
        ("random_walk", "strength", "3", "LOW,HIGH"),
        ("random_walk", "blur", "nan,1", "cannot be 'nan,1'"),
        ("random_walk", "scale", "0", "between 0.1 and 100"),
        ("random_walk", "strength", "a,b", "cannot be"),
        ("cutpaste", "area", "0.1,2", "at most 1"),
        ("cutpaste_scar", "width", "0,3", "at least 1"),
        ("nsa", "pieces", "0", "between 1 and 100"),
        ("nsa", "least", "0", "above 0"),
        ("perlin", "texture", "wood", "blocks, cells, clouds, grating"),
        ("perlin", "through", "0,2", "at most 1"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name, key, value, rule):
    with pytest.raises(BlemishError, match=f"setting {key}.*{rule}"):
        open_generator(name, {key: value})


def test_settings_come_after_the_preset():
    walk = open_generator("random_walk", {"elongated": "0.25"}, preset="dark_field")
    told = settings_of(walk)
    assert (told["elongated"], told["brighter"]) == (0.25, 0.95)
    assert "sources" not in settings_of(open_generator("nsa"))


# The random walk


@pytest.mark.parametrize(
    ("preset", "areas", "extents"),
    [
        # The ranges around 14, 49, 137 and 26, 93, 451 pixels; 5, 9, 17 and 9, 25, 63 pixels.
        ("punctual", [(9, 25), (35, 80), (90, 210)], [(3, 8), (7, 13), (12, 25)]),
        ("elongated", [(16, 50), (60, 160), (250, 700)], [(6, 14), (18, 35), (45, 90)]),
    ],
)
def test_points_and_lines_have_the_expected_size(preset, areas, extents):
    walk, image = open_generator("random_walk", preset=preset), grain()
    masks = [walk(image, np.random.default_rng(seed)).mask for seed in range(200)]
    assert all(mask.any() for mask in masks)
    for sizes, limits in (([int(m.sum()) for m in masks], areas), (map(extent, masks), extents)):
        found = np.percentile(list(sizes), [5, 50, 95])
        for value, (low, high) in zip(found, limits, strict=True):
            assert low <= value <= high, found


def test_dark_field_defects_are_mostly_bright():
    image = grain()
    signs = []
    for preset in ("dark_field", "bright_field"):
        walk = open_generator("random_walk", {"bipolar": "0"}, preset=preset)
        drawn = [walk(image, np.random.default_rng(seed)) for seed in range(40)]
        steps = [np.mean(d.image[d.mask].astype(int) - image[d.mask]) for d in drawn]
        signs.append(np.mean(np.array(steps) > 0))
    assert signs[0] > 0.8
    assert signs[1] < 0.5


def test_a_path_starts_on_the_part_and_not_on_its_background():
    image = np.full((128, 128), 10, np.uint8)
    image[50:80, 50:80] = 150
    walk = open_generator("random_walk", {"background": "0,50"}, preset="punctual")
    found = [walk(image, np.random.default_rng(seed)).mask for seed in range(30)]
    assert all(mask[40:90, 40:90].any() for mask in found if mask.any())
    assert any(mask.any() for mask in found)


def test_scale_enlarges_a_defect():
    image = grain(512)
    areas = []
    for scale in ("1", "3"):
        walk = open_generator("random_walk", {"scale": scale}, preset="punctual")
        areas.append(
            np.median([walk(image, np.random.default_rng(s)).mask.sum() for s in range(9)])
        )
    assert areas[1] > 4 * areas[0]


# Perlin, CutPaste and NSA


def test_perlin_noise_is_smooth_zero_at_its_nodes_and_between_minus_one_and_one():
    field = perlin((200, 300), (4, 6), np.random.default_rng(0))
    assert np.abs(field).max() <= 1
    assert np.abs(np.diff(field, axis=0)).max() < 0.15
    assert np.abs(field[::50, ::50]).max() < 0.05


@pytest.mark.parametrize("name", sorted(TEXTURES))
def test_a_procedural_texture_can_be_chosen(name):
    image = picture((64, 64))
    perlin_shapes = open_generator("perlin", {"texture": name})
    masks = [perlin_shapes(image, np.random.default_rng(seed)).mask for seed in range(4)]
    assert any(mask.any() for mask in masks)


def test_blending_keeps_the_border_and_the_gradients_of_the_piece():
    rng = np.random.default_rng(0)
    under, piece = (rng.normal(size=(13, 21)).astype(np.float32) for _ in range(2))
    blended = blend(under, piece)
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        assert np.allclose(blended[edge], under[edge], atol=1e-5)

    def curvature(field: np.ndarray) -> np.ndarray:
        near = field[1:-1, 2:] + field[1:-1, :-2] + field[2:, 1:-1] + field[:-2, 1:-1]
        return near - 4 * field[1:-1, 1:-1]

    assert np.allclose(curvature(blended), curvature(piece), atol=1e-4)


def test_a_constant_piece_blends_into_a_plane_without_a_trace():
    under = np.add.outer(np.arange(9.0), np.arange(12.0)).astype(np.float32)
    assert np.allclose(blend(under, np.full_like(under, 77)), under, atol=1e-4)


def test_sources_may_be_paths_or_arrays_of_another_size_depth_and_colour(tmp_path):
    image = picture((64, 64), "deep")
    path = save(tmp_path / "other.png", plate(3))
    for name in filter(takes_sources, NAMES):
        for source in (path, plate(3), plate(3, (9, 200)), picture((40, 40), "deep colour")):
            generator = open_generator(name, sources=[source])
            after = [generator(image, np.random.default_rng(seed)) for seed in range(5)]
            assert any(a.mask.any() for a in after)
            assert max(a.image.max() for a in after) <= 4095


def test_a_bad_source_is_named(tmp_path):
    text = tmp_path / "text.png"
    text.write_text("no image", encoding="utf-8")
    for name in filter(takes_sources, NAMES):
        with pytest.raises(ImageError, match=r"text\.png"):
            open_generator(name, sources=[text])(picture((64, 64)), np.random.default_rng(0))
    with pytest.raises(ImageError, match="float32"):
        open_generator("nsa", sources=[np.zeros((9, 9), np.float32)])(
            picture((64, 64)), np.random.default_rng(0)
        )
    with pytest.raises(BlemishError, match="cutpaste takes nothing from other images; nsa, perlin"):
        open_generator("cutpaste", sources=[text])


def test_nsa_leaves_the_background_alone():
    image = np.full((96, 96), 10, np.uint8)
    image[:, 48:] = picture((96, 48)) // 2 + 100
    nsa = open_generator("nsa", {"background": "0,50", "overlap": "1"})
    drawn = [nsa(image, np.random.default_rng(seed)) for seed in range(20)]
    assert any(d.mask.any() for d in drawn)
    assert not any(d.mask[:, :48].any() for d in drawn)


def test_every_generator_has_presets_or_none():
    assert preset_names("random_walk")[:3] == ["dark_field", "transmission", "bright_field"]
    assert preset_names("cutpaste") == []
