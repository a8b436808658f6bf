"""Looking at images, and verdicts on parts, in the pixels of the original image."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from plates import dent_box, dent_mask, dented, plate, save, save_good
from running import Cli

from blemish.errors import ImageError
from blemish.features.session import open_session
from blemish.images import crops
from blemish.inspector import Inspector, Region, Verdict, regions
from blemish.model.artifact import Artifact, open_artifact

Box = tuple[int, int, int, int]


@pytest.fixture(scope="module")
def artifact(model: Path) -> Artifact:
    return open_artifact(model)


@pytest.fixture(scope="module")
def inspector(artifact: Artifact) -> Inspector:
    return Inspector.of(artifact)


def with_calibration(artifact: Artifact, **changes: Any) -> Inspector:
    """The same model with other entries in its card's calibration."""
    card = artifact.card.with_calibration(replace(artifact.card.calibration, **changes))
    return Inspector(artifact.model, card.recipe, card, "changed")


def overlap(a: Box, b: Box) -> int:
    height = min(a[2], b[2]) - max(a[0], b[0])
    width = min(a[3], b[3]) - max(a[1], b[1])
    return max(0, height) * max(0, width)


# One image.


def test_a_look_has_a_score_and_a_map_in_the_image_s_pixels(inspector: Inspector) -> None:
    look = inspector.look(dented(200))
    assert look.shape == look.map.shape == (80, 100)
    assert look.map.dtype == np.float32
    assert np.isfinite(look.map).all()
    assert look.map.max() <= look.peak * 1.0001
    assert look.score > inspector.look(plate(200)).score


def test_a_file_scores_like_its_pixels(inspector: Inspector, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", dented(201))
    assert inspector.inspect(str(path)).to_json() == inspector.inspect(path).to_json()
    assert inspector.look(path).score == inspector.look(dented(201)).score


def test_a_grey_image_scores_like_the_same_in_rgb(inspector: Inspector, tmp_path: Path) -> None:
    grey = cv2.cvtColor(plate(7), cv2.COLOR_RGB2GRAY)
    score = inspector.look(grey).score
    assert inspector.look(np.repeat(grey[..., None], 3, axis=2)).score == score
    assert inspector.look(save(tmp_path / "grey.png", grey)).score == score


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((80, 100, 3), np.float32), "not float32"),
        (np.zeros((80, 100), np.uint16), "not uint16"),
        (np.zeros((80, 100, 4), np.uint8), r"\[80, 100, 4\]"),
        (np.zeros((0, 100, 3), np.uint8), "no pixels"),
    ],
)
def test_pixels_of_another_kind_are_refused(inspector: Inspector, pixels: Any, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        inspector.look(pixels)


def test_any_size_of_image_is_looked_at(inspector: Inspector) -> None:
    for shape in ((1, 1), (17, 300), (300, 17), (64, 64), (257, 129)):
        look = inspector.look(plate(0, shape))
        assert look.map.shape == shape
        assert np.isfinite(look.score)


# Verdicts.


def test_a_verdict_as_json(inspector: Inspector, plates: Path) -> None:
    verdict = inspector.inspect(plates / "test/dent/200.png", "plate 200")
    values = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert list(values) == [
        *("part", "decision", "score", "threshold", "views", "missing_views", "model")
    ]
    assert values["part"] == "plate 200"
    assert values["decision"] == "reject"
    assert values["score"] > values["threshold"] == inspector.threshold
    assert values["missing_views"] == []
    assert values["model"] == inspector.name
    [view] = values["views"]
    assert list(view) == ["image", "view", "score", "regions"]
    assert view["image"].endswith("200.png")
    assert (view["view"], view["score"]) == (None, values["score"])
    for region in view["regions"]:
        assert list(region) == ["box", "area", "peak", "value"]


def test_a_part_is_rejected_if_and_only_if_its_score_is_above_the_threshold(
    artifact: Artifact, inspector: Inspector
) -> None:
    score = inspector.look(plate(150)).score
    at = with_calibration(artifact, threshold=score)
    assert at.inspect(plate(150)).decision == "pass"
    just_below = with_calibration(artifact, threshold=float(np.nextafter(score, 0)))
    assert just_below.inspect(plate(150)).decision == "reject"


def test_only_rejected_images_have_regions_and_they_always_have_one(
    artifact: Artifact, inspector: Inspector
) -> None:
    passed = inspector.inspect(plate(103))
    assert passed.decision == "pass"
    assert passed.views[0].regions == ()
    # Even where no place reaches the map threshold, a person is shown the worst one.
    strict = with_calibration(artifact, threshold=0.0, map_threshold=1e6)
    [view] = strict.inspect(plate(103)).views
    assert len(view.regions) >= 1
    assert view.regions[0].value == pytest.approx(view.look.map.max())


def test_the_worst_view_decides(inspector: Inspector) -> None:
    verdict = inspector.inspect([("top", plate(104)), ("side", dented(200))], "p")
    top, side = verdict.views
    assert verdict.decision == "reject"
    assert verdict.score == side.score > top.score
    assert (top.view, side.view) == ("top", "side")


def test_a_missing_view_is_never_a_pass(artifact: Artifact) -> None:
    needs_two = with_calibration(artifact, required_views=["side", "top"])

    def decided(*pairs: tuple[str | None, Any]) -> tuple[str, tuple[str, ...]]:
        verdict: Verdict = needs_two.inspect(list(pairs), "p")
        return verdict.decision, verdict.missing

    good, bad = plate(104), dented(200)
    assert decided(("top", good), ("side", plate(105))) == ("pass", ())
    assert decided(("top", good)) == ("incomplete", ("side",))
    assert decided((None, good)) == ("incomplete", ("side", "top"))
    assert decided(("top", bad)) == ("reject", ("side",))
    assert decided(("top", good), ("top", bad), ("side", good)) == ("reject", ())
    assert decided(("top", good), ("side", good), ("back", bad)) == ("reject", ())


def test_a_part_without_an_image_is_an_error(inspector: Inspector) -> None:
    with pytest.raises(ImageError, match="has no view"):
        inspector.inspect([], "p")


# Regions.


def test_the_halo_of_a_clear_defect_is_not_part_of_its_region() -> None:
    map_ = np.full((20, 30), 0.6, np.float32)  # all of it above the level
    map_[8:12, 10:14] = 4.0
    assert regions(map_, 0.5) == (Region((8, 10, 12, 14), 16, (8, 10), 4.0),)


def test_regions_are_connected_places_the_worst_first() -> None:
    map_ = np.zeros((20, 30), np.float32)
    map_[2:5, 3:9] = 1.0
    map_[3, 7] = 1.25
    map_[10, 10] = map_[11, 11] = 3.0  # touching at a corner is one place
    map_[12, 12] = 4.0
    map_[18:20, 28:30] = 0.5  # not above the level
    assert regions(map_, 0.5) == (
        Region((10, 10, 13, 13), 3, (12, 12), 4.0),
        Region((2, 3, 5, 9), 18, (3, 7), 1.25),
    )
    assert regions(map_, 9.0) == ()


def test_the_peak_of_a_region_is_its_own() -> None:
    """One place lies inside the box of another, which is not its own peak."""
    map_ = np.zeros((9, 9), np.float32)
    map_[0, :] = map_[:, 0] = map_[8, :] = map_[:, 8] = 1.0
    map_[4, 4] = 5.0
    inner, ring = regions(map_, 0.5)
    assert (inner.box, inner.area, inner.peak) == ((4, 4, 5, 5), 1, (4, 4))
    assert (ring.box, ring.area, ring.value) == ((0, 0, 9, 9), 32, 1.0)


# Where a defect is, in original pixels, for every way of getting an image into the model.

WIDE = (96, 240)
QUICK = ("--detector", "patchcore", "--set", "bank=200")


def trained(cli: Cli, folder: Path, shape: tuple[int, int], *options: object) -> Inspector:
    good = save_good(folder / "good", range(16), shape)
    run = cli("train", good, "-o", folder / "m.blemish", *QUICK, *options)
    assert run.code == 0, run.err
    return Inspector.open(folder / "m.blemish")


def check_place(inspector: Inspector, shape: tuple[int, int], seed: int) -> None:
    """The worst region lies on the dent, and all its figures agree with the map."""
    planted = dent_box(seed, shape)
    [view] = inspector.inspect(dented(seed, shape)).views
    worst = view.regions[0]
    top, left, bottom, right = worst.box
    assert overlap(worst.box, planted) >= 0.5 * overlap(planted, planted)
    assert overlap(worst.box, worst.box) < 0.75 * shape[0] * shape[1]
    row, column = worst.peak
    assert top <= row < bottom
    assert left <= column < right
    assert planted[0] - 12 <= row < planted[2] + 12
    assert planted[1] - 12 <= column < planted[3] + 12
    assert 0 < worst.area <= (bottom - top) * (right - left)
    assert view.look.map[row, column] == worst.value == view.look.map.max()
    inside = dent_mask(seed, shape) > 0
    assert view.look.map[inside].mean() > 1.5 * view.look.map[~inside].mean()


@pytest.mark.parametrize("resize", ["squash", "pad"])
def test_a_defect_is_placed_in_a_wide_image(cli: Cli, tmp_path: Path, resize: str) -> None:
    inspector = trained(cli, tmp_path, WIDE, "--size", 128, "--resize", resize)
    assert inspector.recipe.resize == resize
    for seed in (203, 206):
        check_place(inspector, WIDE, seed)
    assert inspector.inspect(plate(300, WIDE)).views[0].look.map.shape == WIDE


def test_a_defect_is_placed_in_a_large_image_by_tiles(cli: Cli, tmp_path: Path) -> None:
    shape = (150, 260)
    inspector = trained(cli, tmp_path, shape, "--size", 64, "--tile", 64)
    assert inspector.recipe.tile == 64
    for seed in (200, 203):
        check_place(inspector, shape, seed)
    # The tiles come from the card: nobody says so at inspection.
    file = save(tmp_path / "new.png", dented(205, shape))
    run = cli("inspect", tmp_path / "m.blemish", file, "--json", "-")
    [verdict] = json.loads(run.out)
    assert verdict["decision"] == "reject"
    [view] = verdict["views"]
    assert overlap(view["regions"][0]["box"], dent_box(205, shape)) > 100


def test_the_score_of_tiles_is_that_of_the_worst_tile(cli: Cli, tmp_path: Path) -> None:
    inspector = trained(cli, tmp_path, (150, 260), "--size", 64, "--tile", 64)
    image = dented(200, (150, 260))
    whole = inspector.look(image).score
    pieces = [
        inspector.look(image[top : top + 64, left : left + 64]).score
        for top in (0, 48, 86)
        for left in (0, 48, 96, 144, 192, 196)
    ]
    assert whole == pytest.approx(max(pieces), rel=1e-5)


def test_a_centre_crop_reports_places_in_the_whole_image(cli: Cli, tmp_path: Path) -> None:
    shape = (128, 192)
    inspector = trained(cli, tmp_path, shape, "--size", 128, "--crop", 96)
    assert (inspector.recipe.width, inspector.recipe.margin) == (96, 16)
    image = plate(300, shape)
    image[50:66, 120:136] = 20
    [view] = inspector.inspect(image).views
    assert view.look.seen == (16, 24, 112, 168)
    assert view.look.map.shape == shape
    assert overlap(view.regions[0].box, (50, 120, 66, 136)) >= 128
    # Nobody looked at the rim: whatever is there, the score is the same and nothing is found.
    rim = plate(300, shape)
    score = inspector.look(rim).score
    rim[:14, :] = rim[:, 170:] = 0
    blind = inspector.look(rim)
    assert blind.score == score
    assert (blind.map[:14] == blind.map.min()).all()


def test_padding_has_no_part_in_the_score(cli: Cli, tmp_path: Path) -> None:
    """The score and the peak are those of the cells under the picture."""
    inspector = trained(cli, tmp_path, WIDE, "--size", 128, "--resize", "pad")
    [crop] = crops(dented(206, WIDE), inspector.recipe)
    feed = {"image": crop.tensor[None], "valid": crop.valid[None]}
    [map_], [score] = open_session(inspector_model(tmp_path)).run(["map", "score"], feed)
    below = map_[: int(np.ceil(crop.valid[2] / 8))]
    assert len(below) == 7 < len(map_) == 16
    look = inspector.look(dented(206, WIDE))
    assert look.score == score
    assert look.peak == below.max() == pytest.approx(score)
    assert look.map.max() <= below.max() * 1.0001
    crop.tensor[104:] = np.random.default_rng(0).integers(0, 255, (24, 128, 3))
    [loud], [same] = open_session(inspector_model(tmp_path)).run(["map", "score"], feed)
    assert loud[13:].max() > same


def inspector_model(folder: Path) -> bytes:
    return open_artifact(folder / "m.blemish").model
