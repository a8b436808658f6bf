"""A survey tells of every image what can be read, its size, its grey values and its regions."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from image_bytes import png16
from pictured import dataset, save, surface

from blemish.dataset import survey as module
from blemish.dataset.mask_regions import MOST_REGIONS, regions_of
from blemish.dataset.survey import SURVEY, fingerprint, look_at, survey
from blemish.util.progress import Progress
from blemish.util.threads import in_order


def test_what_one_image_and_its_mask_tell(tmp_path: Path) -> None:
    checks = np.indices((40, 60)).sum(axis=0) % 2 * np.uint8(100) + np.uint8(50)
    save(tmp_path / "a.png", checks.astype(np.uint8))
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 5:45] = 255
    mask[30, 50] = 255
    save(tmp_path / "a_mask.png", mask)
    data = dataset(tmp_path, [{"image": "a.png", "mask": "a_mask.png", "label": "defective"}])
    table = survey(data)
    assert table.schema == SURVEY
    [look] = table.to_dicts()
    hash_, thumbnail = look.pop("hash"), look.pop("thumbnail")
    assert (hash_, thumbnail) == fingerprint(checks.astype(np.uint8))
    assert look == {
        "error": None,
        "bytes": (tmp_path / "a.png").stat().st_size,
        "height": 40,
        "width": 60,
        "channels": 1,
        "depth": "uint8",
        "brightness": 100.0,
        "contrast": pytest.approx(50.0),
        "sharpness": pytest.approx(400.0**2),
        "brightness_outside": pytest.approx(100.0, abs=0.2),
        "contrast_outside": pytest.approx(50.0, abs=0.2),
        "sharpness_outside": pytest.approx(400.0**2, rel=1e-3),
        "mask_error": None,
        "mask_greys": 0,
        "foreground": pytest.approx(401 / 2400),
        "mask_border": 0.0,
        "regions": 2,
        "region_shares": pytest.approx([1 / 2400, 400 / 2400]),
        "region_aspects": pytest.approx([1.0, 4.0]),
    }


def test_an_unreadable_image_is_a_row_with_the_reason(tmp_path: Path) -> None:
    save(tmp_path / "whole.png", surface(1))
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(data[: len(data) // 2])
    rows = [{"image": name} for name in ("half.png", "whole.png", "gone.png")]
    table = survey(dataset(tmp_path, rows))
    reasons = table["error"].to_list()
    assert "half.png is damaged" in reasons[0]
    assert reasons[1] is None
    assert "gone.png does not exist" in reasons[2]
    assert table["bytes"].to_list() == [len(data) // 2, len(data), None]
    assert table["width"].to_list() == [None, 128, None]


def test_a_mask_of_another_size_and_one_with_greys(tmp_path: Path) -> None:
    save(tmp_path / "a.png", surface(1))
    save(tmp_path / "small.png", np.zeros((9, 9), np.uint8))
    soft = cv2.circle(np.zeros((96, 128), np.uint8), (60, 40), 12, 255, -1, cv2.LINE_AA)
    save(tmp_path / "soft.png", soft)
    rows = [{"image": "a.png", "mask": mask} for mask in ("small.png", "soft.png", None)]
    table = survey(dataset(tmp_path, rows))
    assert "small.png is 9 x 9 pixels" in table["mask_error"][0]
    assert table["mask_greys"].to_list() == [None, int(((soft > 0) & (soft < 255)).sum()), None]
    assert table["mask_greys"][1] > 0
    assert table["regions"].to_list() == [None, 1, None]


def test_depth_and_colour(tmp_path: Path) -> None:
    deep = surface(1).astype(np.uint16) * 16
    (tmp_path / "deep.png").write_bytes(png16(deep, 0))
    save(tmp_path / "colour.png", np.dstack([surface(1)] * 3))
    save(tmp_path / "grey.png", surface(1))
    rows = [{"image": name} for name in ("deep.png", "colour.png", "grey.png")]
    table = survey(dataset(tmp_path, rows))
    assert table["depth"].to_list() == ["uint16", "uint8", "uint8"]
    assert table["channels"].to_list() == [1, 3, 1]
    assert table["brightness"][0] == pytest.approx(16 * table["brightness"][2])
    assert table["contrast"][1] == pytest.approx(table["contrast"][2])
    assert table["hash"].n_unique() == 1


def test_a_very_large_image_is_measured_on_bands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "scan.png", surface(5, height=600, width=200))
    whole = look_at(tmp_path / "scan.png", None)
    monkeypatch.setattr(module, "MOST_PIXELS", 200 * 160)
    part = look_at(tmp_path / "scan.png", None)
    assert part["brightness"] == pytest.approx(whole["brightness"], rel=0.05)
    assert part["contrast"] == pytest.approx(whole["contrast"], rel=0.2)
    assert part["sharpness"] == pytest.approx(whole["sharpness"], rel=0.2)
    assert part["brightness"] != whole["brightness"]
    assert (part["height"], part["width"]) == (600, 200)


def test_one_grey_has_no_sharpness_at_all(tmp_path: Path) -> None:
    save(tmp_path / "blank.png", np.full((50, 70), 77, np.uint8))
    look = look_at(tmp_path / "blank.png", None)
    assert (look["brightness"], look["sharpness"]) == (77, 0)


def test_the_hash_of_a_ramp() -> None:
    ramp = np.tile(np.arange(0, 144, dtype=np.uint8), (64, 1))
    assert fingerprint(ramp)[0] == 2**64 - 1
    assert fingerprint(ramp[:, ::-1].copy())[0] == 0


def test_progress_and_order_hold_with_threads(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(30)]
    for number, name in enumerate(names):
        save(tmp_path / name, np.full((4, 4 + number), number, np.uint8))
    told: list[Progress] = []
    table = survey(
        dataset(tmp_path, [{"image": n} for n in names]), threads=3, progress=told.append
    )
    assert table["width"].to_list() == list(range(4, 34))
    assert told[-1] == Progress("looking at images", 30, 30)
    assert [progress.done for progress in told] == list(range(1, 31))


def test_an_empty_data_set_has_an_empty_survey(tmp_path: Path) -> None:
    data = dataset(tmp_path, [{"image": "a.png"}]).take([])
    assert survey(data).shape == (0, len(SURVEY))


def test_few_results_wait_in_memory() -> None:
    taken = 0

    def items():
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = in_order(lambda number: number * number, items(), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert taken < 50
    assert sum(results) == sum(n * n for n in range(3, 1000))


def test_regions_are_those_of_8_connectivity() -> None:
    rng = np.random.default_rng(0)
    mask = cv2.GaussianBlur(rng.normal(size=(200, 300)), (0, 0), 3) > 0.05
    count, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    assert regions_of(mask).count == count - 1


def test_a_region_in_the_hole_of_another_counts() -> None:
    mask = np.zeros((50, 50), bool)
    mask[5:45, 5:45] = True
    mask[10:40, 10:40] = False
    mask[20:24, 20:32] = True
    regions = regions_of(mask)
    assert sorted(regions.aspects) == pytest.approx([1.0, 3.0])
    assert sorted(regions.shares) == pytest.approx([48 / 2500, 1600 / 2500])


def test_a_slanted_region_is_measured_along_its_own_axes() -> None:
    mask = np.zeros((200, 200), np.uint8)
    cv2.line(mask, (20, 30), (160, 170), 1, 9)
    [aspect] = regions_of(mask.astype(bool)).aspects
    assert 15 < aspect < 24


def test_a_mask_of_noise_keeps_some_rectangles_and_the_whole_count() -> None:
    mask = np.zeros((100, 100), bool)
    mask[::2, ::2] = True
    regions = regions_of(mask)
    assert (regions.count, len(regions.shares)) == (2500, MOST_REGIONS)
