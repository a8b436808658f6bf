"""Pictures that are left out for their suffix are counted and named by every verb that lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictured import save as save_drawn
from plates import dented, save_good, save_set
from running import Cli
from scans import recipe_at, save_scans
from trees import link, tree

from blemish.images import image_names
from blemish.images.listing import SUFFIXES, is_left_out, left_out, left_out_sentence

UNREAD = ["heic", "dng", "gif", "avif", "cr2", "psd"]


def test_what_is_left_out_is_counted_by_its_suffix(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "a.heic", "b/c.HEIC", "b/d.gif", "e.png", "notes.txt", "gif")
    tree(root, ".hidden.gif", ".hidden/x.gif", ".gif", "b/.gif")
    link(root / "more", tree(tmp_path / "elsewhere", "x.dng"))
    assert left_out(root) == {"heic": 2, "gif": 1, "dng": 1}
    assert left_out(tmp_path / "nowhere") == {}
    assert image_names(root / "b") == []


@given(st.dictionaries(st.sampled_from(UNREAD), st.integers(1, 10**6), min_size=1))
def test_the_sentence_names_every_suffix(counts: dict[str, int]) -> None:
    sentence = left_out_sentence(counts)
    assert sentence is not None
    assert sentence.startswith(f"{sum(counts.values())} picture")
    for suffix, count in counts.items():
        assert f"{count} .{suffix}" in sentence


def test_the_sentence() -> None:
    assert left_out_sentence({}) is None
    assert left_out_sentence({"heic": 1, "webp": 2}) == (
        "3 pictures are not read (2 .webp, 1 .heic): save them as PNG"
    )
    assert left_out_sentence({"gif": 1}) == "1 picture is not read (1 .gif): save it as PNG"


def test_every_picture_is_either_read_or_counted() -> None:
    assert not any(is_left_out(suffix[1:]) for suffix in SUFFIXES)
    assert all(map(is_left_out, UNREAD))
    assert not any(map(is_left_out, ("txt", "csv", "h5", "json", "zip", "", "py", "pdf")))


VERBS = {
    "train": ("train", "{set}", "-o", "{out}/m.blemish", "--size", "64"),
    "train --defects": (
        *("train", "{set}", "--from", "{model}", "--defects", "{new}", "-o", "{out}/m.blemish"),
    ),
    "calibrate": ("calibrate", "{model}", "{new}", "-o", "{out}/m.blemish"),
    "evaluate": ("evaluate", "{model}", "{set}"),
    "inspect": ("inspect", "{model}", "{new}"),
    "data show": ("data", "show", "{set}"),
    "data check": ("data", "check", "{set}", "--quick"),
    "data stats": ("data", "stats", "{set}"),
    "data convert": ("data", "convert", "{set}", "--to", "mvtec", "-o", "{out}/set"),
    "data split": (
        *("data", "split", "{set}", "--protocol", "k_fold", "--set", "k=2", "-o", "{out}/s.json"),
    ),
    "synth preview": ("synth", "preview", "{set}", "--generator", "cutpaste", "-o", "{out}"),
    "synth --sources": (
        *("synth", "apply", "{plain}", "--generator", "cutpaste", "--sources", "{new}"),
        *("-o", "{out}/set"),
    ),
    "label audit": ("label", "audit", "{set}", "-o", "{out}"),
    "export": ("export", "{model}", "--to", "onnx", "--images", "{new}", "-o", "{out}/e"),
}
SAID = "3 pictures are not read (2 .heic, 1 .gif): save them as PNG"


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_says_so_once(cli: Cli, model: Path, tmp_path: Path, verb: str) -> None:
    plain = save_set(tmp_path / "plain", train=6, good=3, dents=3)
    places = {
        "set": save_set(tmp_path / "set", train=6, good=3, dents=3),
        "new": save_good(tmp_path / "new", range(300, 304)),
    }
    for folder in places.values():
        tree(folder, "test/good/x.heic", "test/good/y.HEIC", "test/good/z.gif")
    out = tmp_path / "out"
    out.mkdir()
    words = {**places, "plain": plain, "out": out, "model": model}
    run = cli(*(word.format(**words) for word in VERBS[verb]))
    assert [line for line in run.err if SAID in line] == [f"WARNING: {SAID}"], run


def test_prepare_and_label_say_so_too(cli: Cli, tmp_path: Path) -> None:
    save_scans(tmp_path / "recipe", "train", [1])
    tree(tmp_path / "recipe/train", "x.heic", "y.heic", "z.gif")
    recipe = recipe_at(tmp_path / "recipe")
    text = recipe.read_text(encoding="utf-8").replace('"train/*.png"', '"train"')
    recipe.write_text(text.replace("count = 300", "count = 3"), encoding="utf-8")
    run = cli("prepare", "stream", recipe, "-o", tmp_path / "s.h5")
    assert f"WARNING: {SAID}" in run.err
    images = tree(tmp_path / "images", "x.heic", "y.heic", "z.gif")
    save_drawn(images / "0.png", dented(1))
    run = cli("label", "masks", images, "--scribbles", tmp_path / "recipe", "-o", tmp_path / "o")
    assert any("pictures are not read" in line for line in run.err)


def test_a_folder_of_nothing_else_is_told_what_it_holds(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    folder = tree(tmp_path / "new", "x.heic", "y.heic", "z.gif")
    assert SAID in str(cli("data", "show", folder).err)
    assert SAID in str(cli("inspect", model, folder).err)
