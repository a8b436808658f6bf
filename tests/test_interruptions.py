"""A full disk, a cache that cannot be written, a kill, an odd path: no work is lost."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from contexts import an_hour_later
from image_bytes import encoded
from plates import VIEW_PATTERN, plate, save_dented, save_good, save_set, save_views
from running import Cli, finished, started

from blemish.features import cache
from blemish.model.artifact import open_artifact

QUICK = ("--size", 64, "--detector", "patchcore", "--set", "bank=50")


# The disk.


def test_a_full_disk_while_the_model_is_flushed(
    cli: Cli, plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = os.fsync

    def full(handle: int) -> None:
        if os.fstat(handle).st_size > 100_000:  # the model, not what a training keeps on its way
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    monkeypatch.setattr("os.fsync", full)
    the_old_model_survives(cli, plates, tmp_path, monkeypatch)


def test_a_full_disk_while_the_model_is_written(
    cli: Cli, plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = zipfile.ZipFile.writestr

    def full(archive: zipfile.ZipFile, info: zipfile.ZipInfo, data: bytes) -> None:
        if info.filename == "card.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(archive, info, data)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    the_old_model_survives(cli, plates, tmp_path, monkeypatch)


def the_old_model_survives(
    cli: Cli, plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "m.blemish"
    model.write_bytes(b"the old model")
    run = cli("train", plates, "-o", model, *QUICK)
    run.refusal(model, "the disk is full; free some space", "intact")
    assert model.read_bytes() == b"the old model"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.blemish", "m.blemish.resume"]
    monkeypatch.undo()
    assert cli("train", plates, "-o", model, *QUICK, "--resume").code == 0
    assert open_artifact(model).card.data.trained_on.images == 16
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.blemish"]


def test_a_full_disk_while_features_are_kept(
    cli: Cli, plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.Shelf, "put", full)
    run = cli(
        "train", plates, "-o", tmp_path / "m.blemish", *QUICK, "--cache", tmp_path / "shelves"
    )
    assert run.code == 0
    [warning] = run.err
    assert str(tmp_path / "shelves") in warning
    assert "training goes on without it" in warning


def test_a_cache_folder_that_cannot_be_written(plates: Path, tmp_path: Path) -> None:
    place = tmp_path / "cache"
    place.write_text("a file where the folder should be", encoding="utf-8")
    argv = ["train", plates, *QUICK, "-o"]
    for out, run in {
        "named": finished([*argv, tmp_path / "named", "--cache", place]),
        "by environment": finished([*argv, tmp_path / "by environment"], BLEMISH_CACHE=str(place)),
    }.items():
        assert run.code == 0
        [warning] = run.err
        assert str(place) in warning
        assert "name another with BLEMISH_CACHE" in warning
        assert open_artifact(tmp_path / out).card.data.trained_on.images == 16
    assert place.read_text(encoding="utf-8").startswith("a file")


def test_a_read_only_cache_folder(
    cli: Cli, plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    place = tmp_path / "cache"
    monkeypatch.setattr(
        cache.Shelf, "put", refuse
    )  # root, who runs many test machines, may write there
    run = cli("train", plates, "-o", tmp_path / "m.blemish", *QUICK, "--cache", place)
    assert run.code == 0
    [warning] = [line for line in run.err if "features" in line]
    assert str(place) in warning
    assert "Permission denied" in warning


def test_a_place_for_the_model_that_cannot_be_written(
    cli: Cli, plates: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    run = cli("train", plates, "-o", tmp_path / "file" / "m.blemish", *QUICK)
    run.refusal(tmp_path / "file", "choose another place")


# A training that is killed.

SLOWLY = """
import sys, time
from blemish.cli import main
from blemish.detectors import patchcore
from blemish.features.feature_stream import FeatureStream

def slow(function, seconds):
    def slowly(*arguments):
        time.sleep(seconds)
        return function(*arguments)
    return slowly

FeatureStream._compute = slow(FeatureStream._compute, 0.02)
patchcore.MemoryBank.absorb = slow(patchcore.MemoryBank.absorb, 0.2)
patchcore.SECONDS_BETWEEN_CHECKPOINTS = -1
sys.exit(main(sys.argv[1:]))
"""


def killed(process: subprocess.Popen[str], in_the_middle: Callable[[], bool]) -> None:
    """Kill a process as soon as there is evidence that it is in the middle of its work."""
    while not in_the_middle():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    assert process.poll() is None
    process.kill()  # SIGKILL, or TerminateProcess on Windows
    process.communicate()
    assert process.returncode != 0


@pytest.mark.parametrize("middle", ["features", "bank"])
def test_a_training_that_is_killed_goes_on_to_the_same_model(
    cli: Cli, tmp_path: Path, middle: str
) -> None:
    good = save_good(tmp_path / "good", range(32))
    model, shelves = tmp_path / "m.blemish", tmp_path / "cache"
    argv = [good, "--detector", "patchcore", "--set", "bank=200", "--size", 64, "--cache"]
    train = ["train", "-o", model, *argv, shelves]
    evidence = {
        "features": lambda: any(f.stat().st_size > 200 for f in shelves.rglob("*.index")),
        "bank": (tmp_path / "m.blemish.resume/fit/bank.npz").exists,
    }
    killed(started(train, code=SLOWLY), evidence[middle])
    assert not model.exists()

    resumed = cli(*train, "--resume")
    assert (resumed.code, resumed.err) == (0, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "good", "m.blemish"]
    straight = cli("train", "-o", tmp_path / "straight.blemish", *argv, tmp_path / "other cache")
    assert straight.code == 0
    after, expected = open_artifact(model), open_artifact(tmp_path / "straight.blemish")
    assert after.model == expected.model
    assert after.card.calibration == expected.card.calibration


@pytest.mark.parametrize("middle", ["views0/bank.npz", "views0.json", "views1.json"])
def test_a_training_that_is_killed_keeps_the_scales_of_its_views(
    cli: Cli, tmp_path: Path, middle: str
) -> None:
    good = save_views(tmp_path / "good", range(20))
    model = tmp_path / "m.blemish"
    argv = [good, "--part-pattern", VIEW_PATTERN, "--detector", "patchcore", "--set", "bank=200"]
    argv += ["--size", 64, "--view-scales", "--cache", tmp_path / "cache"]
    killed(started(["train", "-o", model, *argv], code=SLOWLY), folder_of(model, middle).exists)
    assert not model.exists()
    resumed = cli("train", "-o", model, *argv, "--resume")
    assert (resumed.code, resumed.err) == (0, [])
    assert not folder_of(model, "").exists()
    assert cli("train", "-o", tmp_path / "straight.blemish", *argv).code == 0
    after, expected = open_artifact(model), open_artifact(tmp_path / "straight.blemish")
    assert after.model == expected.model
    assert after.card.views == expected.card.views


def folder_of(model: Path, name: str) -> Path:
    return model.with_name(f"{model.name}.resume") / name


def test_resuming_with_other_data_or_settings(cli: Cli, plates: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.blemish"
    with an_hour_later():
        assert cli("train", plates, "-o", model, *QUICK, "--budget", "10m").code == 2
    run = cli("train", plates, "-o", model, *QUICK, "--seed", 1, "--resume")
    run.refusal(tmp_path / "m.blemish.resume", "give the same ones, or drop --resume")
    other = save_good(tmp_path / "other", range(50, 60))
    cli("train", other, "-o", model, *QUICK, "--resume").refusal("drop --resume")
    run = cli("train", plates, "-o", model, *QUICK)
    assert run.code == 0
    [warning] = run.err
    assert "an unfinished training of" in warning


# A path that is not plain.


def test_a_path_with_spaces_and_umlauts(cli: Cli, tmp_path: Path) -> None:
    home = tmp_path / "Prüfplatz 3, Halle Süd"
    root = save_set(home / "gute Stücke", train=8, good=2, dents=0)
    save_dented(root, [200, 201])
    (root / "test/dent").rename(root / "test/Größe übel")
    (root / "ground_truth/dent").rename(root / "ground_truth/Größe übel")
    model = home / "das Modell ä.blemish"
    assert cli("train", root, "-o", model, *QUICK, "--cache", home / "Zwischenspeicher ö").code == 0
    run = cli("evaluate", model, root, "--json", home / "ä.json", "--report", home / "Bericht ü")
    assert run.code == 0
    figures = json.loads((home / "ä.json").read_text(encoding="utf-8"))
    assert figures["defects"]["Größe übel"]["parts"] == 2
    assert figures["pixel"]["auroc"] > 0.5
    maps = home / "Wärmebilder"
    run = cli("inspect", model, root / "test", "--heatmaps", maps, "--json", "-")
    assert "Größe übel" in run.out
    assert len([path for path in maps.rglob("*") if path.is_file()]) == 4
    assert cli("export", model, "--to", "onnx", "-o", home / "für die Linie").code == 0
    cut = root / "test/good/kürzer.png"
    cut.write_bytes(encoded(plate(1), "PNG")[:2000])
    cli("inspect", model, cut).refusal(cut)
    # A terminal that knows no umlauts gets a name that can still be told.
    plain = finished(["inspect", model, cut], PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    plain.refusal("Pr\\xfcfplatz 3, Halle S\\xfcd", "k\\xfcrzer.png")
