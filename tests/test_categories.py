"""One model for several categories: every category learns, has its threshold and its figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from plates import VIEW_PATTERN, dented, plate, save, save_set, save_views
from running import Cli

from blemish.calibration.part_calibration import HeldOut, calibrate_parts
from blemish.calibration.promise import Promise
from blemish.dataset import Dataset, open_dataset
from blemish.detectors import learns_several_categories
from blemish.errors import CalibrationError, DatasetError
from blemish.evaluation import Evaluation, evaluate
from blemish.inspector import Inspector
from blemish.model.artifact import open_artifact
from blemish.model.card import DataCounts
from blemish.training import Plan, hold_out, train
from blemish.training.hold_out import hold_out_parts

PLAN = Plan(detector="padim", settings={"layers": "block4"}, size=64)
ARGUMENTS = ("--detector", "padim", "--set", "layers=block4", "--size", 64)
PROMISE = Promise(0.3, 0.9)  # seven good parts prove it


@pytest.fixture(scope="module", autouse=True)
def _padim_learns_several() -> Iterator[None]:
    """PaDiM stands in for a detector that learns several categories, and says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hold_out, "learns_several_categories", lambda name: name == "padim")
        yield


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two categories: plates, and the same pictures turned, darker, and much less even."""
    root = tmp_path_factory.mktemp("data") / "shop"
    save_set(root / "bolt", train=20)
    for file in sorted((root / "bolt").rglob("*.png")):
        target = root / "nut" / file.relative_to(root / "bolt")
        seed = int(file.stem[:3])
        if "ground_truth" in file.parts:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
            continue
        pixels = dented(seed) if "dent" in file.parts else plate(seed)
        noise = np.random.default_rng(seed).normal(0, 4 + seed % 7 * 3, pixels.shape)
        save(target, np.clip(200.0 - pixels + noise, 0, 255).astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, shop: Path) -> Path:
    """A model of both categories."""
    path = tmp_path_factory.mktemp("model") / "both.blemish"
    return train(open_dataset(shop), path, replace(PLAN, promise=PROMISE)).path


@pytest.fixture(scope="module")
def evaluation(both: Path, shop: Path) -> Evaluation:
    return evaluate(Inspector.open(both), open_dataset(shop))


def calibration_of(model: Path) -> dict[str, Any]:
    entry: dict[str, Any] = open_artifact(model).card.to_json()["calibration"]
    return entry


def rows(shop: Path, **parts: int) -> Dataset:
    """The training rows, but only so many of a category."""
    data = open_dataset(shop).split("train")
    kept = [data.category(name).take(range(count)).table for name, count in parts.items()]
    return data.with_table(kept[0].vstack(kept[1]) if len(kept) > 1 else kept[0])


# Who may learn several categories.


def test_a_detector_that_learns_one_category_says_who_learns_several(
    cli: Cli, shop: Path, tmp_path: Path
) -> None:
    refused = ("train", shop, "-o", tmp_path / "m", "--detector", "patchcore")
    words = ("2 categories (bolt, nut)", "patchcore learns one", "--category")
    assert "several at once (padim)" in cli(*refused).refusal(*words)
    assert cli(*refused, "--category", "nut", "--size", 64, "--set", "bank=20").code == 0


def test_a_detector_says_itself_that_it_learns_several() -> None:
    assert learns_several_categories("uniad")
    assert not any(map(learns_several_categories, ["duet", "padim", "patchcore"]))


# Who sets the thresholds.


@pytest.mark.parametrize(
    ("promise", "held"),
    [
        (Promise(0.3, 0.9), {"bolt": 7, "nut": 7}),  # as its own promise needs
        (Promise(0.2, 0.9), {"bolt": 7, "nut": 5}),  # 11 are more than half, but over all will do
        (Promise(0.01, 0.95), {"bolt": 4, "nut": 3}),  # never: a fifth
    ],
)
def test_every_category_learns_and_is_held_out(
    shop: Path, promise: Promise, held: dict[str, int]
) -> None:
    data = rows(shop, bolt=20, nut=16)
    learnt, rest = hold_out_parts(data, promise)
    assert {name: len(rest.category(name)) for name in rest.categories} == held
    assert len(learnt) + len(rest) == len(data)
    assert not set(learnt.parts) & set(rest.parts)


@pytest.mark.parametrize("cross_fit", [0, 2])
def test_a_category_with_one_part_is_refused_by_name(shop: Path, cross_fit: int) -> None:
    words = rf"1 good part\(s\) of category 'nut'.* at least {2 if cross_fit else 3}"
    with pytest.raises(DatasetError, match=words):
        hold_out_parts(rows(shop, bolt=20, nut=1), PROMISE, cross_fit=cross_fit)


def test_a_validation_split_holds_every_category(shop: Path) -> None:
    half = ["train", "validation"] * 4

    def split(bolt: list[str], nut: list[str]) -> Dataset:
        data = rows(shop, bolt=8, nut=8)
        return data.with_table(data.table.with_columns(split=pl.Series(bolt + nut)))

    learnt, held = hold_out_parts(split(half, half), PROMISE)
    assert learnt.categories == held.categories == ["bolt", "nut"]
    with pytest.raises(DatasetError, match="'nut' in its validation split"):
        hold_out_parts(split(half, ["train"] * 8), PROMISE)
    with pytest.raises(DatasetError, match="'nut' in its train split"):
        hold_out_parts(split(half, ["validation"] * 8), PROMISE)


# A threshold for all, and one for each.


def test_each_category_has_the_promise_of_its_own_parts(
    cli: Cli, both: Path, shop: Path, tmp_path: Path
) -> None:
    entry = calibration_of(both)
    assert list(entry["categories"]) == ["bolt", "nut"]
    assert (entry["good_parts"], entry["provisional"]) == (14, False)
    for name, own in entry["categories"].items():
        scores = [
            max(score for _, score, _ in part["views"])
            for part in entry["scores"]
            if part["category"] == name
        ]
        assert (own["good_parts"], own["provisional"], own["threshold"]) == (7, False, max(scores))
        assert own["upper_bound"] == pytest.approx(1 - 0.1 ** (1 / 7))
    pooled = sorted(max(score for _, score, _ in part["views"]) for part in entry["scores"])
    assert entry["threshold"] == pooled[-1 - entry["rank"]]
    learnt = open_artifact(both).card.data.trained_on
    assert learnt.categories["nut"] == DataCounts(13, 13)
    json.dumps(open_artifact(both).card.to_json(), allow_nan=False)

    run = cli("train", shop, "-o", tmp_path / "m.blemish", *ARGUMENTS, "--hold-out", "30%")
    [bolt] = [line for line in run.out.splitlines() if line.startswith("  bolt: ")]
    assert "from 6 good parts, at most 39.3 % rejected (provisional)" in bolt


def test_a_category_whose_promise_is_not_proven_fails_under_strict(
    cli: Cli, shop: Path, tmp_path: Path
) -> None:
    """Twelve good parts prove it over all, but not six of each."""
    argv = ("train", shop, "-o", tmp_path / "m", *ARGUMENTS, "--hold-out", "30%", "--strict")
    run = cli(*argv, "--max-fpr", "25%", "--confidence", "95%")
    assert run.code == 1
    assert not calibration_of(tmp_path / "m")["provisional"]


def test_a_model_of_one_category_has_one_threshold(cli: Cli, model: Path, plates: Path) -> None:
    entry = calibration_of(model)
    assert "categories" not in entry
    assert all(set(part) == {"part", "views"} for part in entry["scores"])
    cli("inspect", model, plates / "test/dent/200.png", "--category", "plates").refusal(
        "one threshold", "leave out --category plates"
    )


def test_views_that_one_category_lacks_are_not_asked_of_a_part_of_no_name() -> None:
    """Each category by itself still misses its own views."""
    images = [HeldOut(f"n{n}", view, n, n, "nut") for n in range(4) for view in ("side", "top")]
    images += [HeldOut(f"b{n}", "top", 10 + n, n, "bolt") for n in range(4)]
    images += [HeldOut("torn", "side", 99, 99, "nut")]
    calibration = calibrate_parts(images, PROMISE)
    assert calibration.required_views == ("top",)
    required = {name: own.required_views for name, own in calibration.categories.items()}
    assert required == {"bolt": ("top",), "nut": ("side", "top")}
    assert (calibration.good_parts, calibration.threshold) == (8, 13)
    left = {name: own.parts_left_out for name, own in calibration.categories.items()}
    assert (left, calibration.parts_left_out) == ({"bolt": 0, "nut": 1}, 1)


# Inspection.


def test_an_inspection_takes_the_threshold_of_the_category_it_is_told(
    cli: Cli, both: Path, shop: Path
) -> None:
    entry = calibration_of(both)
    image = shop / "bolt/test/good/100.png"

    def threshold(*options: object) -> float:
        run = cli("inspect", both, image, "--json", "-", *options)
        assert run.code == 0, run.err
        [verdict] = json.loads(run.out)
        return float(verdict["threshold"])

    assert threshold() == entry["threshold"]
    own = {name: threshold("--category", name) for name in ("bolt", "nut")}
    assert own == {name: e["threshold"] for name, e in entry["categories"].items()}
    assert own["bolt"] < own["nut"]
    cli("inspect", both, image, "--category", "cog").refusal("'cog'", "it has for bolt, nut")


# Calibration anew.


def test_a_new_calibration_keeps_the_categories(cli: Cli, both: Path, tmp_path: Path) -> None:
    good = tmp_path / "good"
    for name, seeds in (("bolt", range(300, 308)), ("nut", range(400, 409))):
        for seed in seeds:
            save(good / name / f"train/good/{seed}.png", plate(seed))
    out = tmp_path / "new.blemish"
    run = cli("calibrate", both, good, "-o", out, "--max-fpr", "30%", "--confidence", "90%")
    assert run.code == 0
    assert "  nut: threshold" in run.out
    entry = calibration_of(out)
    assert {name: own["good_parts"] for name, own in entry["categories"].items()} == {
        **{"bolt": 8, "nut": 9}
    }
    assert open_artifact(out).model == open_artifact(both).model
    words = ("no good part of nut", "threshold for each of its categories")
    cli("calibrate", both, good / "bolt", "-o", out).refusal(*words)
    cli("calibrate", both, good, "--category", "bolt", "-o", out).refusal(*words)
    assert calibration_of(out) == entry


# Figures.


def test_a_category_has_the_figures_of_an_evaluation_of_its_own(
    evaluation: Evaluation, both: Path, shop: Path
) -> None:
    inspector, data = Inspector.open(both), open_dataset(shop)
    for name, own in evaluation.figures["categories"].items():
        alone = evaluate(inspector, data.category(name))
        assert own == {key: alone.figures[key] for key in own}
        assert own["decision"]["threshold"] == calibration_of(both)["categories"][name]["threshold"]
        assert own["image"]["n_good"] == 6
        assert "categories" not in alone.figures


def test_what_is_not_of_a_category_pools_them(evaluation: Evaluation, both: Path) -> None:
    figures = evaluation.figures
    assert figures["image"]["n_good"] == 12
    assert figures["decision"]["threshold"] == calibration_of(both)["threshold"]
    assert figures["decision"]["promise"]["good_parts"] == 14
    counts = ("tn", "fp", "fn", "tp")
    assert sum(figures["decision"][count] for count in counts) == 24
    auroc, aupro = (
        np.mean([own[group][key] for own in figures["categories"].values()])
        for group, key in (("image", "auroc"), ("pixel", "aupro"))
    )
    assert figures["mean"]["image"]["auroc"] == pytest.approx(auroc)
    assert figures["mean"]["pixel"]["aupro"] == pytest.approx(aupro)
    assert figures["mean"]["sample"] == {"auroc": None}
    assert figures["pixel"]["aupro"] != figures["mean"]["pixel"]["aupro"]


def test_a_mean_is_withheld_where_a_category_lacks_the_figure(both: Path, shop: Path) -> None:
    data = open_dataset(shop)
    no_defects = (pl.col("category") == "nut") & (pl.col("label") == "defective")
    figures = evaluate(Inspector.open(both), data.where(~no_defects)).figures
    assert figures["categories"]["nut"]["image"]["auroc"] is None
    assert figures["mean"]["image"]["auroc"] is None
    assert figures["mean"]["decision"]["recall"] is None
    assert figures["mean"]["decision"]["fpr"] is not None


def test_an_unknown_category_is_decided_at_the_threshold_for_all(
    both: Path, shop: Path, tmp_path: Path
) -> None:
    save_set(tmp_path / "cog", train=0, good=2, dents=2)
    figures = evaluate(Inspector.open(both), open_dataset(tmp_path / "cog")).figures
    assert figures["decision"]["threshold"] == calibration_of(both)["threshold"]


def test_the_categories_are_on_the_screen_and_in_the_report(
    cli: Cli, both: Path, shop: Path, tmp_path: Path
) -> None:
    run = cli("evaluate", both, shop, "--report", tmp_path)
    assert run.code == 0, run.err
    assert "  bolt: image AUROC" in run.out
    assert "mean of 2 categories: image AUROC" in run.out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    table = page[page.index("<h3>Categories</h3>") :]
    assert [table.index(f">{name}</th>") for name in ("bolt", "nut", "Mean")]
    assert cli("evaluate", both, shop, "--category", "nut", "--report", tmp_path).code == 0
    assert "<h3>Categories</h3>" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_parts_of_several_views_are_decided_whole(tmp_path: Path) -> None:
    """Category by category, with views."""
    for number, name in enumerate(("bolt", "nut")):
        save_views(tmp_path / f"shop/{name}/train/good", range(50 * number, 50 * number + 12))
        save_views(tmp_path / f"shop/{name}/test/good", range(50 * number + 20, 50 * number + 24))
    pattern = VIEW_PATTERN.replace("(?P<part>", r"(?P<part>\w+/\w+/\w+/")
    data = open_dataset(tmp_path / "shop", part_pattern=pattern)
    trained = train(data, tmp_path / "m.blemish", PLAN)
    entry = trained.card.calibration
    assert [own.required_views for own in entry.categories.values()] == [("side", "top")] * 2
    figures = evaluate(Inspector.open(trained.path), data).figures
    assert figures["categories"]["nut"]["sample"]["aggregation"] == "max"
    assert figures["categories"]["nut"]["decision"]["incomplete"] == 0


def test_no_category_is_left_without_a_whole_part() -> None:
    with pytest.raises(CalibrationError, match="No good part"):
        calibrate_parts([], PROMISE)
