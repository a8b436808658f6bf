"""Products of several views: the scales that a training learns, and the figures of each view."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from contexts import an_hour_later
from plates import VIEW_PATTERN, dented, plate, save, save_good, save_views
from running import Cli

from blemish.calibration.views import Scale
from blemish.dataset import folds, open_dataset
from blemish.detectors.base import Clock
from blemish.errors import BudgetExceeded
from blemish.evaluation import evaluate
from blemish.inspector import Inspector
from blemish.model.artifact import open_artifact, write_artifact
from blemish.training import Plan, train

PLAN = Plan(detector="patchcore", settings={"bank": "50"}, size=64, view_scales=True)
ARGUMENTS = ("--size", 64, "--detector", "patchcore", "--set", "bank=50")
BY_NAME = ("--part-pattern", VIEW_PATTERN)


def rough(seed: int) -> Any:
    """A good plate under a light that shows every hollow: its scores run high."""
    noise = np.random.default_rng(seed).normal(0, 1, (80, 100)).astype(np.float32)
    hollows = 300 * cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(plate(seed) + hollows[..., None], 0, 255).astype(np.uint8)


def faint(seed: int) -> Any:
    """A plate with a dent that is hard to see."""
    return (0.8 * plate(seed) + 0.2 * dented(seed)).astype(np.uint8)


def save_parts(root: Path, seeds: range, *, dent: bool = False) -> Path:
    """Parts seen in calm and in grazing light; a dent shows in calm light alone."""
    for seed in seeds:
        save(root / f"{seed:03}_calm.png", faint(seed) if dent else plate(seed))
        save(root / f"{seed:03}_grazing.png", rough(seed + 1000))
    return root


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product of two views; nobody changes it."""
    root = tmp_path_factory.mktemp("product") / "product"
    save_parts(root / "train/good", range(30))
    save_parts(root / "test/good", range(100, 112))
    save_parts(root / "test/dent", range(200, 208), dent=True)
    return root


@pytest.fixture(scope="module")
def scaled(product: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of it with the scales of its views; nobody changes it."""
    path = tmp_path_factory.mktemp("model") / "scaled.blemish"
    train(open_dataset(product, part_pattern=VIEW_PATTERN), path, PLAN)
    return path


# Learning the scales.


def test_the_scales_are_of_all_parts_that_do_not_set_the_threshold(scaled: Path) -> None:
    card = open_artifact(scaled).card
    views, taught = card.views, set(card.data.trained_parts)
    assert views is not None
    assert {view: scale.scores for view, scale in views.scales.items()} == {
        **{"calm": 24, "grazing": 24}
    }
    assert views.together.scores == 48
    assert len(taught) == 24
    assert not taught & {entry.part for entry in card.calibration.scores}


def test_each_half_is_scored_by_a_model_of_the_other(
    scaled: Path, product: Path, tmp_path: Path
) -> None:
    card = open_artifact(scaled).card
    learnt = open_dataset(product, part_pattern=VIEW_PATTERN).split("train")
    taught = learnt.where(pl.col("part").is_in(card.data.trained_parts))
    scores: dict[str, list[float]] = {"calm": [], "grazing": []}
    for others, left_out in folds(taught, 2, PLAN.seed):
        assert not set(others.parts) & set(left_out.parts)
        # Cross-fitted, a model learns from every part that it is given.
        train(others, tmp_path / "m.blemish", replace(PLAN, view_scales=False, cross_fit=2))
        inspector = Inspector.open(tmp_path / "m.blemish")
        for row in left_out.rows():
            scores[row.view or ""].append(inspector.look(row.image).score)
    expected = {view: Scale.of(values) for view, values in scores.items()}
    assert card.views is not None
    assert card.views.scales == expected
    assert card.views.together == Scale.of(scores["calm"] + scores["grazing"])


def test_the_model_and_its_threshold_are_those_without_the_scales(
    cli: Cli, scaled: Path, product: Path, tmp_path: Path
) -> None:
    model = tmp_path / "plain.blemish"
    assert cli("train", product, "-o", model, *ARGUMENTS, *BY_NAME).code == 0
    plain, with_scales = open_artifact(model), open_artifact(scaled)
    assert plain.card.views is None
    assert plain.model == with_scales.model
    assert plain.card.calibration == with_scales.card.calibration


def test_the_option_asks_for_scales(cli: Cli, scaled: Path, product: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.blemish"
    run = cli("train", product, "-o", model, *ARGUMENTS, *BY_NAME, "--view-scales")
    assert (run.code, run.err) == (0, [])
    assert open_artifact(model).card.views == open_artifact(scaled).card.views


def test_too_few_images_of_a_view_are_said(cli: Cli, tmp_path: Path) -> None:
    good = save_views(tmp_path / "good", range(5))
    run = cli("train", good, "-o", tmp_path / "m", *ARGUMENTS, *BY_NAME, "--view-scales")
    assert run.code == 0
    assert "views with fewer than 5 images to learn a scale from (side, top)" in run.err[0]


def test_scales_that_cannot_be_learnt_are_refused_before_the_training(
    cli: Cli, plates: Path, product: Path, tmp_path: Path
) -> None:
    model = tmp_path / "m.blemish"
    run = cli("train", plates, "-o", model, *ARGUMENTS, "--view-scales")
    run.refusal(plates, "names no views", "--part-pattern", "leave out --view-scales")
    both = ("--view-scales", "--cross-fit", 4)
    run = cli("train", product, "-o", model, *ARGUMENTS, *BY_NAME, *both)
    run.refusal("--cross-fit", "leave out one of the two")
    save_views(tmp_path / "few/train/good", range(1))
    save_views(tmp_path / "few/validation/good", range(2, 4))
    run = cli("train", tmp_path / "few", "-o", model, *ARGUMENTS, *BY_NAME, "--view-scales")
    run.refusal("one good part to learn from", "--view-scales needs two or more")
    assert list(tmp_path.iterdir()) == [tmp_path / "few"]


def test_a_budget_may_run_out_while_the_scales_are_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clocks that move by one second at every look make each budget end at another place."""
    save_views(tmp_path / "good", range(12))
    data = open_dataset(tmp_path / "good", part_pattern=VIEW_PATTERN)
    looks: Counter[Clock] = Counter()

    def elapsed(clock: Clock) -> float:
        looks[clock] += 1
        return looks[clock]

    monkeypatch.setattr(Clock, "elapsed", property(elapsed))
    plan = replace(PLAN, hold_out=0.5)
    straight = train(data, tmp_path / "straight.blemish", plan)
    learnt = []
    for budget in count(0.5):
        try:
            resumed = train(data, tmp_path / "m.blemish", plan, budget=budget, resume=True)
            break
        except BudgetExceeded:
            learnt.append(len(list((tmp_path / "m.blemish.resume").glob("views?.json"))))
    assert set(learnt) == {0, 1, 2}  # halves that were scored when the time was up
    assert open_artifact(resumed.path).model == open_artifact(straight.path).model
    assert resumed.card.views == straight.card.views
    assert resumed.card.calibration == straight.card.calibration


def test_a_training_without_scales_does_not_resume_one_with_them(
    cli: Cli, product: Path, tmp_path: Path
) -> None:
    model = tmp_path / "m.blemish"
    given = ("train", product, "-o", model, *ARGUMENTS, *BY_NAME)
    with an_hour_later():
        assert cli(*given, "--view-scales", "--budget", "10m").code == 2
    cli(*given, "--resume").refusal("give the same ones, or drop --resume")


def test_a_new_threshold_keeps_the_scales(cli: Cli, scaled: Path, tmp_path: Path) -> None:
    good = save_parts(tmp_path / "good", range(300, 306))
    out = tmp_path / "new.blemish"
    assert cli("calibrate", scaled, good, "-o", out, *BY_NAME).code == 0
    assert open_artifact(out).card.views == open_artifact(scaled).card.views


# Evaluating.


def test_a_view_whose_scores_run_high_hides_no_defect_once_it_has_its_scale(
    cli: Cli, scaled: Path, product: Path
) -> None:
    run = cli("evaluate", scaled, product, *BY_NAME, "--json", "-")
    sample = json.loads(run.out)["sample"]
    assert set(sample) == {
        *("auroc", "auroc_interval", "aggregation"),
        *("auroc_mean", "auroc_calibrated", "views"),
    }
    assert sample["auroc_interval"][0] <= sample["auroc"] <= sample["auroc_interval"][1]
    assert sample["aggregation"] == "max"
    assert sample["auroc_calibrated"] > 0.9
    assert sample["auroc"] < 0.8
    assert set(sample["views"]) == {"calm", "grazing"}
    for view in sample["views"].values():
        assert set(view) == {
            *("auroc", "n_good", "n_defective", "caught_alone", "false_rejects_alone")
        }
        assert (view["n_good"], view["n_defective"]) == (12, 8)
    assert sample["views"]["calm"]["auroc"] > 0.95
    assert sample["views"]["grazing"]["auroc"] < 0.9
    shown = cli("evaluate", scaled, product, *BY_NAME).out
    assert f"{sample['auroc_calibrated']:.4f} (each on the scale of its view)" in shown


def test_the_calibrated_maximum_is_that_of_the_cards_scales(scaled: Path, product: Path) -> None:
    inspector = Inspector.open(scaled)
    evaluation = evaluate(inspector, open_dataset(product, part_pattern=VIEW_PATTERN))
    scales = inspector.view_scales
    assert scales is not None
    best: dict[str, float] = {}
    for image in evaluation.images:
        scale = scales.scales[image.view or ""]
        units = (image.score - scale.median) / (1.4826 * scale.mad)
        best[image.part] = max(units, best.get(image.part, -np.inf))
    good = [best[part.part] for part in evaluation.parts if part.label == "good"]
    bad = [best[part.part] for part in evaluation.parts if part.label == "defective"]
    wins = np.mean([[(b > g) + (b == g) / 2 for g in good] for b in bad])
    assert evaluation.figures["sample"]["auroc_calibrated"] == pytest.approx(wins)


def test_what_a_view_alone_rejects_is_counted_over_decided_parts(
    scaled: Path, product: Path, tmp_path: Path
) -> None:
    """At a threshold between the lights, so that each of the views rejects something."""
    root = shutil.copytree(product / "test", tmp_path / "set/test").parent
    (root / "test/good/100_grazing.png").unlink()  # neither passed nor, at this threshold, rejected
    artifact = open_artifact(scaled)
    data = open_dataset(root, part_pattern=VIEW_PATTERN)
    scores = {
        (image.part, image.view): image.score
        for image in evaluate(Inspector.of(artifact), data).images
    }
    threshold = float(np.median([s for (_, view), s in scores.items() if view == "grazing"]))
    card = artifact.card.with_calibration(replace(artifact.card.calibration, threshold=threshold))
    write_artifact(tmp_path / "m.blemish", artifact.model, card)
    evaluation = evaluate(Inspector.open(tmp_path / "m.blemish"), data)
    assert evaluation.figures["decision"]["incomplete"] == 1
    views = evaluation.figures["sample"]["views"]
    expected = {view: Counter[str]() for view in ("calm", "grazing")}
    for part in evaluation.parts:
        above = [v for v in expected if scores.get((part.part, v), -np.inf) > threshold]
        if part.decision != "incomplete" and len(above) == 1:
            expected[above[0]][part.label] += 1
    assert {v: views[v]["caught_alone"] for v in views} == {
        view: counts["defective"] for view, counts in expected.items()
    }
    assert {v: views[v]["false_rejects_alone"] for v in views} == {
        view: counts["good"] for view, counts in expected.items()
    }
    assert views["grazing"]["caught_alone"] > 0
    assert views["grazing"]["false_rejects_alone"] > 0
    assert (views["calm"]["n_good"], views["grazing"]["n_good"]) == (12, 11)


def test_a_model_without_scales_has_the_other_figures(
    cli: Cli, scaled: Path, product: Path, tmp_path: Path
) -> None:
    """As every model that was trained before there were scales."""
    artifact = open_artifact(scaled)
    card = replace(artifact.card, views=None)
    write_artifact(tmp_path / "old.blemish", artifact.model, card, artifact.golden)
    figures = [
        json.loads(cli("evaluate", model, product, *BY_NAME, "--json", "-").out)["sample"]
        for model in (scaled, tmp_path / "old.blemish")
    ]
    assert figures[1] == {**figures[0], "auroc_calibrated": None}


def test_a_view_that_the_training_lacked_is_evaluated(
    scaled: Path, product: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(product / "test", tmp_path / "set/test").parent
    save(root / "test/good/100_below.png", plate(900))
    data = open_dataset(root, part_pattern=VIEW_PATTERN)
    sample = evaluate(Inspector.open(scaled), data).figures["sample"]
    assert sample["auroc_calibrated"] > 0.8
    assert sample["views"]["below"] == {
        **{"auroc": None, "n_good": 1, "n_defective": 0},
        **{"caught_alone": 0, "false_rejects_alone": 0},
    }


def test_parts_without_named_views_have_no_figures_by_view(model: Path, tmp_path: Path) -> None:
    save_good(tmp_path / "set/test/good", range(100, 104))
    save(tmp_path / "set/test/dent/200.png", dented(200))
    save(tmp_path / "set/test/dent/201.png", dented(201))
    data = open_dataset(tmp_path / "set", part_pattern=r"(?P<part>\w+/\d\d)\d\.png")
    sample = evaluate(Inspector.open(model), data).figures["sample"]
    assert sample["views"] == {}
    assert (sample["auroc"], sample["auroc_calibrated"]) == (1.0, None)


def test_the_report_shows_the_views(
    cli: Cli, scaled: Path, product: Path, plates: Path, model: Path, tmp_path: Path
) -> None:
    assert cli("evaluate", scaled, product, *BY_NAME, "--report", tmp_path / "views").code == 0
    html = (tmp_path / "views/report.html").read_text(encoding="utf-8")
    assert "<th class=n>Caught alone</th>" in html
    assert '<th scope="row">grazing</th>' in html
    assert "on the scale of its own good images" in html
    assert cli("evaluate", model, plates, "--report", tmp_path / "plain").code == 0
    html = (tmp_path / "plain/report.html").read_text(encoding="utf-8")
    assert "Caught alone" not in html
