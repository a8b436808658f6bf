"""The supervised stream: what it holds, and that no kill, disk or number of workers changes it."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from plates import save
from running import Cli, started
from scans import RECIPE, SIZE, plate_at, recipe_at, save_scans, scan, stacks, with_spot

from blemish.dataset import open_dataset
from blemish.images.reading import read_image, read_mask
from blemish.prepare import journal, stream_file
from blemish.prepare.patch_recipe import open_recipe
from blemish.prepare.supervised_stream import prepare_stream

LONG = 2000


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe for two plates; nobody changes it."""
    root = tmp_path_factory.mktemp("recipe")
    save_scans(root, "train", [1, 2])
    return recipe_at(root)


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its stream, made in one go by one process."""
    out = tmp_path_factory.mktemp("whole") / "LSM-1.h5"
    prepare_stream(open_recipe(recipe), out)
    return out


@pytest.fixture(scope="module")
def long(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stream that takes a while."""
    out = tmp_path_factory.mktemp("long") / "s.h5"
    prepare_stream(open_recipe(recipe), out, count=LONG)
    return out


def test_a_stream_holds_patches_masks_labels_and_origins(whole):
    held = stacks(whole)
    assert held["syn_stream"].shape == held["ground_truth"].shape == (300, SIZE, SIZE)
    assert held["syn_stream"].dtype == held["ground_truth"].dtype == np.uint8
    assert set(np.unique(held["ground_truth"])) == {0, 255}
    assert np.array_equal(held["label"] == 1, held["ground_truth"].any(axis=(1, 2)))
    assert 110 < held["label"].sum() < 190
    assert set(held["part"]) == {b"train_1", b"train_2"}
    with h5py.File(whole) as content:
        assert content.attrs["seed"] == 0
        assert json.loads(content.attrs["recipe"])["modality"] == "LSM-1"


def test_it_opens_as_a_data_set_of_isp_ad(whole, cli: Cli):
    data = open_dataset(whole)
    assert (data.layout, data.categories) == ("isp_ad", ["LSM-1"])
    counts = data.counts()
    assert counts["parts"] == 2
    assert counts["defects"] == {"synthetic": int(stacks(whole)["label"].sum())}
    row = data.table.filter(data.table["label"] == "defective").row(0, named=True)
    shape = read_image(data.root / row["image"]).shape
    assert read_mask(data.root / row["mask"], shape).any()
    assert cli("data", "show", whole).code == 0


def test_every_patch_shows_the_plate_where_its_origin_says(whole):
    """But for light and defect: patches without either correlate with the plate's pixels there."""
    held = stacks(whole)
    plates = {b"train_1": scan(1), b"train_2": scan(2)}
    for number in np.flatnonzero(held["label"] == 0)[:20]:
        transform = held["origin/transform"][number]
        plate = plates[held["part"][number]].astype(np.float32)
        there = cv2.warpAffine(plate, transform, (SIZE, SIZE), flags=1 | cv2.WARP_INVERSE_MAP)
        assert np.corrcoef(there.ravel(), held["syn_stream"][number].ravel())[0, 1] > 0.98
        x, y = held["origin/position"][number]
        assert np.abs(transform @ [(SIZE - 1) / 2, (SIZE - 1) / 2, 1] - (x, y)).max() <= 0.5


def test_patches_lie_on_the_plate(whole):
    held = stacks(whole)
    corners = np.array([[x, y, 1] for x in (0, SIZE - 1) for y in (0, SIZE - 1)]).T
    for transform in held["origin/transform"]:
        x, y = np.rint(transform @ corners).astype(int)
        assert plate_at()[y, x].all()


def test_good_and_defective_patches_are_turned_alike(whole):
    held = stacks(whole)
    turned = (held["origin/transform"][:, :, :2] != np.eye(2)).any(axis=(1, 2))
    assert 0.8 < turned.mean() < 0.97
    assert abs(turned[held["label"] == 1].mean() - turned[held["label"] == 0].mean()) < 0.12


def test_a_longer_stream_begins_like_a_shorter_one(recipe, whole, tmp_path):
    prepare_stream(open_recipe(recipe), tmp_path / "s.h5", count=20)
    short, more = stacks(tmp_path / "s.h5"), stacks(whole)
    for name, values in short.items():
        assert np.array_equal(values, more[name][:20]), name


def test_another_seed_gives_other_patches(cli: Cli, recipe, tmp_path):
    made = []
    for seed in (0, 1, 1):
        out = tmp_path / f"{len(made)}.h5"
        assert cli("prepare", "stream", recipe, "-o", out, "--count", 5, "--seed", seed).code == 0
        made.append(stacks(out)["syn_stream"])
    assert not np.array_equal(made[0], made[1])
    assert np.array_equal(made[1], made[2])


def test_in_16_bits(tmp_path):
    save(tmp_path / "train/a.png", scan(1).astype(np.uint16) * 16)
    made = prepare_stream(open_recipe(recipe_at(tmp_path)), tmp_path / "s.h5", count=40)
    held = stacks(tmp_path / "s.h5")
    assert held["syn_stream"].dtype == np.uint16
    assert 255 < held["syn_stream"].max() <= 4095
    assert made.synthetic == held["label"].sum() > 5


def test_in_colours(tmp_path):
    save(tmp_path / "train/a.png", scan(1)[:, :, None].repeat(3, axis=2))
    prepare_stream(open_recipe(recipe_at(tmp_path)), tmp_path / "s.h5", count=10)
    assert stacks(tmp_path / "s.h5")["syn_stream"].shape == (10, SIZE, SIZE, 3)


def test_patches_keep_off_known_defects(tmp_path):
    pixels, mask = with_spot(scan(1), 120, 160, 12)
    save(tmp_path / "train/a.png", pixels)
    save(tmp_path / "masks/a.png", mask)
    text = "[generator]\nshare = 0\n[augmentation]\nbrightness = [1, 1]\ncontrast = [1, 1]\n"
    recipe = open_recipe(recipe_at(tmp_path, text + '[defects]\nmasks = "masks"\n'))
    prepare_stream(recipe, tmp_path / "s.h5", count=100)
    assert stacks(tmp_path / "s.h5")["syn_stream"].max() < 200
    without = open_recipe(recipe_at(tmp_path, text))
    prepare_stream(without, tmp_path / "t.h5", count=100)
    assert stacks(tmp_path / "t.h5")["syn_stream"].max() == 255


# Workers, kills, budgets and disks.


def test_several_processes_make_the_same_file(cli: Cli, recipe, whole, tmp_path):
    out = tmp_path / "LSM-1.h5"
    run = cli("prepare", "stream", recipe, "-o", out, "--workers", 2, "--json", "-")
    assert run.code == 0, run.err
    told = json.loads(run.out)
    assert (told["patches"], told["plates"], told["before"]) == (300, 2, 0)
    assert out.read_bytes() == whole.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["LSM-1.h5"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_stream_goes_on_to_the_same_file(recipe, long, tmp_path, workers):
    out = tmp_path / "s.h5"
    process = started(
        ["prepare", "stream", recipe, "-o", out, "--count", LONG, "--workers", workers]
    )
    log = tmp_path / "s.h5.part" / "journal"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert log.exists()
    assert not out.exists()
    made = prepare_stream(open_recipe(recipe), out, count=LONG)
    assert 0 < made.before < LONG
    assert out.read_bytes() == long.read_bytes()


def test_a_kill_while_the_file_is_finished(recipe, whole, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    out = tmp_path / "s.h5"
    with monkeypatch.context() as patch:
        patch.setattr(stream_file, "_write_columns", kill)
        with pytest.raises(Killed):
            prepare_stream(open_recipe(recipe), out)
    made = prepare_stream(open_recipe(recipe), out)
    assert made.before == 300
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("lost", [1, 300, 5000])
def test_a_record_that_was_cut_off_is_made_again(recipe, whole, tmp_path, cli, lost):
    out = tmp_path / "s.h5"
    cli("prepare", "stream", recipe, "-o", out, "--workers", 1, "--budget", "0.001s").refusal(
        "the time is up after 128 of 300 patches; the same command goes on, and --count 128 keeps"
    )
    log = out.with_name("s.h5.part") / "journal"
    data = log.read_bytes()
    log.write_bytes(data[:-lost] if lost < len(data) else b"")
    assert prepare_stream(open_recipe(recipe), out).before == 0
    assert out.read_bytes() == whole.read_bytes()


def test_a_budget_stops_and_the_same_command_goes_on(cli: Cli, recipe, whole, tmp_path):
    argv = ("prepare", "stream", recipe, "-o", tmp_path / "s.h5", "--workers", 1)
    cli(*argv, "--budget", "0.001s").refusal("after 128 of 300")
    cli(*argv, "--budget", "0.001s").refusal("after 256 of 300")
    assert cli(*argv).code == 0
    assert (tmp_path / "s.h5").read_bytes() == whole.read_bytes()


def test_what_is_made_can_be_kept(cli: Cli, recipe, whole, tmp_path):
    argv = ("prepare", "stream", recipe, "-o", tmp_path / "s.h5", "--workers", 1)
    cli(*argv, "--budget", "0.001s").refusal("--count 128")
    assert cli(*argv, "--count", 128).code == 0
    kept, more = stacks(tmp_path / "s.h5"), stacks(whole)
    for name, values in kept.items():
        assert np.array_equal(values, more[name][:128]), name
    assert open_dataset(tmp_path / "s.h5").counts()["images"] == 128


def test_a_full_disk_keeps_what_is_written(cli: Cli, recipe, whole, tmp_path, monkeypatch):
    flush, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    monkeypatch.setattr("os.fsync", full)
    argv = ("prepare", "stream", recipe, "-o", tmp_path / "s.h5", "--workers", 1)
    cli(*argv).refusal(
        "the disk is full after 128 of 300 patches", tmp_path / "s.h5", "--count 128 keeps these"
    )
    monkeypatch.undo()
    assert cli(*argv).code == 0
    assert (tmp_path / "s.h5").read_bytes() == whole.read_bytes()


def test_a_worker_that_is_killed_ends_in_a_sentence(cli: Cli, recipe, tmp_path, monkeypatch):
    from concurrent.futures.process import BrokenProcessPool

    class Pool:
        def __init__(self, *_: object, **__: object) -> None: ...
        def submit(self, *_: object) -> None:
            raise BrokenProcessPool

        def shutdown(self, **_: object) -> None: ...

    monkeypatch.setattr("blemish.prepare.worker_pool.ProcessPoolExecutor", Pool)
    run = cli("prepare", "stream", recipe, "-o", tmp_path / "s.h5", "--workers", 2)
    run.refusal("ended from outside", "the same command goes on")


def test_unfinished_work_on_something_else_is_not_mixed_in(cli: Cli, recipe, tmp_path):
    argv = ("prepare", "stream", recipe, "-o", tmp_path / "s.h5", "--workers", 1)
    cli(*argv, "--budget", "0.001s").refusal("the time is up")
    cli(*argv, "--seed", 5).refusal("unfinished work on another recipe", "s.h5.part")
    cli("prepare", "stream", recipe_at(tmp_path, base=RECIPE.replace("40", "41")), "-o", argv[4])


def test_nothing_is_written_over(cli: Cli, recipe, tmp_path):
    (tmp_path / "s.h5").write_bytes(b"mine")
    cli("prepare", "stream", recipe, "-o", tmp_path / "s.h5").refusal("s.h5 exists")
    (tmp_path / "t.h5.part").mkdir()
    (tmp_path / "t.h5.part/mine").touch()
    cli("prepare", "stream", recipe, "-o", tmp_path / "t.h5").refusal("holds something else")
    cli("prepare", "stream", recipe, "-o", tmp_path / "t.png").refusal("end it in .h5")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--count", 0], "a stream of 0 patches"),
        (["--workers", 0], "--workers 0 must be 1 or more"),
        (["--seed", -1], "--seed -1 must be 0 or more"),
        (["--budget", "soon"], "--budget soon is no time"),
    ],
)
def test_options_that_make_no_sense(cli: Cli, recipe, tmp_path, options, said):
    cli("prepare", "stream", recipe, "-o", tmp_path / "s.h5", *options).refusal(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 'random_wlk'", "did you mean 'random_walk'?"),
        ("preset = 'dark'", "has no preset 'dark'"),
        ("settings.strenght = 3", "strength"),
    ],
)
def test_a_generator_that_does_not_exist(cli: Cli, tmp_path, text, said):
    save_scans(tmp_path, "train", [1])
    file = recipe_at(tmp_path, f"[generator]\n{text}\n")
    cli("prepare", "stream", file, "-o", tmp_path / "s.h5", "--workers", 1).refusal(said)


def test_a_stream_of_one_patch_more_than_a_block(recipe, tmp_path):
    count = stream_file.BLOCK + 1
    prepare_stream(open_recipe(recipe), tmp_path / "s.h5", count=count)
    held = stacks(tmp_path / "s.h5")
    assert {len(values) for values in held.values()} == {count}
    assert held["syn_stream"][-1].any()


# The journal.


def test_a_journal_gives_back_whole_records_only(tmp_path):
    log = tmp_path / "journal"
    for number in range(3):
        journal.add(log, journal.packed({"a": np.arange(number + 1)}))
    data = log.read_bytes()
    ends = [end for end, _ in journal.records(log)]
    assert ends[-1] == len(data)
    for damaged in (data[:-1], data[: ends[1] + 3], data[:-5] + b"x" + data[-4:]):
        log.write_bytes(damaged)
        found = list(journal.records(log))
        assert [record["a"].tolist() for _, record in found] == [[0], [0, 1]]
        journal.cut(log, found[-1][0])
        assert log.read_bytes() == data[: ends[1]]
