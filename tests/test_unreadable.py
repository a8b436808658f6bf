"""Every picture that was asked for gets a verdict; one that cannot be read is never a pass."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_bytes import encoded, png16
from plates import VIEW_PATTERN, dented, plate, save, save_good, save_set, save_views
from running import Cli
from trees import link

from blemish.calibration.views import decide
from blemish.dataset import open_dataset
from blemish.errors import BlemishError, ImageError
from blemish.evaluation import evaluate
from blemish.inspector import Inspector
from blemish.util.files import harmless

SOUND = encoded(plate(1), "PNG")


def flipped(data: bytes) -> bytes:
    """One bit of the pixels is another one."""
    place = data.index(b"IDAT") + len(b"IDAT") + 40
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


# Ways in which a picture cannot be read, and a word of the reason.
KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda path: path.write_bytes(SOUND[:900]), "cut off"),
    "a flipped bit": (lambda path: path.write_bytes(flipped(SOUND)), "damaged"),
    "nothing": (lambda path: path.write_bytes(b""), "0 bytes"),
    "text": (lambda path: path.write_bytes(b"no picture"), "whatever its name says"),
    "another depth": (
        lambda path: path.write_bytes(png16(np.full((80, 100), 900, np.uint16), colour_type=0)),
        "save it in 8 bits",
    ),
    "gone by then": (lambda path: link(path, path.with_name("nowhere")), "does not exist"),
}


# The rule.

scores = st.dictionaries(st.sampled_from("abc"), st.floats(-9, 9))
views = st.sets(st.sampled_from("abcd"))


@given(scores, views, views)
def test_the_order_of_the_decisions(
    known: dict[str, float], unreadable: set[str], required: set[str]
) -> None:
    decision = decide(known, 0.0, required, unreadable=unreadable)
    if any(score > 0 for score in known.values()):
        assert decision == "reject"
    elif unreadable:
        assert decision == "unreadable"
    else:
        assert decision == ("pass" if known and required <= known.keys() else "incomplete")


# From Python.


@pytest.fixture(scope="module")
def inspector(model: Path) -> Inspector:
    return Inspector.open(model)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_cannot_be_read_is_a_verdict(
    inspector: Inspector, tmp_path: Path, kind: str
) -> None:
    damage, word = KINDS[kind]
    damage(tmp_path / "a.png")
    verdict = inspector.inspect(tmp_path / "a.png", "p")
    assert (verdict.decision, verdict.score, verdict.missing) == ("unreadable", None, ())
    assert word in str(verdict.reason)
    values = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert values["score"] is None
    assert values["reason"] == values["views"][0]["reason"] == verdict.reason
    assert values["views"][0]["score"] is None
    with pytest.raises(ImageError, match=word):
        inspector.look(tmp_path / "a.png")


def test_another_view_may_still_reject_the_part(inspector: Inspector, tmp_path: Path) -> None:
    lost = tmp_path / "lost.png"
    rejected = inspector.inspect([("top", lost), ("side", dented(200))], "p")
    assert rejected.decision == "reject"
    assert rejected.score == rejected.views[1].score
    assert rejected.reason == rejected.views[0].reason
    passed = inspector.inspect([("top", plate(104)), ("side", lost)], "p")
    assert (passed.decision, passed.score) == ("unreadable", passed.views[0].score)
    twice = inspector.inspect([("top", plate(104)), ("top", lost)], "p")
    assert twice.decision == "unreadable"


def test_a_verdict_on_what_was_read_has_no_reason(inspector: Inspector) -> None:
    values = inspector.inspect(plate(104), "p").to_json()
    assert "reason" not in values
    assert "reason" not in values["views"][0]


# blemish inspect.


def verdicts(run: Any) -> dict[str, str]:
    return {verdict["part"]: verdict["decision"] for verdict in json.loads(run.out)}


@pytest.mark.parametrize("kind", KINDS)
def test_inspect_goes_on(cli: Cli, model: Path, tmp_path: Path, kind: str) -> None:
    damage, word = KINDS[kind]
    save(tmp_path / "new/a.png", plate(104))
    damage(tmp_path / "new/b.png")
    save(tmp_path / "new/c.png", dented(200))
    file = tmp_path / "out.json"
    run = cli("inspect", model, tmp_path / "new", "--json", file)
    run.refusal("b.png", word)
    lines = run.out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["pass", "unreadable", "reject"]
    assert word in lines[1]
    assert lines[3:] == ["3 parts: 1 pass, 1 reject, 1 unreadable"]
    told = json.loads(file.read_text(encoding="utf-8"))
    assert [verdict["decision"] for verdict in told] == ["pass", "unreadable", "reject"]
    out = cli("inspect", model, tmp_path / "new", "--json", "-")
    assert (out.code, json.loads(out.out)) == (2, told)


def test_what_is_no_picture_at_all_has_a_row_too(cli: Cli, model: Path, tmp_path: Path) -> None:
    sound = save(tmp_path / "a.png", plate(104))
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.webp").write_bytes(b"RIFF")
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    asked = [tmp_path / name for name in ("none.png", "empty", "x.webp", "cut.h5", "x" * 300)]
    run = cli("inspect", model, *asked, sound, "--json")
    assert run.code == 2
    found = verdicts(run)
    assert found.pop("a.png") == "pass"
    assert len(found) == len(asked)
    assert set(found.values()) == {"unreadable"}


def test_a_part_of_which_one_view_cannot_be_read(cli: Cli, tmp_path: Path) -> None:
    data = save_views(tmp_path / "data", range(12))
    pattern = ("--part-pattern", VIEW_PATTERN)
    model = tmp_path / "m.blemish"
    quick = ("--size", 64, "--detector", "patchcore", "--set", "bank=50")
    assert cli("train", data, "-o", model, *quick, *pattern).code == 0
    new = save_views(tmp_path / "new", [3, 4, 5])
    (new / "004_top.png").write_bytes(b"")
    (new / "005_top.png").unlink()
    run = cli("inspect", model, new, *pattern, "--json")
    [whole, cut, half] = json.loads(run.out)
    assert (whole["decision"], cut["decision"], half["decision"]) == (
        *("pass", "unreadable", "incomplete"),
    )
    assert cut["missing_views"] == []
    assert half["missing_views"] == ["top"]
    assert [view["score"] is None for view in cut["views"]] == [False, True]


def test_heat_maps_of_the_longest_names_and_of_alike_ones(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    names = [start + "x" * (251 - len(start)) for start in ("a", "b", "ä" * 60)]
    for number, name in enumerate([*names, "same", "sub/same", "sub_same"]):
        path = tmp_path / "new" / f"{name}.png"
        while len(os.fsencode(path.name)) > 255:
            path = path.with_name(path.name[1:])
        save(path, plate(number))
    save(tmp_path / "new/same.bmp", plate(9))
    run = cli("inspect", model, tmp_path / "new", "--heatmaps", tmp_path / "maps")
    assert run.code == 0, run.err
    assert len(list((tmp_path / "maps").iterdir())) == 7


def test_a_heat_map_that_cannot_be_written_hides_no_verdict(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    new = save_good(tmp_path / "new", [104, 105])
    (tmp_path / "maps/104.png").mkdir(parents=True)
    run = cli("inspect", model, new, "--heatmaps", tmp_path / "maps")
    run.refusal("104.png", "could not be written")
    assert [line.split()[0] for line in run.out.splitlines()] == ["pass", "pass", "2"]
    assert (tmp_path / "maps/105.png").is_file()


@given(st.text())
def test_a_harmless_name_fits_every_file_system(name: str) -> None:
    assert len(harmless(name + "x" * 200).encode()) <= 200
    assert harmless(name + "x" * 200) != harmless(name + "x" * 201)


# blemish evaluate.


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test set of 5 good and 4 defective parts; nobody changes it."""
    folder = tmp_path_factory.mktemp("tested")
    return save_set(folder / "set", train=0, good=5, dents=4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", ["good", "dent"])
def test_figures_are_those_of_the_set_without_it(
    inspector: Inspector, tested: Path, tmp_path: Path, kind: str, label: str
) -> None:
    damage, word = KINDS[kind]
    shutil.copytree(tested, tmp_path / "set")
    lost = sorted((tmp_path / "set/test" / label).iterdir())[1]
    lost.unlink()
    expected = evaluate(inspector, _without_mask_of(lost, tmp_path))
    damage(lost)
    found = evaluate(inspector, open_dataset(tmp_path / "set"))
    assert found.figures["decision"].pop("unreadable") == 1
    [told] = found.figures.pop("unreadable")
    assert told["image"] == lost.as_posix()
    assert word in told["reason"]
    for group in ("image", "pixel", "decision", "oracle_f1", "defects"):
        assert found.figures[group] == expected.figures[group], group
    frame = found.frame()
    assert frame.height == expected.frame().height + 1
    assert frame.row(-1, named=True)["decision"] == "unreadable"
    assert frame.row(-1, named=True)["score"] is None
    with pytest.raises(ImageError, match=word):
        found.refuse_unreadable()


def _without_mask_of(image: Path, folder: Path) -> Any:
    """The set in which neither the image nor its mask is."""
    root = shutil.copytree(folder / "set", folder / "less")
    for mask in (root / "ground_truth").rglob(f"{image.stem}_mask.png"):
        mask.unlink()
    return open_dataset(root)


def test_evaluate_writes_all_it_has_and_ends_with_2(
    cli: Cli, model: Path, tested: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(tested, tmp_path / "set")
    (root / "test/good/101.png").write_bytes(b"")
    argv = ("--json", tmp_path / "f.json", "--report", tmp_path / "report")
    run = cli("evaluate", model, root, *argv)
    run.refusal("101.png", "0 bytes")
    assert "1 images could not be read" in run.out
    figures = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert figures["decision"]["unreadable"] == 1
    page = (tmp_path / "report/report.html").read_text(encoding="utf-8")
    assert "101.png is empty" in page


def test_a_set_of_which_nothing_can_be_read(
    cli: Cli, model: Path, tested: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(tested, tmp_path / "set")
    for image in (root / "test").rglob("*.png"):
        image.write_bytes(b"")
    run = cli("evaluate", model, root, "--json", "-", "--report", tmp_path)
    assert run.code == 2
    figures = json.loads(run.out)
    assert figures["image"]["n_good"] == figures["image"]["n_defective"] == 0
    assert figures["decision"]["unreadable"] == len(figures["unreadable"]) == 9


@pytest.mark.parametrize("data", [b"", SOUND[:900]], ids=["header", "pixels"])
def test_a_mask_that_cannot_be_read_is_told_and_counts_as_none(
    cli: Cli, model: Path, tested: Path, tmp_path: Path, data: bytes
) -> None:
    root = shutil.copytree(tested, tmp_path / "set")
    mask = root / "ground_truth/dent/201_mask.png"
    sound = mask.read_bytes()
    mask.write_bytes(sound[: len(sound) - 20] if data else b"")
    run = cli("evaluate", model, root, "--json", "-")
    assert run.code == 2
    found = json.loads(run.out)
    assert [lost["mask"] for lost in found.pop("unreadable_masks")] == [mask.as_posix()]
    assert "unreadable" not in found
    mask.unlink()
    expected = json.loads(cli("evaluate", model, root, "--json", "-").out)
    for group in ("image", "pixel", "decision"):
        assert found[group] == expected[group]


def test_training_and_calibration_still_stop(cli: Cli, model: Path, tmp_path: Path) -> None:
    good = save_good(tmp_path / "good", range(300, 306))
    (good / "303.png").write_bytes(b"")
    out = tmp_path / "m.blemish"
    cli("train", good, "-o", out, "--size", 64).refusal("303.png", "0 bytes")
    cli("calibrate", model, good, "-o", out).refusal("303.png", "0 bytes")
    assert not out.exists()


def test_an_output_takes_the_place_of_no_device(cli: Cli, model: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    picture = save(tmp_path / "a.png", plate(104))
    cli("inspect", model, picture, "--json", pipe).refusal(pipe, "no file")
    assert pipe.is_fifo()


def test_a_message_is_one_line_whatever_it_names() -> None:
    assert str(BlemishError("a\nb \x1b[31m \udcff")) == "a\\nb \\x1b[31m \\xff"
