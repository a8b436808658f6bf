"""The demonstration from end to end, small; its drawn plates; and the solar cells' layout."""

from __future__ import annotations

import json
import sys
from functools import partial
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from blemish.calibration.promise import parts_needed
from blemish.cli import main
from blemish.dataset import findings, open_dataset
from blemish.dataset.layouts import elpv, find_layout
from blemish.demo import (
    Product,
    drawn_plates,
    job,
    products,
    run_demo,
    solar_cells,
    steel_plate_set,
)
from blemish.demo.steel_plate_defects import DEFECTS
from blemish.demo.steel_plate_set import SplitSizes, draw_plates
from blemish.demo.steel_plates import HEIGHT, WIDTH, Shot, draw_plate, photograph, photograph_mask
from blemish.errors import DatasetError
from blemish.training import Plan

FEW = SplitSizes(train=16, validation=24, good=6, of_each_defect=3)
TINY = SplitSizes(train=8, validation=5, good=2, of_each_defect=1)

needs_cells = pytest.mark.skipif(
    find_spec("elpv_dataset") is None, reason="the package elpv-dataset is not installed"
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLEMISH_CACHE", str(tmp_path / "cache"))


# --- drawn plates ---------------------------------------------------------------------------------


def test_a_seed_gives_the_same_plate_and_another_seed_another() -> None:
    def picture(seed: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        return photograph(draw_plate(generator), Shot.drawn(generator))

    assert picture(1).shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(picture(1), picture(1))
    assert np.abs(picture(1).astype(int) - picture(2)).mean() > 2


@pytest.mark.parametrize("kind", DEFECTS)
@pytest.mark.parametrize("seed", range(5))
def test_a_mask_lies_where_the_defect_changed_the_picture(kind: str, seed: int) -> None:
    generator = np.random.default_rng([seed, 7])
    plate, shot = draw_plate(generator), Shot.drawn(generator)
    defective, fine = DEFECTS[kind](plate, generator)
    mask = photograph_mask(fine, shot)
    before, after = photograph(plate, shot).astype(int), photograph(defective, shot).astype(int)
    change = np.abs(after - before).max(axis=2)
    assert 10 < mask.sum() < 0.1 * mask.size
    assert change[mask].mean() > 5
    assert np.mean(change[~mask] > 12) < 0.002
    assert mask[np.unravel_index(change.argmax(), change.shape)]


def test_the_full_set_has_good_plates_enough_to_prove_the_promise() -> None:
    assert SplitSizes().validation >= parts_needed(0.01, 0.95)


def test_a_drawn_set_is_sound_and_the_same_at_every_call(tmp_path: Path) -> None:
    first, second = (drawn_plates(tmp_path / name, TINY).data for name in ("a", "b"))
    assert findings(first) == []
    assert {split: len(first.split(split)) for split in ("train", "validation", "test")} == {
        "train": 8,
        "validation": 5,
        "test": 2 + len(DEFECTS),
    }
    assert sum(mask is not None for mask in first.masks) == len(DEFECTS)
    same = zip(first.images, second.images, strict=True)
    assert all(a.read_bytes() == b.read_bytes() for a, b in same)
    assert first.terms == steel_plate_set.LICENCE
    draw_plates(tmp_path / "a", TINY)  # again, over the same files
    assert len(open_dataset(tmp_path / "a")) == len(first)


def test_plates_are_not_drawn_into_a_folder_with_something_else(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me", encoding="utf-8")
    with pytest.raises(DatasetError, match="holds something else"):
        draw_plates(tmp_path, FEW)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_main_job_on_drawn_plates(tmp_path: Path) -> None:
    demo = run_demo(drawn_plates(tmp_path / "data", FEW), tmp_path, plan=Plan(size=128))
    assert {path.name for path in tmp_path.iterdir()} >= {
        "data",
        "heatmaps",
        "model.blemish",
        "report.html",
    }
    figures = demo.evaluation.figures
    assert figures["image"]["n_good"] == 6
    assert figures["image"]["n_defective"] == 3 * len(DEFECTS)
    assert figures["image"]["auroc"] > 0.7
    assert figures["pixel"]["auroc"] > 0.85
    assert demo.heatmaps
    assert all(path.is_file() for path in demo.heatmaps)
    HTMLParser().feed(demo.report.read_text(encoding="utf-8"))
    learnt, found, rejected, promise = demo.story()
    decision = figures["decision"]
    assert "learnt from 16 good plates and set its threshold on 24 others" in learnt
    assert f"found {decision['tp']} of 12 plates with a scratch" in found
    assert f"rejected {decision['fp']} of 6 good plates" in rejected
    assert "provisional" in promise


def test_the_verb_draws_and_says_where_the_report_lies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steel_plate_set, "SplitSizes", lambda: TINY)
    monkeypatch.setattr(job, "Plan", partial(Plan, size=64))
    out, file = tmp_path / "out", tmp_path / "figures.json"
    assert main(["demo", "--synthetic", "--out", str(out), "--json", str(file)]) == 0
    said = capsys.readouterr().out
    assert "no rights reserved" in said
    assert "It learnt from 8 good plates" in said
    assert str(out / "report.html") in said
    written = json.loads(file.read_text(encoding="utf-8"))
    assert {"image", "pixel", "decision", "demo"} <= written.keys()
    assert Path(written["demo"]["model"]).is_file()


# --- solar cells ----------------------------------------------------------------------------------


def few_cells(train: int, test: int) -> Product:
    """Some of the cells: good ones to learn from, and as many good as defective ones to test."""
    product = solar_cells()
    data = product.data
    rows = [
        data.split("train").table[:train],
        data.split("test").good().table[:test],
        data.split("test").defective().table[-test:],
    ]
    table = rows[0].vstack(rows[1]).vstack(rows[2])
    return Product(data.with_table(table), product.one, product.many, product.defective)


@needs_cells
def test_the_cells_are_counted() -> None:
    data = open_dataset(solar_cells().data.root)
    expected = {"mono": (412, 176, 313), "poly": (644, 276, 402)}
    for kind, (train, good, defective) in expected.items():
        cells = data.category(kind)
        assert cells.counts()["splits"] == {
            "train": {"good": {"images": train, "parts": train}},
            "test": {
                "good": {"images": good, "parts": good},
                "defective": {"images": defective, "parts": defective},
            },
        }
        assert round(0.7 * (train + good)) == train
    assert solar_cells().data.categories == ["mono"]
    assert "NC-SA" in (data.terms or "")
    assert "elpv_dataset" not in sys.modules


@needs_cells
def test_the_main_job_on_solar_cells(tmp_path: Path) -> None:
    demo = run_demo(few_cells(40, 12), tmp_path, plan=Plan(size=128))
    figures = demo.evaluation.figures
    assert figures["image"]["auroc"] > 0.8
    assert set(figures["pixel"].values()) == {None}
    assert demo.trained.card.data.terms == elpv.TERMS
    assert "non-commercial" in demo.report.read_text(encoding="utf-8")
    assert "of 12 solar cells with cracks" in demo.story()[1]


def test_without_the_cells_one_sentence_says_how_to_get_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "find_spec", lambda name: None)
    assert main(["demo", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install 'blemish[demo]'" in said
    assert "--synthetic" in said
    assert not (tmp_path / "out").exists()


def tiny_elpv(folder: Path, *lines: str) -> Path:
    (folder / "images").mkdir()
    for number in range(1, 6):
        (folder / "images" / f"cell000{number}.png").write_bytes(b"")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_cells_are_split_by_the_list_and_uncertain_ones_left_out(tmp_path: Path) -> None:
    listed = elpv.TRAIN_LIST.read_text(encoding="utf-8").split()
    assert listed == sorted(set(listed))
    assert "images/cell0004.png" in listed
    root = tiny_elpv(
        tmp_path,
        "images/cell0001.png  1.0                 mono",
        "images/cell0002.png  0.3333333333333333  mono",
        "images/cell0003.png  0.6666666666666666  poly",
        "images/cell0004.png  0.0                 mono",
        "images/cell0005.png  0.0                 poly",
    )
    assert find_layout(root) is find_layout(root, "elpv")
    data = open_dataset(root)
    chosen = data.table.select("image", "category", "split", "label", "defect").rows()
    assert chosen == [
        ("images/cell0001.png", "mono", "test", "defective", "defect"),
        ("images/cell0004.png", "mono", "train", "good", None),
        ("images/cell0005.png", "poly", "test", "good", None),
    ]
    assert data.terms == elpv.TERMS


def test_odd_lines_and_absent_cells_are_named(tmp_path: Path) -> None:
    root = tiny_elpv(tmp_path, "images/cell0001.png 1.0 mono", "images/cell0002.png broken mono")
    with pytest.raises(DatasetError, match=r"labels\.csv .*cell0002\.png broken mono"):
        open_dataset(root)
    (root / "labels.csv").write_text("images/cell0099.png 0.0 mono\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"labels\.csv .*cell0099\.png"):
        open_dataset(root)
