"""The simulator of printed plates: what it promises of its pictures, masks and defects."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from running import finished

import blemish.simulator
from blemish.errors import BlemishError
from blemish.simulator import SimulatedPlate, defects, design, modalities, simulate_plate
from blemish.simulator.defect_placement import (
    APART,
    BOUND,
    NEAR,
    SMALLEST,
    VISIBLE,
    drawn_kinds,
    marked,
)
from blemish.simulator.design import LAYERS, draw_design
from blemish.simulator.printing import MARGIN, print_plate
from blemish.simulator.random_fields import PERIOD, Drift, PlateWindow, Texture
from blemish.simulator.scan import TILE, scan_window, tiles

HEIGHT, WIDTH = 560, 640
MODALITIES = ("bright_field", "dark_field", "transmission")
KINDS = (
    "dot",
    "fibre",
    "grid_defect",
    "inclusion",
    "mechanical_deformation",
    "pattern_misalignment",
    "pinhole",
    "scratch",
    "squeegee_stroke",
)


@cache
def plate(modality: str, *kinds: str, design: int = 3, seed: int = 4) -> SimulatedPlate:
    return simulate_plate(design, seed, modality, HEIGHT, WIDTH, kinds)


def test_the_modalities_and_kinds_are_those_of_the_paper() -> None:
    assert tuple(modalities.names()) == MODALITIES
    assert tuple(defects.names()) == KINDS
    area = {"grid_defect", "pattern_misalignment", "squeegee_stroke"}
    assert {kind for kind in KINDS if defects.group(kind) == "area"} == area
    assert {defects.group(kind) for kind in set(KINDS) - area} == {"points"}


@pytest.mark.parametrize("kind", ["lettering", "symbols", "rulers"])
def test_rows_of_words_symbols_and_rulers_fit_a_cell_of_any_size(kind: str) -> None:
    for seed in range(300):
        rng = np.random.default_rng(seed)
        height, width = int(rng.integers(12, 200)), int(rng.integers(12, 100))
        cell = np.zeros((len(LAYERS), height, width), np.uint8)
        design._write(cell, kind, rng)
        others = [layer for layer in range(len(LAYERS)) if layer != design.GRAPHICS]
        assert not cell[others].any()


def test_the_simulator_shares_nothing_with_what_teaches_detectors() -> None:
    folder = Path(blemish.simulator.__file__).parent
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert not name.startswith(("blemish.synthesis", "blemish.demo")), file


# --- plates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_same_seeds_give_the_same_plate_whatever_the_threads(
    modality: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("BLEMISH_THREADS", threads)
        found.append(simulate_plate(1, 2, modality, HEIGHT, WIDTH, 3))
    first, second = found
    assert first.image.dtype == np.uint8
    assert first.image.shape == first.mask.shape == (HEIGHT, WIDTH)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.mask, second.mask)
    assert [d.window for d in first.defects] == [d.window for d in second.defects]


def test_another_process_with_fewer_threads_in_its_libraries_draws_the_same(tmp_path: Path) -> None:
    code = (
        "import sys, hashlib; from blemish.simulator import simulate_plate; "
        "print(hashlib.sha256(simulate_plate(1, 2, 'dark_field', 560, 640, 3).image).hexdigest())"
    )
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "BLEMISH_THREADS")
    digests = {
        finished([], code=code, **dict.fromkeys(names, str(threads))).out for threads in (1, 2)
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def test_prints_of_one_design_differ_a_little_and_designs_a_lot() -> None:
    one, same_design = plate("bright_field"), plate("bright_field", seed=5)
    other_design = plate("bright_field", design=8)

    def unlike(a: SimulatedPlate, b: SimulatedPlate) -> float:
        small = [cv2.resize(p.image[40:-40, 60:-60], (40, 40), interpolation=cv2.INTER_AREA)
                 for p in (a, b)]  # fmt: skip
        return 1 - float(np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1])

    assert not np.array_equal(one.image, same_design.image)
    a, b = (print_plate(draw_design(3, HEIGHT, WIDTH), np.random.default_rng(s)) for s in (1, 2))
    assert not np.array_equal(a.coverage, b.coverage)
    moved = np.corrcoef(a.coverage[2].ravel(), b.coverage[2].ravel())[0, 1]
    assert moved > 0.9
    assert unlike(one, other_design) > 0.05


def test_modalities_look_as_the_paper_says() -> None:
    dark, through, bright = (plate(m).image for m in ("dark_field", "transmission", "bright_field"))
    assert np.median(dark) < 90 < np.percentile(dark, 99.9)  # bright structures on a dark ground
    bare = draw_design(3, HEIGHT, WIDTH).coverage.max(axis=0) == 0
    inner = cv2.erode(bare.astype(np.uint8), np.ones((31, 31), np.uint8)) > 0
    assert through[inner].mean() > through[~bare].mean() + 40  # the lamp shines through the foil
    assert (bright[:, 0] == 0).all()
    assert (bright[:, -1] == 0).all()
    assert bright[:, WIDTH // 2].min() > 0
    first = (bright > 0).argmax(axis=1)
    assert first.std() > 0.5  # the masked border is ragged


def test_the_direct_reflection_moves_down_the_plate() -> None:
    scan = modalities.scanner("bright_field", np.random.default_rng(1), 2000, 1500)
    centre = scan.centre.ravel()  # type: ignore[attr-defined]
    assert np.ptp(centre) > 0.1 * 1500
    assert np.abs(np.diff(centre)).max() < 3


def test_windows_meet_without_a_seam() -> None:
    printed = print_plate(draw_design(3, HEIGHT, WIDTH), np.random.default_rng(0))
    for modality in MODALITIES:
        scan = modalities.scanner(modality, np.random.default_rng(1), HEIGHT, WIDTH)
        large = scan_window(printed, scan, PlateWindow(100, 100, 400, 400), [])
        small = scan_window(printed, scan, PlateWindow(250, 200, 120, 150), [])
        assert np.abs(large[150:270, 100:250] - small).max() < 0.1


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_tiles_cover_a_plate_once(height: int, width: int) -> None:
    covered = np.zeros((height, width), np.uint8)
    for window in tiles(PlateWindow(0, 0, height, width)):
        assert max(window.shape) <= TILE
        covered[window.inside(PlateWindow(0, 0, height, width))] += 1
    assert (covered == 1).all()


def test_a_texture_repeats_and_a_drift_is_slow() -> None:
    rng = np.random.default_rng(0)
    for texture in (Texture.drawn(rng, 2.0), Texture.mesh(5.0, 0.4, 1.0)):
        here = texture.at(PlateWindow(-MARGIN, 30, 50, 60))
        assert np.array_equal(here, texture.at(PlateWindow(PERIOD - MARGIN, 30 + PERIOD, 50, 60)))
    mesh = Texture.mesh(5.0, 0.4, 1.0).values
    assert np.abs(mesh[PERIOD] - mesh[0]).max() < 1e-3
    drift = Drift.drawn(rng, 3000, 3000, 400)
    values = drift.at(PlateWindow(0, 0, 800, 800))
    assert values.std() > 0.1
    assert np.abs(np.diff(values, axis=0)).max() < 0.02


# --- defects --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("modality", MODALITIES)
def test_every_kind_shows_in_every_modality(modality: str, kind: str) -> None:
    defective, clean = plate(modality, kind), plate(modality)
    [found] = defective.defects
    assert found.kind == kind
    assert found.group == defects.group(kind)
    assert found.area == defective.mask.sum() >= SMALLEST
    whole = PlateWindow(0, 0, HEIGHT, WIDTH)
    assert np.array_equal(defective.mask[found.window.inside(whole)], found.mask)
    change = np.abs(defective.image.astype(int) - clean.image)
    strongest = np.sort(change[defective.mask])[-SMALLEST:]
    assert strongest.mean() >= 1.4 * VISIBLE
    far = cv2.dilate(defective.mask.astype(np.uint8), np.ones((2 * NEAR + 1,) * 2, np.uint8)) == 0
    assert change[far].max() <= BOUND


@settings(max_examples=12)
@given(
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.sampled_from(MODALITIES),
    st.integers(256, 480),
    st.integers(256, 480),
    st.sampled_from(KINDS),
)
def test_a_plate_with_a_defect_is_the_same_plate_elsewhere(
    design: int, seed: int, modality: str, height: int, width: int, kind: str
) -> None:
    try:
        defective = simulate_plate(design, seed, modality, height, width, [kind])
    except BlemishError:  # a small plate may have nowhere to show some kinds
        assume(False)
    clean = simulate_plate(design, seed, modality, height, width)
    far = cv2.dilate(defective.mask.astype(np.uint8), np.ones((2 * NEAR + 1,) * 2, np.uint8)) == 0
    change = np.abs(defective.image.astype(int) - clean.image)
    assert not clean.mask.any()
    assert defective.mask.any()
    assert change[far].max(initial=0) <= BOUND
    assert change[defective.mask].max() >= VISIBLE


def test_defects_keep_apart() -> None:
    found = simulate_plate(2, 3, "dark_field", 900, 1200, 8).defects
    assert len(found) == 8
    for number, one in enumerate(found):
        for other in found[:number]:
            assert one.window.grown(APART // 2).shared(other.window) is None


def test_a_pinhole_lets_the_lamp_through_and_a_fibre_does_not() -> None:
    clean = plate("transmission").image.astype(int)
    pinhole, fibre = (plate("transmission", kind) for kind in ("pinhole", "fibre"))
    assert (pinhole.image - clean)[pinhole.mask].mean() > 3
    assert (fibre.image - clean)[fibre.mask].mean() < 0


def test_a_change_that_no_eye_could_find_has_no_mask() -> None:
    extent = np.ones((60, 60), np.float32)
    change = np.zeros((60, 60), np.float32)
    change[20:30, 20:30] = 30
    assert marked(change, extent, "points", 5.0) is not None
    assert marked(change, extent, "points", 25.0) is None  # lost in the noise
    assert marked(change * 0.1, extent, "points", 0.5) is None  # too weak
    assert marked(change, extent * 0, "points", 5.0) is None  # none of the defect's doing
    few = np.zeros((60, 60), np.float32)
    few[20:22, 20:22] = 9
    assert marked(few, extent, "points", 1.0) is None  # too small


def test_kinds_are_drawn_from_both_groups() -> None:
    kinds = drawn_kinds(400, np.random.default_rng(0))
    assert set(kinds) == set(KINDS)
    points = sum(defects.group(kind) == "points" for kind in kinds)
    assert 0.6 < points / len(kinds) < 0.8


# --- what cannot be drawn -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1, 1, "x_ray", 300, 300), "there is no modality 'x_ray'; there are: bright_field"),
        ((1, 1, "dark_field", 300, 200), "200 x 300 is smaller than a patch"),
        ((1, 1, "dark_field", 300, 40_000), "40000 x 300 is too large"),
        ((1, 1, "dark_field", 300, 300, ["bubble"]), "there is no defect 'bubble'"),
        ((1, 1, "dark_field", 300, 300, 60), "has no place left"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: tuple[object, ...], words: str) -> None:
    with pytest.raises(BlemishError, match=words):
        simulate_plate(*arguments)  # type: ignore[arg-type]


def test_a_design_has_all_layers_and_is_not_to_be_written_to() -> None:
    design = draw_design(3, HEIGHT, WIDTH)
    assert design.coverage.shape == (len(LAYERS), HEIGHT, WIDTH)
    assert len(design.inks) == len(LAYERS)
    with pytest.raises(ValueError, match="read-only"):
        design.coverage[0, 0, 0] = 1


def test_a_small_plate_still_has_a_panel() -> None:
    for side in (256, 300):
        assert draw_design(1, side, side).coverage[2].mean() > 60
