"""Bad input stops early: exit code 2, and one sentence that names the file and the way out."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_bytes import encoded, png16, tiff
from plates import (
    VIEW_PATTERN,
    dented,
    plate,
    save,
    save_good,
    save_set,
    save_views,
)
from running import Cli, finished

from blemish.model.artifact import open_artifact

QUICK = ("--size", 64, "--detector", "patchcore", "--set", "bank=50")


@pytest.fixture
def train(cli: Cli, tmp_path: Path) -> Callable[..., Any]:
    """`train(DATA, ...)` trains in a moment, to m.blemish."""
    return lambda data, *more: cli("train", data, "-o", tmp_path / "m.blemish", *QUICK, *more)


# Folders.


def test_an_empty_folder(cli: Cli, train: Callable[..., Any], model: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    train(empty).refusal(empty, "put images of good parts into it")
    cli("evaluate", model, empty).refusal(empty, "is empty")
    cli("inspect", model, empty).refusal(empty, "holds no PNG, JPEG, BMP or TIFF image")
    assert not (tmp_path / "m.blemish").exists()


def test_a_folder_of_text_files(
    cli: Cli, train: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    for name in "abc":
        (notes / f"{name}.txt").write_text("no image", encoding="utf-8")
    train(notes).refusal(notes, "3 .txt files", "name a folder with images")
    cli("evaluate", model, notes).refusal(notes, "3 .txt files")
    cli("inspect", model, notes).refusal(notes, "holds no PNG")
    cli("inspect", model, notes / "a.txt").refusal("a.txt", "save it as one of these")


# Files.


def cut_jpeg() -> bytes:
    data = encoded(plate(1), "JPEG")
    return data[: len(data) // 2]


def cut_png() -> bytes:
    data = encoded(plate(1), "PNG")
    return data[: len(data) // 2]


def text() -> bytes:
    return b"This is no image, whatever its name says.\n" * 50


DAMAGED = {
    "cut.jpg": (cut_jpeg, "copy it again from its source or leave it out"),
    "cut.png": (cut_png, "copy it again from its source or leave it out"),
    "nothing.png": (bytes, "0 bytes"),
    "text.png": (text, "save it as one of these or leave it out"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_image(
    cli: Cli, train: Callable[..., Any], model: Path, tmp_path: Path, name: str
) -> None:
    data, way_out = DAMAGED[name]
    good = save_good(tmp_path / "good", range(8))
    (good / name).write_bytes(data())
    for more in ((), ("--resume",)):  # what was read by then lies in the cache
        train(good, *more).refusal(good / name, way_out)
    assert not (tmp_path / "m.blemish").exists()
    cli("inspect", model, good / name).refusal(good / name, way_out)
    root = save_set(tmp_path / "set", train=0, good=1, dents=1)
    (root / "test/dent" / name).write_bytes(data())
    cli("evaluate", model, root).refusal(root / "test/dent" / name, way_out)


def test_nan_pixels_in_a_float_tiff(
    cli: Cli, train: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    good = tmp_path / "good"
    good.mkdir()
    for seed in range(6):
        (good / f"{seed}.tiff").write_bytes(tiff(plate(seed)[..., 0].astype(np.float32) / 255))
    broken = plate(9)[..., 0].astype(np.float32) / 255
    broken[10:12, 20:23] = np.nan
    (tmp_path / "broken.tiff").write_bytes(tiff(broken))
    assert train(good).code == 0
    way_out = "replace them or leave the image out"
    run = cli("inspect", tmp_path / "m.blemish", tmp_path / "broken.tiff")
    run.refusal("broken.tiff", "6 pixels that are NaN", way_out)
    shutil.move(tmp_path / "broken.tiff", good)
    (tmp_path / "m.blemish").unlink()
    train(good).refusal(good / "broken.tiff", "6 pixels that are NaN", way_out)
    assert not (tmp_path / "m.blemish").exists()


def test_16_bit_beside_8_bit(
    cli: Cli, train: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    good = save_good(tmp_path / "good", range(5))
    deep = good / "deep.png"
    deep.write_bytes(png16(plate(7)[..., 0].astype(np.uint16) * 200, colour_type=0))
    train(good).refusal(deep, "uint16", "save all of them in one depth")
    cli("inspect", model, deep).refusal(deep, "save it in 8 bits")


# Data sets that contradict themselves.


def test_a_mask_of_another_size(
    cli: Cli, train: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    root = save_set(tmp_path / "set", train=5, good=1, dents=2)
    mask = save(root / "ground_truth/dent/201_mask.png", np.zeros((80, 99), np.uint8))
    words = ("ground_truth/dent/201_mask.png", "99 x 80", "100 x 80", "at the image's size")
    train(root).refusal(root, *words)
    cli("evaluate", model, root).refusal(root, *words)
    assert mask.exists()


def test_a_good_image_with_a_mask(
    cli: Cli, train: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    root = save_set(tmp_path / "set", train=5, good=1, dents=1)
    save(root / "ground_truth/good/100_mask.png", np.zeros((80, 100), np.uint8))
    words = ("test/good/100.png", "correct the label or remove the mask")
    train(root).refusal(root, *words)
    cli("evaluate", model, root).refusal(root, *words)


def test_one_image_only(train: Callable[..., Any], tmp_path: Path) -> None:
    train(save_good(tmp_path / "one", [1])).refusal("001.png", "add images of other good parts")
    train(save_good(tmp_path / "two", [1, 2])).refusal(tmp_path / "two", "at least 3")
    assert not (tmp_path / "m.blemish").exists()


def test_several_views_of_one_part_only(train: Callable[..., Any], tmp_path: Path) -> None:
    one = save_views(tmp_path / "one", [1])
    run = train(one, "--part-pattern", VIEW_PATTERN)
    run.refusal(one, "all good images show one part (001)", "add images of other good parts")


def test_a_part_in_train_and_test(
    cli: Cli, train: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    root = save_set(tmp_path / "set", train=5, good=1, dents=1)
    images = [path.relative_to(root).as_posix() for path in sorted(root.glob("t*/*/*.png"))]
    part_of = {image: str(number) for number, image in enumerate(images)}
    part_of["test/good/100.png"] = part_of["train/good/003.png"] = "serial 17"
    rows = [f"{image},{part}" for image, part in part_of.items()]
    (root / "parts.csv").write_text("\n".join(["file,part", *rows]), encoding="utf-8")
    words = ("part serial 17 (test/good/100.png) is in test and in train", "to one side")
    train(root).refusal(root, *words)
    cli("evaluate", model, root).refusal(root, *words)


def test_a_defective_image_to_learn_from(train: Callable[..., Any], tmp_path: Path) -> None:
    root = save_set(tmp_path / "set", train=5, good=1, dents=1)
    save(root / "train/dent/1.png", dented(300))
    train(root).refusal("train/dent/1.png", "is defective but in the train split")


# A missing view is never a pass.


@pytest.fixture(scope="session")
def two_views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of parts with the views side and top."""
    folder = tmp_path_factory.mktemp("views")
    data = save_views(folder / "data", range(12))
    train = ["train", data, "-o", folder / "m.blemish", *QUICK, "--part-pattern", VIEW_PATTERN]
    assert finished(train).code == 0
    return folder / "m.blemish"


def decisions(cli: Cli, *argv: object) -> dict[str, tuple[str, list[str]]]:
    run = cli("inspect", *argv, "--json", "-")
    assert run.code == 0
    return {v["part"]: (v["decision"], v["missing_views"]) for v in json.loads(run.out)}


def test_a_part_with_a_missing_view(cli: Cli, two_views: Path, tmp_path: Path) -> None:
    save(tmp_path / "whole a.png", plate(1000 + 3))
    save(tmp_path / "whole b.png", plate(2000 + 3))
    save(tmp_path / "half.png", plate(1000 + 4))
    save(tmp_path / "half and dented.png", dented(5))
    parts = tmp_path / "list.csv"
    parts.write_text(
        "file,part,view\nwhole a.png,A,top\nwhole b.png,A,side\nhalf.png,B,top\n"
        "half and dented.png,C,side\n",
        encoding="utf-8",
    )
    assert decisions(cli, two_views, tmp_path, "--parts", parts) == {
        "A": ("pass", []),
        "B": ("incomplete", ["side"]),
        "C": ("reject", ["top"]),
    }
    run = cli("inspect", two_views, tmp_path, "--parts", parts)
    assert [line.split()[0] for line in run.out.splitlines()].count("incomplete") == 1
    assert "no image of view side" in run.out


def test_a_missing_view_seen_by_pattern(cli: Cli, two_views: Path, tmp_path: Path) -> None:
    save_views(tmp_path, [3])
    save_views(tmp_path, [4], views=["top"])
    assert decisions(cli, two_views, tmp_path, "--part-pattern", VIEW_PATTERN) == {
        "003": ("pass", []),
        "004": ("incomplete", ["side"]),
    }


def test_no_word_on_parts_for_a_model_of_several_views(
    cli: Cli, two_views: Path, tmp_path: Path
) -> None:
    save_views(tmp_path, [3])
    found = decisions(cli, two_views, tmp_path)
    assert list(found.values()) == [("incomplete", ["side", "top"])] * 2


def test_a_calibration_does_not_forget_the_views(cli: Cli, two_views: Path, tmp_path: Path) -> None:
    good = save_views(tmp_path / "good", range(30, 40))
    out = tmp_path / "m.blemish"
    run = cli("calibrate", two_views, good, "-o", out, "--part-pattern", VIEW_PATTERN)
    assert run.code == 0
    assert open_artifact(out).card.calibration.required_views == ("side", "top")
    # The same pictures without a word on parts would turn every view into a part of its own.
    cli("calibrate", two_views, good, "-o", out).refusal(good, "side, top")


def test_an_evaluation_does_not_pass_a_part_that_lacks_a_view(
    cli: Cli, two_views: Path, tmp_path: Path
) -> None:
    root = tmp_path / "set"
    save_views(root / "test/good", [3])
    save_views(root / "test/good", [4, 5], views=["top"])
    run = cli("evaluate", two_views, root, "--part-pattern", VIEW_PATTERN, "--json", "-")
    decision = json.loads(run.out)["decision"]
    assert decision["incomplete"] == 2
    assert decision["tn"] + decision["fp"] == 1
    run = cli("evaluate", two_views, root, "--part-pattern", VIEW_PATTERN)
    assert "2 parts lack a view and were not passed" in run.out


# Models.


def newer(data: bytes) -> bytes:
    return rewritten(data, "card.json", lambda card: card.replace(b'"schema": 1', b'"schema": 2'))


def rewritten(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """The artifact with one member changed and all hashes right."""
    folder = BytesIO(data)
    with zipfile.ZipFile(folder) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    members[name] = change(members[name])
    hashes = {n: hashlib.sha256(m).hexdigest() for n, m in members.items() if n != "sha256"}
    members["sha256"] = json.dumps(hashes).encode()
    return zipped(members)


def zipped(members: dict[str, bytes]) -> bytes:
    folder = BytesIO()
    with zipfile.ZipFile(folder, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return folder.getvalue()


def flipped(data: bytes, name: str) -> bytes:
    """The artifact with one bit flipped in the middle of a member."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        place = data.index(archive.read(name)) + archive.getinfo(name).file_size // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


FOREIGN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a newer one": (newer, "update blemish"),
    "a plain zip": (lambda _: zipped({"readme.txt": b"hello"}), "holds readme.txt"),
    "an empty zip": (lambda _: zipped({}), "holds nothing"),
    "nothing": (lambda _: b"", "is no blemish model"),
    "a picture": (lambda _: encoded(plate(1), "PNG"), "is no blemish model"),
    "cut short": (lambda data: data[: len(data) // 2], "copy it again"),
    "cut by a byte": (lambda data: data[:-1], "copy it again"),
    "changed network": (lambda data: flipped(data, "model.onnx"), "damaged"),
    "changed card": (lambda data: flipped(data, "card.json"), "damaged"),
    "changed hashes": (lambda data: flipped(data, "sha256"), "damaged"),
    "changed picture": (lambda data: flipped(data, "golden/raw.png"), "damaged"),
    "changed tensor": (lambda data: flipped(data, "golden/tensor.png"), "damaged"),
    "changed start": (lambda data: b"X" + data[1:], "blemish.blemish"),
    "changed end": (lambda data: data[:-3] + b"X" + data[-2:], "damaged"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_model_that_cannot_be_trusted(
    cli: Cli, model: Path, plates: Path, tmp_path: Path, kind: str
) -> None:
    change, words = FOREIGN[kind]
    broken = tmp_path / "blemish.blemish"
    broken.write_bytes(change(model.read_bytes()))
    cli("inspect", broken, plates / "test/good").refusal(broken, words)
    cli("evaluate", broken, plates).refusal(broken, words)
    cli("calibrate", broken, plates).refusal(broken, words)
    cli("export", broken, "--to", "onnx", "-o", tmp_path / "out").refusal(broken, words)
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_a_folder_or_not_there(cli: Cli, plates: Path, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.blemish"):
        cli("inspect", path, plates / "test/good").refusal(path, "cannot be read")
