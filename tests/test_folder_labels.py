"""Labels from folders: what the names say, the answers of a person, and the doubts."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Cli
from trees import tree

from blemish.dataset import Dataset, open_dataset
from blemish.dataset.layouts import find_layout
from blemish.errors import DatasetError

PAIRS = [
    *(("OK", "NG"), ("ok", "nok"), ("good", "bad"), ("IO", "NIO"), ("i.O.", "n.i.O.")),
    *(("gut", "schlecht"), ("good_parts", "bad_parts"), ("Gutteile", "Ausschuss")),
    *(("bons", "mauvais"), ("buoni", "difettosi"), ("良品", "不良品"), ("годные", "брак")),
    *(("normal", "anomaly"), ("pass", "fail"), ("bueno", "malo"), ("no_defects", "defects")),
]


def labels(data: Dataset) -> dict[str, tuple[str | None, str, str | None]]:
    rows = data.table.select("image", "label", "split", "defect").iter_rows()
    return {image: (label, split, defect) for image, label, split, defect in rows}


@pytest.mark.parametrize(("good", "bad"), PAIRS)
def test_folders_that_say_good_and_defective_are_a_layout(
    tmp_path: Path, good: str, bad: str
) -> None:
    root = tree(tmp_path / "set", f"{good}/1.png", f"{bad}/2.png", f"{bad}/kind 1/day/3.png")
    data = open_dataset(root)
    assert data.layout == "label_folders"
    assert not data.has_split
    assert labels(data) == {
        f"{good}/1.png": ("good", "train", None),
        f"{bad}/2.png": ("defective", "test", bad),
        f"{bad}/kind 1/day/3.png": ("defective", "test", "kind 1"),
    }


@pytest.mark.parametrize(
    "doubted",
    [
        *("maybe", "maybe bad", "zu prüfen", "unknown?", "scratch", "NG", "masks", "train"),
        *("line1/NG", "line1/maybe bad/day 2", "line1/n.i.O."),
    ],
)
def test_a_word_of_doubt_or_defect_at_any_depth_needs_an_answer(
    tmp_path: Path, doubted: str
) -> None:
    root = tree(tmp_path / "set", "batch 1/1.png", "batch 2/2.png", f"{doubted}/3.png")
    with pytest.raises(DatasetError, match=r"\(1: ") as refused:
        open_dataset(root)
    assert "--layout folder" in str(refused.value)
    assert "batch" not in str(refused.value).partition(";")[0].replace("line1", "")
    name = doubted.removesuffix("/day 2")
    assert all(row[0] == "good" for row in labels(open_dataset(root, good=[name])).values())
    marked = labels(open_dataset(root, defect=[name]))
    assert [row[:2] for row in marked.values()].count(("defective", "test")) == 1
    assert marked["batch 1/1.png"] == ("good", "train", None)
    assert len(open_dataset(root, layout="folder").good()) == 3


def test_the_refusal_names_the_answers_that_settle_it(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "a/1.png", "NG/2.png", "NG/3.png", "maybe bad/4.png")
    with pytest.raises(DatasetError) as refused:
        open_dataset(root)
    said = str(refused.value)
    assert "NG (2: its name says defective), maybe bad (1: its name is in doubt)" in said
    assert 'say --defect NG; --good "maybe bad" or --defect "maybe bad"' in said
    data = open_dataset(root, defect=["NG"], good=["maybe bad"])
    assert labels(data)["a/1.png"] == ("good", "train", None)
    assert data.table["label"].to_list().count("defective") == 2


def test_unknown_words_beside_a_good_one_are_doubted_and_by_themselves_are_good(
    tmp_path: Path,
) -> None:
    plain = tree(tmp_path / "plain", "batch7/1.png", "batch8/2.png")
    assert open_dataset(plain).layout == "folder"
    beside = tree(tmp_path / "beside", "good/1.png", "batch7/2.png", "3.png")
    with pytest.raises(DatasetError, match=r"\. \(1: beside .* batch7 \(1: beside a folder that"):
        open_dataset(beside)
    data = open_dataset(beside, good=["."], defect=["batch7"])
    assert {image: row[0] for image, row in labels(data).items()} == {
        "good/1.png": "good",
        "batch7/2.png": "defective",
        "3.png": "good",
    }


def test_the_deeper_of_two_answers_counts(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "run/fine/1.png", "run/2.png")
    found = labels(open_dataset(root, defect=["run"], good=["run/fine"]))
    assert found == {
        "run/fine/1.png": ("good", "train", None),
        "run/2.png": ("defective", "test", "run"),
    }


@pytest.mark.parametrize("name", ["NG", "ng", "l1/NG", "L1/ng/", ".\\l1\\NG", "./l1/NG"])
def test_a_folder_is_named_by_its_name_or_path_in_any_case(tmp_path: Path, name: str) -> None:
    root = tree(tmp_path / "set", "l1/OK/1.png", "l1/NG/2.png")
    assert len(open_dataset(root, defect=[name]).defective()) == 1


def test_a_path_from_where_one_stands_names_a_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(tmp_path / "set", "l1/OK/1.png", "l1/NG/2.png")
    monkeypatch.chdir(tmp_path)
    assert len(open_dataset(root, defect=["set/l1/NG"]).defective()) == 1
    assert len(open_dataset(root, defect=[str(root / "l1/NG")]).defective()) == 1


@pytest.mark.parametrize(
    ("good", "defect", "message"),
    [
        (["nope"], [], r"no folder with pictures that is called nope.*--good; there are l1, l1/NG"),
        ([], ["."], r"no folder with pictures that is called \."),
        (["NG"], ["ng"], r"--good NG and --defect ng both mean the folder l1/NG"),
        (["l1/NG"], ["NG"], r"--good l1/NG and --defect NG both mean"),
    ],
)
def test_answers_that_cannot_be(
    tmp_path: Path, good: list[str], defect: list[str], message: str
) -> None:
    root = tree(tmp_path / "set", "l1/OK/1.png", "l1/NG/2.png")
    with pytest.raises(DatasetError, match=message):
        open_dataset(root, good=good, defect=defect)


def test_a_good_folder_among_defects_and_a_bad_one_among_the_good_are_doubted(
    tmp_path: Path,
) -> None:
    for inner in ("OK/maybe", "OK/NG", "NG/good"):
        root = tree(tmp_path / inner, "OK/1.png", "NG/2.png", f"{inner}/3.png")
        with pytest.raises(DatasetError, match=inner):
            open_dataset(root)
        assert len(open_dataset(root, defect=[inner]).defective()) == 2


@pytest.mark.parametrize(
    "mask", ["masks/NG/a/1.png", "masks/a/1_mask.png", "ground_truth/1.tif", "NG/mask/a/1.bmp"]
)
def test_masks_belong_to_the_picture_of_their_name(tmp_path: Path, mask: str) -> None:
    data = open_dataset(tree(tmp_path / "set", "OK/2.png", "NG/a/1.png", mask))
    assert data.table.select("image", "mask").rows() == [("NG/a/1.png", mask), ("OK/2.png", None)]


def test_a_mask_of_no_picture_or_of_two_is_refused(tmp_path: Path) -> None:
    for other in ("masks/9.png", "masks/1.png"):
        root = tree(tmp_path / other, "OK/2.png", "NG/a/1.png", "NG/b/1.png", other)
        with pytest.raises(DatasetError, match=r"named like one picture, .*1 are not, such as mas"):
            open_dataset(root)


def test_a_layout_that_says_itself_is_doubted_only_inside(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "train/good/1.png", "train/good/maybe bad/2.png", "test/ok/3.png")
    with pytest.raises(DatasetError, match=r"train/good/maybe bad \(1: its name is in doubt\)"):
        open_dataset(root)
    assert open_dataset(root, good=["maybe bad"]).table["label"].to_list() == ["good"] * 3
    assert len(open_dataset(root, defect=["maybe bad"]).defective()) == 1


def test_folders_of_a_split_may_be_called_good_in_other_words(tmp_path: Path) -> None:
    names = ["train/gut/1.png", "test/good2/2.png", "test/IO/3.png", "test/n.i.O./4.png"]
    data = open_dataset(tree(tmp_path / "set", *names))
    assert data.layout == "mvtec"
    found = labels(data)
    assert [found[name][0] for name in names] == ["good", "good", "good", "defective"]
    kept = labels(open_dataset(data.root, defect=["good2"]))
    assert kept["test/good2/2.png"] == ("defective", "test", "good2")


def test_folders_that_are_called_0_and_1_may_be_labels(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "0/1.png", "1/2.png")
    with pytest.raises(DatasetError, match=r"0 \(1: 0 and 1 may be labels\), 1 \(1: 0 and 1 may"):
        open_dataset(root)
    assert len(open_dataset(root, good=["0"], defect=["1"]).defective()) == 1
    assert len(open_dataset(tree(root, "2/3.png")).good()) == 3


def test_a_table_without_labels_is_not_all_good(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "a/1.png", "NG/2.png", "maybe/3.png")
    file = root / "list.csv"
    file.write_text("image\na/1.png\nNG/2.png\nmaybe/3.png\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"no label for pictures in NG \(1: .* column 'label'"):
        open_dataset(file)
    file.write_text("image,label\na/1.png,IO\nNG/2.png,n.i.O.\nmaybe/3.png,gut\n", encoding="utf-8")
    assert open_dataset(file).table["label"].to_list() == ["good", "defective", "good"]
    with pytest.raises(DatasetError, match="which says itself what its pictures show"):
        open_dataset(file, defect=["NG"])
    file.write_text("image,label\na/1.png,maybe\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="labels that are not known: maybe"):
        open_dataset(file)
    file.write_text("image,defect\na/1.png,none\nNG/2.png,Kratzer\nmaybe/3.png,i.O.\n", "utf-8")
    assert open_dataset(file).table["defect"].to_list() == [None, "Kratzer", None]


def test_a_layout_wins_over_folders_with_labels(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "train/good/1.png", "test/NG/2.png")
    assert open_dataset(root).layout == "mvtec"
    inner = tree(tmp_path / "named", "good/train/good/1.png", "bad/train/good/2.png")
    assert find_layout(inner).__name__.endswith("mvtec")


@pytest.mark.parametrize(
    "words",
    [
        ("{set}", "--good", "a b", "c", "--defect", "d"),
        ("--good", "a b", "c", "--defect", "d", "{set}"),
        ("{set}", "--good", "a b", "--good", "c", "--defect=d"),
        ("--defect", "d", "--good", "a b", "c", "{set}"),
    ],
)
def test_the_options_take_several_names_before_or_after_the_data(
    cli: Cli, tmp_path: Path, words: tuple[str, ...]
) -> None:
    root = tree(tmp_path / "set", "a b/maybe/1.png", "c/check/2.png", "d/review/3.png")
    run = cli("data", "show", *(word.format(set=root) for word in words))
    assert (run.code, run.err) == (0, [])
    assert run.folders == [
        "3 pictures in 3 folders: a b/maybe (1, good), c/check (1, good), d/review (1, defective)"
    ]
    assert '"layout": "label_folders"' in run.out


def test_too_many_words_are_refused_as_ever(cli: Cli, tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "a/1.png")
    assert cli("data", "show", root, "more", "--good", "a").code == 2
    assert cli("data", "show", root, "--good", "a", "--nonsense").code == 2
