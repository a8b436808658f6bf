"""The sentence that names the folders, and what is in no row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from layout_trees import TREES
from running import Cli
from trees import tree

from blemish.dataset import open_dataset
from blemish.dataset.folder_meaning import sentence
from blemish.dataset.inspection_images import open_images
from blemish.dataset.stray_pictures import stray_findings
from blemish.images import image_names
from blemish.images.listing import SYSTEM_FOLDERS, contents, skipped_sentence


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["1.png"], "1 picture, taken as good in set"),
        (
            ["a/1.png", "a/2.png", "b/3.png"],
            "3 pictures, all taken as good, in 2 folders: a (2), b (1)",
        ),
        (["NG/1.png", "OK/2.png"], "2 pictures in 2 folders: OK (1, good), NG (1, defective)"),
        (
            ["train/good/1.png", "test/crack/2.png", "ground_truth/crack/2.png"],
            "2 pictures in 2 folders: train/good (1, good, train), test/crack (1, defective, test)",
        ),
        (
            [f"day {d:02}/{n}/1.png" for d in range(12) for n in range(3)],
            "36 pictures, all taken as good, in 12 folders: "
            + ", ".join(f"day {d:02} (3)" for d in range(10))
            + " and 2 more",
        ),
        (
            [f"day {d}/{n}/1.png" for d in range(3) for n in range(9)],
            "27 pictures, all taken as good, in 3 folders: day 0 (9), day 1 (9), day 2 (9)",
        ),
    ],
)
def test_the_sentence(tmp_path: Path, names: list[str], said: str) -> None:
    assert sentence(open_dataset(tree(tmp_path / "set", *names))) == said


def test_of_pictures_to_inspect_nothing_is_taken_for_anything(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "NG/1.png", "OK/2.png")
    assert sentence(open_images([root])) == "2 pictures in 2 folders: NG (1), OK (1)"


def test_the_sentence_comes_first_on_standard_error_and_json_is_alone(
    cli: Cli, tmp_path: Path
) -> None:
    root = tree(tmp_path / "set", "OK/1.png", "NG/2.png")
    run = cli("data", "show", root, "--quiet", "--json", "-")
    assert run.folders == ["2 pictures in 2 folders: OK (1, good), NG (1, defective)"]
    assert json.loads(run.out)["images"] == 2


@pytest.mark.parametrize(
    "system", ["@eaDir", "#recycle", "$RECYCLE.BIN", ".thumbnails", "__MACOSX"]
)
def test_folders_of_the_system_are_skipped_and_counted(
    cli: Cli, tmp_path: Path, system: str
) -> None:
    root = tree(tmp_path / "set", "OK/1.png", "NG/2.png", f"OK/{system}/1.png/thumb.jpg")
    tree(root, f"{system}/x.heic", f"{system}/notes.txt")
    assert image_names(root) == ["NG/2.png", "OK/1.png"]
    assert contents(root).skipped == {system: 2}
    run = cli("data", "show", root)
    assert run.err == [f"WARNING: 2 pictures in {system} are skipped"]
    assert len(open_dataset(root)) == 2


def test_every_folder_of_the_system_is_skipped_by_name(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "1.png", *(f"{name.title()}/2.png" for name in SYSTEM_FOLDERS))
    assert image_names(root) == ["1.png"]
    assert sum(contents(root).skipped.values()) == len(SYSTEM_FOLDERS)
    assert skipped_sentence({"@eaDir": 3, "#recycle": 1}) == (
        "4 pictures in folders of the system are skipped (3 in @eaDir, 1 in #recycle)"
    )
    assert skipped_sentence({}) is None


@pytest.mark.parametrize("name", TREES)
def test_what_a_layout_knows_is_no_stray_picture_and_anything_else_is(
    tmp_path: Path, name: str
) -> None:
    root = TREES[name](tmp_path / "a set")
    assert list(stray_findings(open_dataset(root))) == []
    base = root / "PCBData" if name == "deep_pcb" else root
    tree(base, "notes/9.png", "notes/8.jpg")
    data = open_dataset(root, good=["notes"] if name == "label_folders" else ())
    found = list(stray_findings(data))
    if name == "label_folders":  # every folder is looked at
        assert found == []
        return
    assert [(one.kind, one.severity, one.file) for one in found] == [
        ("stray pictures", "warning", "notes/8.jpg")
    ]
    assert "2 pictures of" in found[0].message
    one = open_dataset(root, category=data.categories[0])
    assert [finding.message for finding in stray_findings(one)] == [found[0].message]


def test_splits_that_the_layout_does_not_know_do_not_vanish_in_silence(
    cli: Cli, tmp_path: Path
) -> None:
    """As in MVTec AD 2, whose test has other names."""
    tests = [f"test_public/{kind}/{n}.png" for kind in ("good", "bad") for n in range(3)]
    masks = [f"test_public/ground_truth/bad/{n}_mask.png" for n in range(3)]
    private = [f"test_private/{n}.png" for n in range(5)]
    trained = [f"{split}/good/{n}.png" for split in ("train", "validation") for n in range(4)]
    root = tree(tmp_path / "can", *trained, *tests, *masks, *private)
    run = cli("data", "show", root)
    [warning] = run.err
    assert warning.startswith(f"WARNING: 14 pictures of {root} are not used")
    check = cli("data", "check", root, "--quick")
    assert "warning: stray pictures (1)" in check.out


def test_a_mask_of_no_picture_is_a_stray_one(tmp_path: Path) -> None:
    names = ["train/good/1.png", "test/dent/1.png"]
    masks = ["ground_truth/dent/1.png", "ground_truth/dent/2.png"]
    [found] = stray_findings(open_dataset(tree(tmp_path / "set", *names, *masks)))
    assert found.file == "ground_truth/dent/2.png"


def test_several_masks_of_one_picture_are_known(tmp_path: Path) -> None:
    names = ["train/good/1.png", "test/dent/1.png"]
    masks = ["ground_truth/dent/1/0.png", "ground_truth/dent/1/1.png"]
    assert list(stray_findings(open_dataset(tree(tmp_path / "set", *names, *masks)))) == []


def test_a_table_says_itself_which_pictures_count(cli: Cli, tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "1.png", "2.png")
    (root / "list.csv").write_text("image\n1.png\n", encoding="utf-8")
    assert cli("data", "show", root / "list.csv").err == []


def test_a_folder_that_is_named_like_a_picture_is_told(cli: Cli, tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "00.png/1.png", "a/01.JPG/notes.txt", "2.png")
    run = cli("data", "show", root)
    assert run.err == ["WARNING: 00.png, a/01.JPG are folders named like pictures; rename them"]
    assert "folders named like pictures" in cli("data", "check", root, "--quick").out
