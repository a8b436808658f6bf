"""Outputs are whole or absent; nobody's work is taken away, and what the dead left goes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest
from plates import save_good
from running import Cli, started

from blemish.errors import ArtifactError, BlemishError
from blemish.model.artifact import open_artifact
from blemish.util import leftovers
from blemish.util.exclusive import exclusive
from blemish.util.files import replacing, write_together

WRITER = """
import os, sys, time
from pathlib import Path
from blemish.util.files import filling, replacing
place = Path(sys.argv[1])
with (replacing if sys.argv[2] == "file" else filling)(place) as opened:
    print("open", flush=True)
    time.sleep(600)
"""
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals and locks")


def writer(place: Path, what: str) -> subprocess.Popen[str]:
    """A process in the middle of writing a file or filling a folder."""
    process = started([place, what], code=WRITER)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@posix
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_a_killed_process_left_goes_and_a_living_one_s_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    dead, living = writer(tmp_path / "dead", what), writer(tmp_path / "living", what)
    try:
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        assert len(left(tmp_path)) == 2
        monkeypatch.setattr(leftovers, "_swept", set())
        with replacing(tmp_path / "new") as file:
            file.write(b"new")
        names = left(tmp_path)
        assert len(names) == 2
        assert names[0].startswith(".living.")
        assert names[1] == "new"
    finally:
        living.kill()
        living.wait()


def test_what_is_not_ours_is_never_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [".a.part", "b.part", ".a.0123.part", ".hidden", f".x.{'g' * 32}.part"]
    for name in others:
        (tmp_path / name).write_bytes(b"somebody's")
    (tmp_path / f".link.{'0' * 32}.part").symlink_to(tmp_path / ".hidden")
    monkeypatch.setattr(leftovers, "_swept", set())
    with replacing(tmp_path / "new") as file:
        file.write(b"new")
    assert set(others) <= set(left(tmp_path))
    assert (tmp_path / ".hidden").read_bytes() == b"somebody's"


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_is_asked_to_end_leaves_nothing(
    plates: Path, tmp_path: Path, number: signal.Signals
) -> None:
    argv = ["synth", "apply", plates, "-o", tmp_path / "set", "--generator", "random_walk"]
    code = (
        "import sys\nfrom blemish.synthesis import defective_set as d\n"
        "from blemish.cli import main\n"
        "import time\n"
        "def slow(*a, **k):\n    print('open', flush=True)\n    time.sleep(600)\n"
        "d.fill_mvtec = slow\nsys.exit(main())\n"
    )
    process = started(argv, code=code)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err.splitlines()[-1].startswith("blemish: stopped")
    assert left(tmp_path) == []


def test_files_that_belong_together_are_all_new_or_all_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {tmp_path / name: name.encode() for name in ("graph", "picture", "card")}
    write_together(dict.fromkeys(files, b"old"))
    flush, flushed = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal flushed
        flushed += 1
        if flushed == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ArtifactError, match="the disk is full"):
            write_together(files)
    assert {path.read_bytes() for path in files} == {b"old"}
    write_together(files)
    assert {path.read_bytes() for path in files} == set(files.values())
    assert left(tmp_path) == ["card", "graph", "picture"]


def test_the_last_one_named_takes_its_place_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed: list[str] = []
    replace = Path.replace

    def told(path: Path, target: Path) -> Path:
        placed.append(target.name)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", told)
    write_together({tmp_path / name: b"" for name in ("graph", "picture", "card")})
    assert placed == ["graph", "picture", "card"]


def test_an_open_file_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "day.csv"
    place.write_bytes(b"old")

    def refuse(path: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Access is denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with (
        pytest.raises(ArtifactError, match="close it where it is open") as refusal,
        replacing(place) as file,
    ):
        file.write(b"new")
    assert "intact" in str(refusal.value)
    assert place.read_bytes() == b"old"


# --- one process at a time


HOLDER = """
import sys, time
from pathlib import Path
from blemish.util.exclusive import exclusive
with exclusive(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_is_held_by_one_process_and_by_no_dead_one(tmp_path: Path) -> None:
    process = started([tmp_path / "work"], code=HOLDER)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with (
        pytest.raises(BlemishError, match="another one works here: wait for its end"),
        exclusive(tmp_path / "work", "another one works here"),
    ):
        pass
    process.kill()
    process.wait()
    with exclusive(tmp_path / "work", "another one works here"):
        pass


def test_a_second_training_leaves_the_first_one_s_work(
    cli: Cli, plates: Path, tmp_path: Path
) -> None:
    model = tmp_path / "m.blemish"
    resume = tmp_path / "m.blemish.resume"
    process = started([resume], code=HOLDER)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    (resume / "key").write_text("the first one's")
    try:
        run = cli("train", plates, "-o", model, "--size", 64, "--detector", "padim")
        run.refusal("another training writes", model)
        assert (resume / "key").read_text() == "the first one's"
    finally:
        process.kill()
        process.wait()


# --- the model that calibrate replaces


def test_calibrate_keeps_the_model_that_it_replaces(cli: Cli, model: Path, tmp_path: Path) -> None:
    own = tmp_path / "plate.blemish"
    own.write_bytes(model.read_bytes())
    before = open_artifact(own).sha256
    save_good(tmp_path / "new", range(900, 920))
    run = cli("calibrate", own, tmp_path / "new")
    kept = tmp_path / f"plate.{before[:8]}.blemish"
    assert run.code == 0
    assert f"the previous model is kept as {kept}" in run.err[-1]
    assert kept.read_bytes() == model.read_bytes()
    assert open_artifact(own).sha256 != before
    other = cli("calibrate", own, tmp_path / "new", "-o", tmp_path / "other.blemish")
    assert "kept" not in " ".join(other.err)


def test_where_it_cannot_be_written_nothing_is_kept(
    cli: Cli, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "plate.blemish"
    own.write_bytes(model.read_bytes())
    save_good(tmp_path / "new", range(900, 920))

    def full(*_: object) -> None:
        raise ArtifactError("the disk is full")

    monkeypatch.setattr("blemish.training.recalibration.write_artifact", full)
    cli("calibrate", own, tmp_path / "new").refusal("the disk is full")
    assert left(tmp_path) == ["new", "plate.blemish"]
    assert own.read_bytes() == model.read_bytes()
