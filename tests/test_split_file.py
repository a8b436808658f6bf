"""A split as a file: the same bytes everywhere, and refused when it is not what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from running import Cli
from split_tables import data, table

from blemish.dataset import open_dataset
from blemish.dataset.split_file import apply_split, write_split
from blemish.dataset.splits import divide
from blemish.errors import DatasetError

ROWS = data(table("nut", views=2, train_good=12, test_dent=8, test_unknown=1))
FUIAD = divide(ROWS, "fuiad", 1, {"test_parts": "3", "alpha": "0.2"})


def written(tmp_path: Path) -> Path:
    write_split(FUIAD, tmp_path / "split.json")
    return tmp_path / "split.json"


def test_what_was_written_is_applied_again(tmp_path: Path) -> None:
    path = written(tmp_path)
    applied = apply_split(ROWS, path)
    assert applied.table.equals(FUIAD.data.table)
    assert len(FUIAD.hidden) == 4
    assert apply_split(ROWS.with_table(ROWS.table.reverse()), path).table.equals(
        FUIAD.data.table.reverse()
    )


def test_the_bytes_are_the_same_on_every_machine(tmp_path: Path) -> None:
    first = written(tmp_path).read_bytes()
    shuffled = ROWS.with_table(ROWS.table.sample(fraction=1, shuffle=True, seed=5))
    again = divide(shuffled, "fuiad", 1, {"alpha": "0.2", "test_parts": "3"})
    write_split(again, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == first
    assert hashlib.sha256(first).hexdigest()[:16] == "50dd4a9873a89a6d"


def test_a_file_says_what_made_it(tmp_path: Path) -> None:
    content = json.loads(written(tmp_path).read_bytes())
    assert {key: content[key] for key in ("schema", "data", "protocol", "settings", "seed")} == {
        "schema": 1,
        "data": "root",
        "protocol": "fuiad",
        "settings": {"alpha": 0.2, "test_parts": 3, "alphas": []},
        "seed": 1,
    }
    assert {side: len(names) for side, names in content["images"].items()} == {
        "train": 22,
        "validation": 0,
        "test": 12,
    }
    assert set(content["hidden"]) < set(content["images"]["train"])


def test_another_name_of_the_data_set_does_not_matter(tmp_path: Path) -> None:
    path = written(tmp_path)
    moved = replace(ROWS, root=Path("elsewhere"), name="other")
    assert len(apply_split(moved, path)) == 34


def change(**new: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda content: {**content, **new}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change(seed=2), "was changed after it was written; write it again with `blemish data spl"),
        (change(hidden=[]), "was changed after it was written"),
        (change(images=None), "was changed after it was written"),
        (change(extra=1), "was changed after it was written"),
        (change(schema=2), "has schema 2, and this version of blemish reads 1; update blemish, or"),
        (lambda content: {"images": {}}, "is no split file; write it again"),
        (lambda content: [content], "is no split file; write it again"),
    ],
)
def test_a_file_that_is_not_what_was_written(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], object], message: str
) -> None:
    path = written(tmp_path)
    path.write_text(json.dumps(spoil(json.loads(path.read_bytes()))), encoding="utf-8")
    with pytest.raises(DatasetError, match=f"split.json {message}"):
        apply_split(ROWS, path)


@pytest.mark.parametrize("size", [0, 700])
def test_a_file_that_is_cut_off(tmp_path: Path, size: int) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DatasetError, match="is no split file, or cut off"):
        apply_split(ROWS, path)


def test_a_file_that_is_a_picture_or_absent_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DatasetError, match=r"a\.png is no split file"):
        apply_split(ROWS, tmp_path / "a.png")
    with pytest.raises(DatasetError, match="none cannot be read"):
        apply_split(ROWS, tmp_path / "none")
    with pytest.raises(DatasetError, match="is a folder; name a file for the split"):
        write_split(FUIAD, tmp_path)


def test_images_that_the_data_set_lacks_are_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    fewer = ROWS.where(pl.col("label") == "good")
    with pytest.raises(
        DatasetError, match=r"root does not have \(5\): nut/test/dent/._0\.png, .*was written for"
    ):
        apply_split(fewer, path)


def test_more_images_than_the_split_names_are_unused(tmp_path: Path) -> None:
    path = written(tmp_path)
    more = data(ROWS.table, table("bolt", train_good=3))
    assert apply_split(more, path).table.equals(FUIAD.data.table)


# On the command line


def test_a_split_is_used_by_every_verb(cli: Cli, plates: Path, tmp_path: Path) -> None:
    file, model = tmp_path / "split.json", tmp_path / "m.blemish"
    made = cli(
        *("data", "split", plates, "--protocol", "fuiad", "--seed", 4, "-o", file),
        *("--set", "test_parts=4", "--set", "alpha=0.1"),
    )
    assert (made.code, made.err) == (0, [])
    assert made.out.splitlines() == [
        "parts   train good  train noise  test good  test defective",
        "plates          18            2          4               4",
        "noise: the labels of 2 images are hidden",
        f"{file}: 28 of 32 images",
    ]
    assert len(open_dataset(plates, split=file)) == 28
    shown = json.loads(cli("data", "show", plates, "--split", file, "--json", "-").out)
    assert shown["splits"] == {
        "test": {"defective": {"images": 4, "parts": 4}, "good": {"images": 4, "parts": 4}},
        "train": {"good": {"images": 20, "parts": 20}},
    }
    assert cli("data", "check", plates, "--split", file).code == 0
    quick = ("--size", 64, "--detector", "patchcore", "--set", "bank=50", "--quiet")
    trained = cli("train", plates, "--split", file, "-o", model, *quick)
    assert "learnt from 16 images of 16 good parts" in trained.out
    evaluated = cli("evaluate", model, plates, "--split", file)
    assert "images: 4 good, 4 defective" in evaluated.out


def test_a_split_of_several_categories(cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for category, good, dents in (("bolt", 9, 6), ("nut", 8, 1)):
        for folder, count in (("train/good", good), ("test/dent", dents)):
            (root / category / folder).mkdir(parents=True)
            for number in range(count):
                (root / category / folder / f"{number}.png").touch()
    (root / "gear" / "train" / "good").mkdir(parents=True)
    (root / "gear" / "train" / "good" / "0.png").touch()
    file = tmp_path / "split.json"
    command = ("data", "split", root, "--protocol", "supervised", "-o", file)
    run = cli(*command, "--set", "test_share=1/3")
    assert run.out.splitlines()[:3] == [
        "parts  train good  train defective  test good  test defective",
        "bolt            6                3          3               3",
        "left out: gear has 1 part(s) to divide between training and test; it needs two",
    ]
    figures = json.loads(cli(*command, "--json", "-").out)
    assert figures["parts"]["bolt"]["train"] == {"defective": 3, "good": 6}
    assert sorted(figures["not_valid"]) == ["gear", "nut"]
    one = open_dataset(root, split=file, category="bolt")
    assert one.categories == ["bolt"]
    assert len(one) == 15


def test_mistakes_of_a_split_are_one_sentence(cli: Cli, plates: Path, tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    split = ("data", "split", plates, "-o", file, "--protocol")
    cli(*split, "none").refusal("there is no split protocol 'none'", "uiad")
    cli(*split, "uiad", "--set", "k").refusal("--set k has no value")
    cli(*split, "uiad", "--set", "k=1").refusal("has no setting 'k'")
    cli(*split, "fuiad").refusal("26 good and 6 defective", "test_parts=100")
    assert not file.exists()
    cli("train", plates, "--split", file, "-o", tmp_path / "m").refusal(file, "cannot be read")
