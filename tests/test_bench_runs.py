"""From a protocol and a root to runs: what is there, what is missing, and the key of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from bench_jobs import job, run
from trees import tree

import blemish
from blemish.benchmark import code, runs
from blemish.benchmark.protocol import DataSource, DetectorConfig, Metric, Protocol, SplitChoice
from blemish.benchmark.runs import MissingItem, RunMatrix, expand
from blemish.benchmark.sources import open_location
from blemish.detectors import detector_names
from blemish.errors import BlemishError

CATEGORY = ("train/good/0.png", "train/good/1.png", "test/good/2.png", "test/dent/3.png")


def category(root: Path, *names: str) -> Path:
    return tree(root, *(f"{name}/{image}" for name in names for image in CATEGORY))


def protocol(**changes: object) -> Protocol:
    values: dict[str, object] = {
        "name": "small",
        "title": "small",
        "source": "no paper",
        "data": (DataSource("parts", ("parts",), categories=("bolt", "nut")),),
        "detectors": (DetectorConfig("padim", "padim"), DetectorConfig("destseg", "DeSTSeg")),
        "metrics": (Metric("image.auroc", "I-AUROC"),),
        "seeds": 2,
    }
    return Protocol(**(values | changes))  # type: ignore[arg-type]


def told(matrix: RunMatrix) -> list[tuple[str, str, str, int]]:
    runs = (job.run for job in matrix.jobs)
    return [(r.category, r.variant, r.detector, r.seed) for r in runs]


def test_the_matrix_and_what_is_missing(tmp_path: Path) -> None:
    category(tmp_path / "parts", "nut", "washer")
    matrix = expand(protocol(), tmp_path)
    assert told(matrix) == [("nut", "", "padim", 0), ("nut", "", "padim", 1)]
    assert matrix.missing == (
        MissingItem("detector", "DeSTSeg", f"not available in blemish {blemish.__version__}"),
        MissingItem("category", "bolt", f"not in {tmp_path / 'parts'}"),
    )
    assert {job.location.path for job in matrix.jobs} == {str(tmp_path / "parts")}


def test_a_data_set_that_is_missing_does_not_stop_the_others(tmp_path: Path) -> None:
    category(tmp_path, "Sheet_Metal")
    data = (
        DataSource("parts", ("parts", "a/parts")),
        DataSource("sheet", ("sheet-metal",), tile=256),
        DataSource("cells", ("data",), package="no_such_package"),
    )
    matrix = expand(protocol(data=data), tmp_path, seeds=1)
    assert told(matrix) == [("Sheet_Metal", "", "padim", 0)]
    assert matrix.jobs[0].run.tile == 256
    assert matrix.missing[1:] == (
        MissingItem("data", "parts", f"{tmp_path} holds none of parts, a/parts"),
        MissingItem("data", "cells", "the package no-such-package is not installed"),
    )


def test_the_runs_of_a_category_stand_together(tmp_path: Path) -> None:
    category(tmp_path / "parts", "nut", "bolt")
    two = (SplitChoice("few", "few_shot", {"k": "1"}), SplitChoice("all"))
    matrix = expand(protocol(splits=two), tmp_path, seeds=1)
    assert told(matrix) == [
        ("bolt", "few", "padim", 0),
        ("bolt", "all", "padim", 0),
        ("nut", "few", "padim", 0),
        ("nut", "all", "padim", 0),
    ]
    first, second = (job.run for job in matrix.jobs[:2])
    assert (first.split, first.split_settings) == ("few_shot", (("k", "1"),))
    assert (second.split, second.split_settings) == (None, ())
    assert len({job.run.key for job in matrix.jobs}) == 4


def test_chosen_detectors_categories_and_seeds(tmp_path: Path) -> None:
    category(tmp_path / "parts", "nut", "bolt")
    one = protocol()
    found = expand(one, tmp_path, detectors=["duet"], categories=["nut"], seeds=3)
    assert told(found) == [("nut", "", "duet", seed) for seed in range(3)]
    assert found.missing == ()
    assert len(expand(one, tmp_path, categories=["parts"]).jobs) == 4
    there = ", ".join(detector_names())
    with pytest.raises(BlemishError, match=f"no detector padin; there are: {there}$"):
        expand(one, tmp_path, detectors=["padin"])
    with pytest.raises(BlemishError, match="set nuts in small; there are: bolt, nut, parts"):
        expand(one, tmp_path, categories=["nuts", "bolt"])
    only = expand(one, tmp_path, detectors=["destseg"])
    assert (only.jobs, only.missing[0].name) == ((), "DeSTSeg")


def test_a_category_that_is_asked_for_and_missing(tmp_path: Path) -> None:
    category(tmp_path / "parts", "nut")
    found = expand(protocol(), tmp_path, detectors=["padim"], categories=["bolt"])
    assert found.jobs == ()
    assert [missing.name for missing in found.missing] == ["bolt"]


def test_good_images_from_another_folder(tmp_path: Path) -> None:
    category(tmp_path / "parts", "nut")
    tree(tmp_path / "raw" / "nut", "a.png", "b.png", "c.png")
    data = (DataSource("nut", ("parts/nut",)),)
    raw = (SplitChoice("raw", train_folders=("raw/{data}",)),)
    [found] = expand(protocol(data=data, splits=raw), tmp_path, seeds=1).jobs
    rows = open_location(found.location).table.select("image", "category", "split", "label", "part")
    assert rows.rows() == [
        *(
            (f"raw/nut/{n}.png", "nut", "train", "good", f"raw/nut/{n}.png")
            for n in ("a", "b", "c")
        ),
        *(
            (f"parts/nut/test/{n}.png", "nut", "test", label, f"parts/nut/test/{n}.png")
            for n, label in (("dent/3", "defective"), ("good/2", "good"))
        ),
    ]
    lacking = (SplitChoice("raw", train_folders=("screened/{data}",)),)
    matrix = expand(protocol(data=data, splits=lacking), tmp_path)
    assert matrix.missing[-1] == MissingItem(
        "data", "nut raw", f"{tmp_path} holds none of screened/nut"
    )


def test_two_budgets_of_one_detector_are_two_contestants(tmp_path: Path) -> None:
    """A detector's name chooses both, a label one."""
    category(tmp_path / "parts", "nut")
    two = (
        DetectorConfig("padim", "PaDiM", settings={"channels": "50"}),
        DetectorConfig("padim", "PaDiM, 2 min", budget=120.0),
        DetectorConfig("duet", "duet"),
    )
    one = protocol(detectors=two)

    def chosen(*names: str) -> list[tuple[str, float | None]]:
        jobs = expand(one, tmp_path, detectors=names, seeds=1).jobs
        return [(job.run.detector, job.run.budget) for job in jobs]

    assert chosen("padim") == [("padim", None), ("padim", 120.0)]
    assert chosen("PaDiM, 2 min") == [("padim", 120.0)]
    assert chosen("PaDiM", "duet") == [("padim", None), ("duet", None)]
    assert len({job.run.key for job in expand(one, tmp_path, seeds=1).jobs}) == 3
    with pytest.raises(BlemishError, match="no detector PaDiM, 5 min"):
        chosen("PaDiM, 5 min")


# The key.


def test_every_field_of_a_run_decides_its_key() -> None:
    changed = {
        "protocol": "other",
        "data": "other",
        "category": "bolt",
        "variant": "other",
        "split": "uiad",
        "split_settings": (("k", "5"),),
        "detector": "duet",
        "preset": "cpu",
        "settings": (("bank", "51"),),
        "size": None,
        "resize": "pad",
        "tile": 256,
        "seed": 1,
        "fingerprint": "e" * 64,
        "crop": 224,
        "budget": 120.0,
    }
    assert set(changed) == {field.name for field in dataclasses.fields(run())}
    others = [dataclasses.replace(run(), **{name: value}) for name, value in changed.items()]
    keys = {run().key, *(other.key for other in others)}
    assert len(keys) == 1 + len(changed)
    assert all(len(key) == 16 and set(key) <= set("0123456789abcdef") for key in keys)
    assert run().key == run().key


def test_the_code_decides_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = run().key
    assert run().code == code.this_code("quick")
    monkeypatch.setattr(runs, "this_code", lambda *_: code.Code("0.0.9", "a" * 16, "b" * 16))
    assert run().key != before


def test_code_is_told_by_what_a_run_reaches() -> None:
    padim, patchcore = code.this_code("padim"), code.this_code("patchcore")
    assert padim.source == patchcore.source
    assert len({padim.method, patchcore.method, code.this_code("padim", "uiad").method}) == 3


def test_a_release_leaves_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before, now = run().key, run().code
    monkeypatch.setattr(
        runs, "this_code", lambda *_: dataclasses.replace(now, version=f"{now.version}.1")
    )
    assert run().key == before


def test_changed_images_change_the_key(tmp_path: Path) -> None:
    def key() -> str:
        open_location.cache_clear()
        runs.open_category.cache_clear()
        return expand(protocol(), tmp_path, seeds=1).jobs[0].run.key

    category(tmp_path / "parts", "nut")
    before = key()
    assert key() == before
    (tmp_path / "parts/nut/train/good/0.png").write_bytes(b"another picture")
    assert key() != before


def test_a_run_in_words() -> None:
    assert run().words() == "quick, parts nut, seed 0"
    one = dataclasses.replace(run(), data="LSM-1", category="LSM-1", variant="alpha 0.1")
    assert one.words() == "quick, LSM-1, alpha 0.1, seed 0"
    assert dataclasses.replace(run(), budget=600.0).words() == "quick, 10 min, parts nut, seed 0"
    assert job().run == run()
