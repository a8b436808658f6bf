"""Masks from a few strokes: what an overlay may be, whose it is, and what becomes of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_bytes import encoded, png16
from numpy.typing import NDArray
from pictured import save, surface
from PIL import Image
from running import Cli

from blemish.errors import BlemishError, DatasetError, ImageError
from blemish.prepare.mask_cleaning import clean_mask, fill_holes, led_by_edges
from blemish.prepare.mask_making import make_masks, mask_names
from blemish.prepare.mask_settings import MaskSettings
from blemish.prepare.pixel_classifier import samples, train
from blemish.prepare.pixel_features import bands, pixel_features
from blemish.prepare.scribbles import BACKGROUND, DEFECT, read_scribbles
from blemish.prepare.scribbles_matching import match_scribbles

SHAPE = (64, 80)
RED, GREEN, BLUE, CLEAR = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (0, 0, 0, 0)
QUICK = MaskSettings(scales=(1.0, 3.0), trees=20)


def dented(seed: int, centre: tuple[int, int] = (40, 32), dtype: str = "uint8") -> NDArray[Any]:
    """A surface with a dark round dent of radius 9."""
    pixels = surface(seed, height=SHAPE[0], width=SHAPE[1])
    cv2.circle(pixels, centre, 9, 30, -1)
    return pixels.astype(dtype) * 257 if dtype == "uint16" else pixels


def dent(centre: tuple[int, int] = (40, 32)) -> NDArray[np.bool_]:
    return cv2.circle(np.zeros(SHAPE, np.uint8), centre, 9, 1, -1) > 0


def overlay(
    centre: tuple[int, int] = (40, 32), defect: Any = RED, background: Any = GREEN
) -> NDArray[np.uint8]:
    """A stroke through the dent and one beside it, on a transparent picture."""
    drawn = np.zeros((*SHAPE, 4), np.uint8)
    x, y = centre
    drawn[y - 1 : y + 2, x - 4 : x + 5] = defect
    drawn[y - 18 : y - 15, x - 12 : x + 13] = background
    return drawn


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Three images in MVTec AD's folders, scribbles on the first two, of which one is moved."""
    for number, place in enumerate([(40, 32), (50, 36), (30, 30)]):
        save(tmp_path / f"set/test/dent/00{number}.png", dented(number, place))
        if number < 2:
            save(tmp_path / f"drawn/dent/00{number}.png", overlay(place))
    return tmp_path


def masks(cli: Cli, job: Path, *more: object) -> Any:
    setting = ["--set", "scales=1,3", "--set", "trees=20"]
    return cli(
        *("label", "masks", job / "set", "--scribbles", job / "drawn", "-o", job / "masks"),
        *setting,
        *more,
    )


def read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


# What an overlay may be.


@pytest.mark.parametrize("background", [GREEN, BLUE, (0, 200, 255, 255), (20, 160, 0, 255)])
def test_red_is_defect_and_green_or_blue_background(tmp_path: Path, background: Any) -> None:
    save(tmp_path / "a.png", overlay(background=background))
    labels = read_scribbles(tmp_path / "a.png", SHAPE)
    assert set(np.unique(labels)) == {0, BACKGROUND, DEFECT}
    assert (labels == DEFECT).sum() == 3 * 9
    assert (labels == BACKGROUND).sum() == 3 * 25


def test_every_way_to_save_an_overlay_reads_alike(tmp_path: Path) -> None:
    drawn = overlay()
    index = np.where(drawn[:, :, 0] > 0, 2, np.where(drawn[:, :, 1] > 0, 1, 0)).astype(np.uint8)
    picture = Image.fromarray(drawn)
    expected = index.tolist()
    for name, image in {
        "transparent": picture,
        "black": picture.convert("RGB"),
        "palette": picture.convert("RGB").quantize(4),
        "index": Image.fromarray(index),
        "index_rgb": Image.fromarray(np.dstack([index] * 3)),
    }.items():
        image.save(tmp_path / f"{name}.png")
        assert read_scribbles(tmp_path / f"{name}.png", SHAPE).tolist() == expected, name


def test_a_soft_brush_labels_where_it_is_more_than_half_there(tmp_path: Path) -> None:
    drawn = overlay()
    drawn[40, :, :] = (255, 0, 0, 127)
    drawn[41, :, :] = (255, 0, 0, 128)
    save(tmp_path / "a.png", drawn)
    labels = read_scribbles(tmp_path / "a.png", SHAPE)
    assert not labels[40].any()
    assert (labels[41] == DEFECT).all()


def test_what_is_hidden_by_transparency_may_have_any_colour(tmp_path: Path) -> None:
    drawn = overlay()
    drawn[drawn[:, :, 3] == 0] = (255, 255, 255, 0)
    save(tmp_path / "a.png", drawn)
    assert (read_scribbles(tmp_path / "a.png", SHAPE) > 0).sum() == 3 * 9 + 3 * 25


def yellow() -> bytes:
    drawn = overlay()
    drawn[5, 7] = (255, 255, 0, 255)
    return encoded(drawn, "PNG")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (encoded(overlay()[:-1], "PNG"), ["80 x 63", "80 x 64", "own size"]),
        (yellow(), ["(255, 255, 0)", "column 7, row 5", "neither red nor green"]),
        (encoded(np.full(SHAPE, 255, np.uint8), "PNG"), ["(255, 255, 255)"]),
        (encoded(np.zeros((*SHAPE, 4), np.uint8), "PNG"), ["are empty", "red"]),
        (encoded(np.zeros(SHAPE, np.uint8), "PNG"), ["are empty"]),
        (encoded(overlay()[:, :, :3], "JPEG"), ["JPEG", "smears", "PNG"]),
        (encoded(overlay()[:, :, :3], "BMP"), ["no PNG"]),
        (encoded(overlay(), "PNG")[:-30], ["damaged"]),
        (png16(overlay()[:, :, :3].astype(np.uint16) * 257, 2), ["16-bit", "8-bit PNG"]),
        (b"", ["empty (0 bytes)"]),
        (b"not a picture at all", ["no PNG"]),
    ],
)
def test_an_overlay_that_cannot_be_meant_is_refused(
    tmp_path: Path, content: bytes, words: list[str]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ImageError) as refusal:
        read_scribbles(path, SHAPE)
    for word in [str(path), *words]:
        assert word in str(refusal.value)


# Whose overlay it is.


def names(tmp_path: Path, images: list[str], drawn: list[str]) -> dict[str, str]:
    for folder, files in (("set", images), ("drawn", drawn)):
        for file in files:
            path = tmp_path / folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    matched = match_scribbles(tmp_path / "set", tmp_path / "drawn", tmp_path / "out")
    return {
        image: path.relative_to(tmp_path / "drawn").as_posix()
        for image, path in matched.scribbles.items()
    }


@pytest.mark.parametrize(
    ("image", "drawn"),
    [
        ("a.jpg", "a.png"),
        ("test/cut/000.jpg", "test/cut/000.png"),
        ("test/cut/000.jpg", "cut/000.png"),
        ("test/cut/000.jpg", "000_scribbles.png"),
        ("000.bmp", "test/cut/000.png"),
        ("p.12.tif", "p.12.png"),
    ],
)
def test_scribbles_are_found_by_the_end_of_their_path(
    tmp_path: Path, image: str, drawn: str
) -> None:
    others = ["test/cut/001.jpg", "test/good/002.jpg"]
    assert names(tmp_path, [image, *others], [drawn]) == {image: drawn}


def test_masks_are_no_images_and_the_nearest_name_wins(tmp_path: Path) -> None:
    images = ["ground_truth/cut/000.png", "test/cut/000.png", "test/hole/000.png", "000.png"]
    assert names(tmp_path, images, ["cut/000.png", "000.png"]) == {
        "test/cut/000.png": "cut/000.png",
        "000.png": "000.png",
    }


@pytest.mark.parametrize(
    ("images", "drawn", "words"),
    [
        (["test/cut/0.png", "test/hole/0.png"], ["0.png"], ["may be for", "test/hole/0.png"]),
        (["a.png"], ["a.png", "a_scribbles.png"], ["both scribbles for", "a_scribbles.png"]),
        (["a.png"], ["b.png"], ["no scribbles", "match", "b.png"]),
        (["a.png"], ["notes.txt"], ["holds no scribbles"]),
    ],
)
def test_scribbles_of_no_or_several_images_are_refused(
    tmp_path: Path, images: list[str], drawn: list[str], words: list[str]
) -> None:
    with pytest.raises(DatasetError) as refusal:
        names(tmp_path, images, drawn)
    for word in words:
        assert word in str(refusal.value)


def test_scribbles_among_the_images_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", overlay())
    with pytest.raises(DatasetError, match="a folder of their own"):
        match_scribbles(tmp_path, tmp_path, tmp_path / "out")


# What the classifier sees and learns.


@given(
    st.integers(1, 40),
    st.integers(1, 30),
    st.sampled_from(["uint8", "uint16", "float32"]),
    st.booleans(),
    st.integers(0, 39),
)
def test_features_of_some_rows_are_those_of_the_whole(
    height: int, width: int, dtype: str, colour: bool, row: int
) -> None:
    image = np.random.default_rng(height).uniform(0, 200, (height, width, 3)).astype(dtype)
    image = image if colour else np.ascontiguousarray(image[:, :, 0])
    row = min(row, height - 1)
    whole = pixel_features(image, (0.7, 2.0), slice(0, height))
    assert whole.shape == (height, width, (3 if colour else 1) * 17)
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()
    part = pixel_features(image, (0.7, 2.0), slice(row, row + 1))
    np.testing.assert_allclose(part, whole[row : row + 1], rtol=1e-4, atol=1e-5 * image.max())


def test_a_large_image_is_cut_into_bands_that_cover_it(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.zeros((3000, 4000, 3), np.uint8)
    cut = list(bands(image, (1.0, 10.0)))
    assert len(cut) > 10
    assert [band.start for band in cut[1:]] == [band.stop for band in cut[:-1]]
    assert (cut[0].start, cut[-1].stop) == (0, 3000)


def test_features_know_an_edge_from_a_line_and_from_a_plain() -> None:
    image = np.zeros((41, 61), np.float32)
    image[:, 20:] = 1
    image[:, 40] = 2
    features = pixel_features(image, (1.0,), slice(20, 21))[0]
    gradient, hessian = features[:, 3], features[:, 7:]
    assert gradient[20] > 0.3 > 1e-6 > gradient[5]
    assert hessian[40].min() < -0.3  # a bright line is curved downwards across itself
    assert np.abs(hessian[40]).min() < 1e-6  # and not at all along itself


def test_probabilities_are_the_same_whatever_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    image, labels = dented(3), np.zeros(SHAPE, np.uint8)
    labels[30:33, 36:45], labels[12:15, 28:50] = DEFECT, BACKGROUND
    monkeypatch.setattr("blemish.prepare.pixel_features._BAND_VALUES", 1)
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("BLEMISH_THREADS", threads)
        learnt = samples(image, labels, QUICK, np.random.default_rng(0))
        found.append(train([learnt], QUICK).probability(image))
    assert np.array_equal(*found)
    assert overlap(found[0] > 0.5, dent()) > 0.8


@pytest.mark.parametrize("label", [DEFECT, BACKGROUND])
def test_strokes_of_one_label_teach_nothing(label: int) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[30:33, 36:45] = label
    settings = MaskSettings(scales=(1.0,), elsewhere=0)
    learnt = samples(dented(0), labels, settings, np.random.default_rng(0))
    with pytest.raises(BlemishError, match=r"no scribbles of (background|defect)"):
        train([learnt], settings)


# What becomes of a probability.


def test_regions_that_no_stroke_touches_are_dropped() -> None:
    probability = np.zeros((20, 30), np.float32)
    probability[2:8, 2:8] = probability[2:8, 12:26] = 0.9
    stroke = np.zeros((20, 30), bool)
    stroke[4, 4] = True

    def kept(keep: str, drawn: NDArray[np.bool_] | None) -> list[bool]:
        mask = clean_mask(
            probability, np.zeros((20, 30), np.uint8), MaskSettings(refine=0, keep=keep), drawn
        )
        return [bool(mask[4, 4]), bool(mask[4, 20])]

    assert MaskSettings().keep == "touching"
    assert kept("touching", stroke) == [True, False]
    assert kept("largest", stroke) == [False, True]
    assert kept("all", stroke) == [True, True]
    assert kept("touching", None) == [True, True]


def test_a_doubtful_pixel_is_defect_near_a_stroke_only() -> None:
    stroke = np.zeros((9, 90), bool)
    stroke[4, 4] = True
    doubtful = np.full((9, 90), 0.45, np.float32)
    masks = [
        clean_mask(doubtful, doubtful, MaskSettings(near=near), stroke).sum() for near in (0, 0.2)
    ]
    assert masks[0] == 1
    assert 9 * 8 < masks[1] < 9 * 20


def test_a_blurred_probability_is_led_to_the_edges_of_the_image() -> None:
    true = dent()
    blurred = cv2.GaussianBlur(np.roll(true, 2, axis=1).astype(np.float32), (0, 0), 2)
    image = np.where(true, 60, 140).astype(np.uint8)
    led = led_by_edges(blurred, image, 4)
    assert overlap(blurred > 0.5, true) < 0.8 < 0.94 < overlap(led > 0.5, true)
    dark = led_by_edges(blurred, image.astype(np.uint16) * 3 + 1000, 4)
    np.testing.assert_allclose(dark, led, atol=1e-3)


def test_erosion_and_dilation_and_small_regions() -> None:
    probability = np.zeros((40, 40), np.float32)
    probability[5:25, 5:25] = probability[30:32, 30:32] = 0.9

    def area(**settings: Any) -> int:
        plain = MaskSettings(refine=0, keep="all", **settings)
        return int(clean_mask(probability, np.zeros((40, 40), np.uint8), plain).sum())

    assert area() == 404
    assert area(min_area=5) == 400
    assert area(erode=1) == 18 * 18
    assert area(dilate=1, min_area=20) == 20 * 20 + 4 * 20
    assert area(threshold=0.95) == 0


def test_what_was_drawn_is_in_the_mask() -> None:
    stroke = np.zeros((9, 9), bool)
    stroke[4, 2:7] = True
    nothing = np.zeros((9, 9), np.float32)
    assert np.array_equal(clean_mask(nothing, nothing, MaskSettings(), stroke), stroke)


@given(st.integers(0, 200), st.integers(0, 40))
def test_filling_holes_adds_holes_up_to_that_size_only(seed: int, area: int) -> None:
    mask = np.random.default_rng(seed).random((12, 14)) < 0.6
    filled = fill_holes(mask, area)
    assert (filled | mask).sum() == filled.sum()
    new = (filled & ~mask).astype(np.uint8)
    stats = cv2.connectedComponentsWithStats(new, connectivity=4)[2]
    assert (stats[1:, cv2.CC_STAT_AREA] <= area).all()
    edge = np.ones_like(mask)
    edge[1:-1, 1:-1] = False
    assert not (filled & ~mask & edge).any()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("threshold=1.5", "threshold"),
        ("scales=0", "scales"),
        ("keep=biggest", "touching, largest, all"),
        ("erode=-1", "erode"),
        ("colour=red", "has no setting 'colour'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(
    cli: Cli, job: Path, setting: str, words: str
) -> None:
    masks(cli, job, "--set", setting).refusal(words)


# The command.


def test_two_strokes_make_the_mask_of_a_dent(cli: Cli, job: Path) -> None:
    run = masks(cli, job, "--json", job / "made.json")
    assert (run.code, run.err) == (0, [])
    made = json.loads((job / "made.json").read_text(encoding="utf-8"))
    assert made["made"] == ["test/dent/000.png", "test/dent/001.png"]
    for name, centre in (("000", (40, 32)), ("001", (50, 36))):
        mask = read(job / f"masks/test/dent/{name}_mask.png")
        assert set(np.unique(mask)) == {0, 255}
        assert overlap(mask > 0, dent(centre)) > 0.7
    assert not (job / "masks/test/dent/002_mask.png").exists()
    assert read(job / "masks/contact_sheet.png").ndim == 3


def test_one_classifier_serves_the_images_without_scribbles(cli: Cli, job: Path) -> None:
    assert masks(cli, job, "--all").code == 0
    assert overlap(read(job / "masks/test/dent/002_mask.png") > 0, dent((30, 30))) > 0.7


@pytest.mark.parametrize("dtype", ["uint16", "rgb"])
def test_16_bit_and_colour_images(cli: Cli, tmp_path: Path, dtype: str) -> None:
    grey = dented(0, dtype=dtype if dtype == "uint16" else "uint8")
    save(tmp_path / "set/a.png", np.dstack([grey] * 3) if dtype == "rgb" else grey)
    save(tmp_path / "drawn/a.png", overlay())
    assert masks(cli, tmp_path).code == 0
    assert overlap(read(tmp_path / "masks/a_mask.png") > 0, dent()) > 0.8


def test_done_masks_stay_until_their_scribbles_change(cli: Cli, job: Path) -> None:
    masks(cli, job)
    (job / "masks/test/dent/001_mask.png").unlink()  # as if the command had been killed
    before = (job / "masks/test/dent/000_mask.png").stat().st_mtime_ns
    assert "1 masks made, 1 kept" in masks(cli, job).out
    assert (job / "masks/test/dent/000_mask.png").stat().st_mtime_ns == before
    save(job / "drawn/dent/001.png", overlay((50, 36), background=BLUE)[::-1])
    assert "1 masks made, 1 kept" in masks(cli, job).out
    assert "2 masks made, 0 kept" in masks(cli, job, "--set", "own=no").out


def test_an_image_with_one_label_learns_from_the_others(cli: Cli, job: Path) -> None:
    save(job / "drawn/dent/000.png", overlay(background=CLEAR))
    assert masks(cli, job).code == 0
    assert overlap(read(job / "masks/test/dent/000_mask.png") > 0, dent()) > 0.6


def test_images_that_differ_in_their_endings_alone_get_a_mask_each() -> None:
    masks = mask_names(["a/0.png", "a/0.jpg", "b/0.png", "c.1.tif"])
    assert list(masks.values()) == [
        "a/0_png_mask.png",
        "a/0_jpg_mask.png",
        "b/0_mask.png",
        "c.1_mask.png",
    ]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_mask_changed_by_hand_is_never_written_over(cli: Cli, job: Path, kind: str) -> None:
    masks(cli, job)
    path = job / "masks/test/dent/000_mask.png"
    with Image.open(path) as image:
        said = image.text
        drawn = np.array(image)
    drawn[:5] = 255
    options = {}
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        options["pnginfo"] = PngInfo()
        for key, value in said.items():
            options["pnginfo"].add_text(key, value)
    path.write_bytes(encoded(drawn, kind, **options))
    content = path.read_bytes()
    run = masks(cli, job, "--set", "erode=1")
    assert "1 masks made" in run.out
    assert "1 masks were changed by hand" in run.out
    assert path.read_bytes() == content


def test_a_stopped_command_leaves_whole_masks(job: Path) -> None:
    matched = match_scribbles(job / "set", job / "drawn", job / "masks")

    def stop(progress: Any) -> None:
        if progress.what == "making masks":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_masks(matched, job / "masks", QUICK, progress=stop)
    [left] = (path for path in (job / "masks").rglob("*") if path.is_file())
    assert left.name == "000_mask.png"
    made = make_masks(matched, job / "masks", QUICK)
    assert (len(made.made), len(made.kept)) == (1, 1)


def test_images_of_two_kinds_are_refused(cli: Cli, job: Path) -> None:
    save(job / "set/test/dent/001.png", dented(1, (50, 36), "uint16"))
    masks(cli, job).refusal("001.png is uint16 grey", "000.png is uint8 grey", "save them alike")


@pytest.mark.parametrize(
    ("defect", "background", "lacking"),
    [(CLEAR, GREEN, "defect"), (GREEN, CLEAR, "defect"), (RED, CLEAR, "background")],
)
def test_one_class_only_is_refused(
    cli: Cli, job: Path, defect: Any, background: Any, lacking: str
) -> None:
    for number in range(2):
        save(job / f"drawn/dent/00{number}.png", overlay(defect=defect, background=background))
    masks(cli, job).refusal(f"no scribbles of {lacking}", "red")
    assert not (job / "masks").exists()


def test_an_image_that_is_cut_off_is_named(cli: Cli, job: Path) -> None:
    path = job / "set/test/dent/001.png"
    path.write_bytes(path.read_bytes()[:-40])
    masks(cli, job).refusal(path, "damaged")


def test_scribbles_without_an_image_are_told(cli: Cli, job: Path) -> None:
    save(job / "drawn/dent/777.png", overlay())
    run = masks(cli, job)
    assert run.code == 0
    assert run.err == [f"WARNING: 1 scribbles have no image: {job}/drawn/dent/777.png"]


def test_a_missing_scikit_learn_is_one_sentence(
    cli: Cli, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    masks(cli, job).refusal("scikit-learn", "pip install 'blemish[label]'")
