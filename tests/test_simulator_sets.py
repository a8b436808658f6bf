"""Sets of simulated plates and parts on the disk, and `blemish prepare simulate`."""

from __future__ import annotations

import csv
import errno
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from running import Cli, started

from blemish.dataset import findings, open_dataset
from blemish.errors import BlemishError, DatasetError
from blemish.images import read_image, read_mask
from blemish.simulator import plate_set, simulate_plate
from blemish.simulator.part import SIDE, VIEWS, simulate_part
from blemish.simulator.part_set import CODES, PartSet, write_parts
from blemish.simulator.plate_set import PlateSet, write_plates
from blemish.util.progress import Progress

SMALL = PlateSet("dark_field", 360, 420, plates=2, test_plates=1, defects=2, seed=5)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "defects.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "plates"
    write_plates(folder, SMALL)
    return folder


# --- plates ---------------------------------------------------------------------------------------


def test_a_set_has_scans_masks_a_table_and_its_recipe(drawn: Path) -> None:
    names = ["train/train_0001", "train/train_0002", "test/test_0001"]
    expected = {f"{name}.png" for name in names} | {f"masks/{name}.png" for name in names}
    assert set(files(drawn)) == expected | {"defects.csv", "simulate.json"}
    recipe = json.loads((drawn / "simulate.json").read_text(encoding="utf-8"))
    assert recipe["settings"]["modality"] == "dark_field"
    assert recipe["settings"]["seed"] == 5
    image = read_image(drawn / "train" / "train_0001.png")
    assert image.shape == (360, 420)
    assert image.dtype == np.uint8


def test_the_table_says_where_the_defects_are(drawn: Path) -> None:
    rows = table(drawn)
    assert [row["plate"] for row in rows] == [
        name for name in ("train_0001", "train_0002", "test_0001") for _ in range(2)
    ]
    for name in ("train_0001", "train_0002", "test_0001"):
        mine = [row for row in rows if row["plate"] == name]
        mask = read_mask(drawn / "masks" / mine[0]["split"] / f"{name}.png", (360, 420))
        assert mask.sum() == sum(int(row["area"]) for row in mine)
        for row in mine:
            left, top, width, height = (int(row[k]) for k in ("left", "top", "width", "height"))
            box = mask[top : top + height, left : left + width]
            assert box.sum() == int(row["area"])
            assert float(row["x"]) == left + (width - 1) / 2
            assert float(row["y"]) == top + (height - 1) / 2


def test_a_killed_run_goes_on_where_it_was(drawn: Path, tmp_path: Path) -> None:
    whole = files(drawn)
    part = tmp_path / "part"

    def stop_at_the_second(progress: Progress) -> None:
        if progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_plates(part, SMALL, progress=stop_at_the_second)
    assert len(list(part.glob("train/*.png"))) == 1
    # A kill between the table and the image leaves rows of a plate that is not there.
    (part / "defects.csv").write_bytes(whole["defects.csv"])
    first = (part / "train" / "train_0001.png").stat().st_mtime_ns
    write_plates(part, SMALL)
    assert files(part) == whole
    assert (part / "train" / "train_0001.png").stat().st_mtime_ns == first


def test_a_process_killed_by_force_loses_nothing(drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    options = ("--modality", "dark_field", "--size", "420x360", "--plates", 2, "--defects", 2)
    argv = ["prepare", "simulate", "-o", folder, *options, "--test-plates", 1, "--seed", 5]
    process = started(argv)
    while process.poll() is None and not list(folder.glob("train/*.png")):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    write_plates(folder, SMALL)
    finished = {name: data for name, data in files(folder).items() if not name.endswith(".part")}
    assert finished == files(drawn)


def test_batches_have_designs_of_their_own(tmp_path: Path) -> None:
    what = replace(SMALL, plates=2, test_plates=2, defects=0, batches=2)
    assert write_plates(tmp_path, what) == []
    assert table(tmp_path) == []
    images = [
        read_image(tmp_path / split / f"{split}_{number:04}.png").astype(float)
        for number in (1, 2)
        for split in ("train", "test")
    ]
    small = [image[80:280, 80:340].ravel() for image in images]
    alike = np.corrcoef(small)
    assert min(alike[0, 1], alike[2, 3]) > max(alike[0, 2], alike[1, 3])


def test_progress_counts_the_plates(tmp_path: Path) -> None:
    told: list[Progress] = []
    write_plates(tmp_path, replace(SMALL, plates=1, defects=0), progress=told.append)
    assert [(p.done, p.total) for p in told] == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"plates": 0}, "--plates is 0; it must be at least 1"),
        ({"test_plates": -1}, "--test-plates is -1"),
        ({"defects": -2}, "--defects is -2"),
        ({"batches": 0}, "--batches is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"width": 255}, "smaller than a patch"),
        ({"modality": "x_ray"}, "there is no modality 'x_ray'"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    change: dict[str, int], words: str, tmp_path: Path
) -> None:
    with pytest.raises(BlemishError, match=words):
        write_plates(tmp_path / "set", replace(SMALL, **change))  # type: ignore[arg-type]
    assert not (tmp_path / "set").exists()


def test_a_folder_of_other_settings_is_left_alone(drawn: Path) -> None:
    before = files(drawn)
    with pytest.raises(DatasetError, match=r"other settings \(seed 5 there, 6 here\)"):
        write_plates(drawn, replace(SMALL, seed=6))
    with pytest.raises(DatasetError, match="other settings"):
        write_parts(drawn, PartSet(5))
    assert files(drawn) == before


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"settings": 1}'])
def test_a_damaged_recipe_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "simulate.json").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"simulate\.json is no note"):
        write_plates(tmp_path, SMALL)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(DatasetError, match="holds something else"):
        write_plates(tmp_path, SMALL)
    with pytest.raises(DatasetError, match="holds something else"):
        write_plates(tmp_path / "thesis.doc", SMALL)


def test_a_table_that_was_changed_is_refused(drawn: Path, tmp_path: Path) -> None:
    for name, data in files(drawn).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    for text in ("plate;split\n", "plate,split\nx,y\n", "\0", "\ufeff"):
        (tmp_path / "defects.csv").write_text(text, encoding="utf-8")
        with pytest.raises(DatasetError, match=r"defects\.csv was changed"):
            write_plates(tmp_path, SMALL)


def test_a_full_disk_is_told_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = os.fsync

    def full(handle: int) -> None:
        if os.fstat(handle).st_size > 50_000:  # a scan
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(BlemishError, match="the disk is full"):
            write_plates(tmp_path, SMALL)
    assert not list(tmp_path.glob("train/*"))
    write_plates(tmp_path, SMALL)
    assert len(list(tmp_path.glob("train/*.png"))) == 2


# --- parts in five views --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts") / "set"
    counts = write_parts(folder, PartSet(10, seed=3))
    assert (counts.train, counts.good, counts.defective) == (6, 2, 2)
    assert 2 <= counts.defective_views <= 2 * VIEWS
    return folder


def test_parts_open_as_real_iad(parts: Path) -> None:
    data = open_dataset(parts)
    assert data.layout == "real_iad"
    assert findings(data) == []
    frame = data.table
    assert len(frame) == 10 * VIEWS
    assert frame["part"].n_unique() == 10
    assert sorted(frame["view"].unique()) == ["C1", "C2", "C3", "C4", "C5"]
    train = frame.filter(frame["split"] == "train")
    assert len(train) == 6 * VIEWS
    assert set(train["label"]) == {"good"}
    defective = frame.filter(frame["label"] == "defective")
    assert defective["part"].n_unique() == 2
    assert set(defective["defect"]) <= {"contamination", "foreign object"}
    assert defective["mask"].null_count() == 0
    for image in data.images[:3]:
        assert read_image(image).shape == (SIDE, SIDE)


def test_a_view_in_which_the_defect_is_hidden_is_an_ok_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blemish.simulator import part_set

    def blind(design: int, seed: int, kind: str | None) -> object:
        part = simulate_part(design, seed, kind)
        if kind is not None:
            part.masks[1:] = False
            part.masks[0, 100:110, 100:110] = True
        return part

    monkeypatch.setattr(part_set, "simulate_part", blind)
    write_parts(tmp_path, PartSet(5))
    document = json.loads((tmp_path / "realiad_jsons" / "panel1.json").read_text("utf-8"))
    entries = [entry for entry in document["test"] if "/NG/" in f"/{entry['image_path']}"]
    assert [entry["anomaly_class"] for entry in entries] == ["ZW", "OK", "OK", "OK", "OK"]
    assert [entry["mask_path"] is None for entry in entries] == [False, True, True, True, True]
    frame = open_dataset(tmp_path).table
    torn = frame.filter(frame["part"].str.contains("NG_ZW"))
    assert sorted(torn["label"]) == ["defective", "good", "good", "good", "good"]


def test_a_killed_run_of_parts_goes_on_where_it_was(parts: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parts(tmp_path, PartSet(10, seed=3), progress=stop)
    assert not (tmp_path / "realiad_jsons").exists()
    write_parts(tmp_path, PartSet(10, seed=3))
    assert files(tmp_path) == files(parts)


@pytest.mark.parametrize("kind", CODES)
def test_a_defect_shows_in_a_view_and_only_within_its_mask(kind: str) -> None:
    defective, clean = simulate_part(1, 2, kind), simulate_part(1, 2)
    assert defective.views.shape == defective.masks.shape == (VIEWS, SIDE, SIDE)
    assert defective.masks.any()
    assert not clean.masks.any()
    change = np.abs(defective.views.astype(int) - clean.views)
    assert change[defective.masks].mean() > 3 * change[~defective.masks].mean()


def test_relief_hides_in_some_views() -> None:
    masks = [simulate_part(1, seed, "scratch").masks for seed in range(6)]
    shown = [int(mask.any(axis=(1, 2)).sum()) for mask in masks]
    assert min(shown) < VIEWS


def test_the_views_differ_and_show_one_part() -> None:
    views = simulate_part(1, 2).views.astype(float)
    for number in range(VIEWS):
        for other in range(number):
            assert np.abs(views[number] - views[other]).mean() > 4


# --- the command ----------------------------------------------------------------------------------


def test_the_command_draws_plates(cli: Cli, tmp_path: Path) -> None:
    options = ("--modality", "dark_field", "--size", "300x280", "--plates", 1, "--defects", 1)
    run = cli("prepare", "simulate", "-o", tmp_path / "set", *options, "--test-plates", 0)
    assert run.code == 0, run.err
    assert "1 plates to train on, 0 to test, 300 x 280, dark_field, simulated" in run.out
    assert len(table(tmp_path / "set")) == 1
    again = cli(
        "prepare", "simulate", "-o", tmp_path / "set", *options, "--test-plates", 0, "--json", "-"
    )
    shown = json.loads(again.out)
    assert shown["plates"] == 1
    assert sum(shown["defects"].values()) == 1


def test_the_command_draws_parts(cli: Cli, tmp_path: Path) -> None:
    run = cli("prepare", "simulate", "-o", tmp_path, "--views", 5, "--parts", 5)
    assert run.code == 0, run.err
    assert "3 good parts to train on, 1 good and 1 defective to test" in run.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--modality is missing"),
        (("--modality", "dark_field", "--size", "8000"), "--size 8000 is no size"),
        (("--modality", "dark_field", "--size", "100x90"), "smaller than a patch"),
        (("--modality", "xray"), "there is no modality 'xray'"),
        (("--modality", "dark_field", "--plates", "0"), "--plates is 0"),
        (("--modality", "dark_field", "--parts", "5"), "add --views 5"),
        (("--views", "4"), "--views is 4"),
        (("--views", "5", "--plates", "5"), "--plates is for plates"),
        (("--views", "5", "--parts", "2"), "--parts is 2"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    options: tuple[str, ...], words: str, cli: Cli, tmp_path: Path
) -> None:
    cli("prepare", "simulate", "-o", tmp_path / "set", *options).refusal(words)
    assert not (tmp_path / "set").exists()


def test_seeds_of_splits_differ() -> None:
    what = replace(SMALL, plates=1, test_plates=1)
    plates = plate_set._plates(what)
    drawn = [plate_set._drawn(what, plate).image for plate in plates]
    assert not np.array_equal(*drawn)
    assert np.array_equal(
        drawn[0],
        simulate_plate(
            plate_set.seed_of(5, 1, 0), plate_set.seed_of(5, 2, 1), "dark_field", 360, 420, 2
        ).image,
    )
