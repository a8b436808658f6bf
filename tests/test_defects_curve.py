"""`blemish defects curve`: what more real defects buy, on data where that is planted."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from defect_runs import defective_set, ease, execute, fails, results
from hypothesis import given
from hypothesis import strategies as st
from plates import VIEW_PATTERN, save_set, save_views
from running import Cli

from blemish.benchmark.defects import curve_table
from blemish.benchmark.defects.curve import DefectCurve, curve_of, make_curve, to_json
from blemish.benchmark.defects.curve_figure import kinds_figure, rates_figure
from blemish.benchmark.defects.curve_page import render, write_curve
from blemish.benchmark.defects.curve_plan import CurvePlan, Step, plan_curve
from blemish.benchmark.defects.decisions import Decisions, share_interval
from blemish.benchmark.defects.experiment import Experiment, SupervisedDetector, experiment_of
from blemish.benchmark.defects.rate_change import in_words, rate_change
from blemish.benchmark.sources import DataLocation
from blemish.dataset.splits import divide
from blemish.errors import BlemishError, DatasetError

pytest.importorskip("torch", reason="mixed supervision needs PyTorch")


def make_experiment(root: Path, *, draws: int = 2, seed: int = 0) -> Experiment:
    return experiment_of(
        DataLocation(str(root)), None, SupervisedDetector("mixed"), draws=draws, seed=seed
    )


def made(
    root: Path, out: Path, numbers: Sequence[int] | None = None, *, draws: int = 2, **plans: object
) -> DefectCurve:
    experiment = make_experiment(root, draws=draws)
    planned = plan_curve(experiment, numbers, **plans)  # type: ignore[arg-type]
    return curve_of(experiment, planned, results(planned.in_order(), out))


def outcome(defective: Sequence[int], *draws: Sequence[int]) -> Decisions:
    parts = tuple(f"{i:03}" for i in range(len(defective)))
    return Decisions(parts, np.array(defective, bool), np.array(draws, bool), None, 0)


# the plan


def test_without_real_defects_in_training_every_part_is_tested_once_a_draw(tmp_path: Path) -> None:
    experiment = make_experiment(defective_set(tmp_path / "set"))
    planned = plan_curve(experiment, [0, 6])
    assert planned.folds == 5
    for draw in planned.jobs[Step(6)]:
        tested: list[str] = []
        for job in draw:
            run = job.run
            sides = divide(experiment.data, str(run.split), run.seed, dict(run.split_settings)).data
            assert len(sides.split("train").real().parts) == 6
            tested += sides.split("test").parts
        assert sorted(tested) == sorted(experiment.data.parts)


def test_fewer_real_defects_are_among_more_and_each_draw_has_its_own(tmp_path: Path) -> None:
    experiment = make_experiment(defective_set(tmp_path / "set"))
    planned = plan_curve(experiment, [2, 6])

    def taught(step: Step, draw: int) -> set[str]:
        run = planned.jobs[step][draw][0].run
        sides = divide(experiment.data, str(run.split), run.seed, dict(run.split_settings)).data
        return set(sides.split("train").real().parts)

    assert taught(Step(2), 0) < taught(Step(6), 0)
    assert taught(Step(6), 0) != taught(Step(6), 1)


def test_the_usual_numbers_are_none_and_the_fractions_of_isp_ad(tmp_path: Path) -> None:
    root = defective_set(tmp_path / "set", kinds={"dent": 20, "scratch": 20})
    planned = plan_curve(make_experiment(root))
    assert planned.pool == 32  # of 40, in the smallest union of four folds
    assert [step.number for step in planned.steps] == [0, 2, 4, 8, 16, 32]


def test_with_real_defects_in_training_the_test_on_disk_stays(tmp_path: Path) -> None:
    experiment = make_experiment(defective_set(tmp_path / "set", learnt=4))
    planned = plan_curve(experiment)
    assert (planned.folds, planned.pool) == (None, 8)
    assert [step.number for step in planned.steps] == [0, 1, 2, 4, 8]
    [job] = planned.jobs[Step(4)][0]
    sides = divide(experiment.data, str(job.run.split), 0, dict(job.run.split_settings)).data
    assert len(sides.split("train").real().parts) == 4
    assert sides.split("test").parts == experiment.data.split("test").parts
    assert plan_curve(experiment, folds=4).folds == 4  # unless folds are experiment for


def test_groups_are_compared_at_equal_numbers(tmp_path: Path) -> None:
    root = defective_set(tmp_path / "set", kinds={"dent": 10, "scratch": 10, "stain": 2})
    experiment = make_experiment(root)
    planned = plan_curve(experiment, [0, 4, 6], groups=True)
    alone = [(step.number, step.group) for step in planned.steps if step.group]
    assert alone == [(4, "dent"), (6, "dent"), (4, "scratch"), (6, "scratch")]
    assert "stain (1)" in planned.notes[0]  # of two, one is in each half of the folds
    run = planned.jobs[Step(4, "dent")][0][0].run
    sides = divide(experiment.data, str(run.split), run.seed, dict(run.split_settings)).data
    assert set(sides.split("train").real().table["defect"]) == {"dent"}


def test_a_draw_comes_after_the_other_so_that_an_early_end_leaves_a_curve(tmp_path: Path) -> None:
    planned = plan_curve(make_experiment(defective_set(tmp_path / "set"), seed=7), [0, 4])
    assert [job.run.seed for job in planned.in_order()] == [7] * 10 + [8] * 10


# the curve


def test_the_curve_finds_what_was_planted(tmp_path: Path) -> None:
    root = defective_set(tmp_path / "set", kinds={"dent": 12, "scratch": 12})
    curve = made(root, tmp_path / "out", [0, 5, 10])
    none, _, most = curve.mixed
    assert none.honest["recall"] == 0
    defective = make_experiment(root).data.real().parts
    assert most.honest["tp"] == sum(ease(part) < 1 for part in defective)
    assert [point.honest["tn"] for point in curve.mixed] == [none.honest["tn"]] * 3
    assert set(most.kinds) == {"dent", "scratch"}
    assert most.kinds["dent"][1] == 12
    recall, fpr = curve.changes()
    assert recall.proven
    assert not fpr.proven
    assert curve.conclusion().startswith(
        "From 0 to 10 real defective parts: recall rises from 0 % (0 to"
    )
    assert curve.conclusion().endswith(", part by part.")  # nothing changes for the good ones


def test_two_parts_prove_nothing_however_much_they_change(tmp_path: Path) -> None:
    before = outcome([0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0])
    after = outcome([0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1])
    found = rate_change(before, after, "recall")
    assert found is not None
    assert (found.before, found.after, found.proven) == (0, 1, False)
    said = in_words(found, before.recall_interval(), after.recall_interval())
    assert said.startswith("no change of recall that these parts can prove (0 %")


def test_what_the_draws_differ_by_is_in_the_interval() -> None:
    labels = [0] * 5 + [1] * 40
    before = outcome(labels, [0] * 45, [0] * 45)
    sure = outcome(labels, [0] * 5 + [1] * 20 + [0] * 20, [0] * 5 + [1] * 20 + [0] * 20)
    unsure = outcome(labels, [0] * 5 + [1] * 40, [0] * 45)
    first, second = rate_change(before, sure, "recall"), rate_change(before, unsure, "recall")
    assert first is not None
    assert second is not None
    assert first.after == second.after == 0.5
    assert first.proven
    assert not second.proven  # one of two drawings bought everything, the other nothing


def test_a_fall_is_called_a_fall() -> None:
    before = outcome([1] * 30 + [0] * 30, [1] * 30 + [1] * 20 + [0] * 10)
    after = outcome([1] * 30 + [0] * 30, [0] * 30 + [0] * 30)
    recall, fpr = rate_change(before, after, "recall"), rate_change(before, after, "fpr")
    assert recall is not None
    assert fpr is not None
    assert in_words(recall, None, None) == "recall falls from 100 % to 0 %"
    assert in_words(fpr, None, None) == "FPR falls from 67 % to 0 %"


@given(st.integers(1, 40), st.floats(0, 1))
def test_an_interval_holds_its_rate_and_is_never_narrower_than_that_of_whole_parts(
    n: int, share: float
) -> None:
    interval = share_interval(share * n, n)
    assert interval is not None
    low, high = interval
    assert 0 <= low <= share + 1e-6
    assert share - 1e-6 <= high <= 1
    whole = share_interval(round(share * n), n)
    assert whole is not None
    assert low <= whole[0] or high >= whole[1]


def test_many_draws_of_a_part_are_one_observation() -> None:
    once = outcome([1, 1, 1, 1], [1, 1, 0, 0])
    often = outcome([1, 1, 1, 1], *[[1, 1, 0, 0]] * 50)
    assert once.recall_interval() == often.recall_interval()
    assert once.fpr_interval() is None


def test_an_unproven_change_is_told_with_its_interval() -> None:
    labels = [0] * 50
    before = outcome(labels, [1] * 2 + [0] * 48)
    after = outcome(labels, [0] * 2 + [1] * 3 + [0] * 45)
    found = rate_change(before, after, "fpr")
    assert found is not None
    said = in_words(found, before.fpr_interval(), after.fpr_interval())
    start = "no change of FPR that these parts can prove (4 % (0.5 to 14) to 6 % (1.3 to 17); "
    assert said.startswith(f"{start}difference -")


# results that stay


def test_a_second_call_makes_nothing_anew_and_more_draws_go_on(tmp_path: Path) -> None:
    root, out = defective_set(tmp_path / "set"), tmp_path / "out"
    first = make_experiment(root, draws=1)
    _, made_once = make_curve(first, plan_curve(first, [0, 4]), out, execute=execute)
    assert (made_once.runs, made_once.left) == (10, 0)
    more = make_experiment(root, draws=2)
    curve, made_again = make_curve(more, plan_curve(more, [0, 4]), out, execute=execute)
    assert (made_again.runs, made_again.earlier) == (10, 10)
    assert len(curve.points) == 2


def test_a_budget_leaves_a_curve_without_the_points_that_lack(tmp_path: Path) -> None:
    experiment = make_experiment(defective_set(tmp_path / "set"), draws=1)
    planned = plan_curve(experiment, [0, 4])
    curve, came_to = make_curve(experiment, planned, tmp_path / "out", budget=1e-9, execute=execute)
    assert (came_to.runs, came_to.left) == (0, 10)
    assert curve.points == ()
    assert curve.conclusion() == "There are no two numbers of real defects to compare yet."
    assert "Not there yet, or failed: 0 (none), 4 (mixed)." in curve.notes
    assert "<h1>set</h1>" in render(curve)


def test_failed_trainings_are_told_and_made_again(tmp_path: Path) -> None:
    experiment = make_experiment(defective_set(tmp_path / "set"), draws=1)
    planned = plan_curve(experiment, [2, 4])
    curve, came_to = make_curve(experiment, planned, tmp_path / "out", execute=fails)
    assert [point.step for point in curve.points] == [Step(4)]
    assert len(came_to.failed) == 5
    curve, came_to = make_curve(experiment, planned, tmp_path / "out", execute=execute)
    assert (came_to.runs, len(curve.points)) == (5, 2)


def test_the_results_of_other_data_are_not_mixed_in(tmp_path: Path) -> None:
    one = make_experiment(defective_set(tmp_path / "one"))
    others = results(plan_curve(one, [0, 4]).in_order(), tmp_path / "out")
    experiment = make_experiment(defective_set(tmp_path / "two", good=12))
    assert curve_of(experiment, plan_curve(experiment, [0, 4]), others).points == ()


# what is written


def test_the_table_has_the_columns_of_the_paper(tmp_path: Path) -> None:
    curve = made(defective_set(tmp_path / "set", learnt=4), tmp_path / "out", [0, 4], groups=True)
    csv_file, json_file, _ = write_curve(curve, tmp_path / "out")
    rows = list(csv.DictReader(csv_file.open(encoding="utf-8")))
    assert [(row["defect_group"], row["n_real"]) for row in rows] == [
        *[("none", "0"), ("mixed", "4"), ("dent", "4"), ("scratch", "4")]
    ]
    counts = [sum(float(row[name]) for name in ("tn", "tp", "fn", "fp")) for row in rows]
    assert counts == [18] * 4  # ten good and eight defective parts are tested
    assert {"mcc", "recall_low", "fpr_high", "paper_mcc"} <= rows[0].keys()
    assert curve_table.lines(curve)[0].split("  ")[0] == "Defect group"
    content = json.loads(json_file.read_text(encoding="utf-8"))
    assert content == json.loads(json.dumps(to_json(curve)))
    assert content["points"][1]["kinds"]["dent"]["parts"] == 4


def test_the_page_loads_nothing_and_its_figures_are_sound(tmp_path: Path) -> None:
    curve = made(defective_set(tmp_path / "set"), tmp_path / "out", [0, 4, 8])
    page = render(curve)
    assert not re.search(r"(src|href)=.http", page)
    for figure, lines in ((rates_figure(curve), 3), (kinds_figure(curve), 2)):
        assert figure in page
        drawn = ET.fromstring(figure)
        assert len(drawn.findall(".//{*}polyline")) == lines
        assert len(drawn.findall(".//{*}polygon")) == lines


def test_names_from_the_data_are_escaped(tmp_path: Path) -> None:
    root = defective_set(tmp_path / "a&b", kinds={"<dent>": 8})
    page = render(made(root, tmp_path / "out", [0, 4]))
    assert "<dent>" not in page
    assert "a&amp;b" in page


# the command line


def quick(root: Path, out: Path, *more: object) -> list[object]:
    settings = [f"--set={text}" for text in ("steps=4", "patch_size=64", "every=4", "batch=8")]
    return ["defects", "curve", root, "-o", out, *settings, "--draws", 1, "--quiet", *more]


def test_the_command_trains_and_goes_on_where_it_was(cli: Cli, tmp_path: Path) -> None:
    root = defective_set(tmp_path / "set", good=6, kinds={"dent": 4}, learnt=2)
    run = cli(*quick(root, tmp_path / "out", "--numbers", "0,2", "--json", tmp_path / "f.json"))
    assert run.code == 0, run.err
    assert run.out.splitlines()[0].startswith("Defect group  #Real")
    assert "From 0 to 2 real defective parts" in run.out
    figures = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert [point["n_real"] for point in figures["points"]] == [0, 2]
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "out/runs").iterdir()}
    again = cli(*quick(root, tmp_path / "out", "--numbers", "0,2"))
    assert again.out == run.out
    assert files == {p: p.stat().st_mtime_ns for p in (tmp_path / "out/runs").iterdir()}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--detector", "padim"], ["padim does not learn from defects", "these do: mixed"]),
        (["--detector", "mixt"], ["there is no detector 'mixt'"]),
        (["--numbers", "0,many"], ["--numbers 0,many", "0,5,10,20"]),
        (["--numbers", "0,9"], ["has 6 real defective parts, 3", "fewer than the 9", "ask for 3"]),
        (["--numbers", "-1"], ["--numbers are numbers of defective parts"]),
        (["--draws", "0"], ["--draws 0 must be 1 or more"]),
        (["--folds", "1"], ["k=1 must be at least 2"]),
        (["--workers", "0"], ["--workers 0 must be 1 or more"]),
        (["--set", "step=3"], ["no setting 'step'", "did you mean 'steps'"]),
        (["--category", "bolt"], ["no category 'bolt'"]),
    ],
)
def test_a_bad_wish_is_refused_in_one_sentence(
    cli: Cli, plates: Path, tmp_path: Path, more: list[str], words: list[str]
) -> None:
    run = cli(*quick(plates, tmp_path / "out", "--folds", 2, *more))
    run.refusal(*words)
    assert not (tmp_path / "out").exists()


def test_data_without_defects_or_good_parts_are_refused(tmp_path: Path) -> None:
    save_set(tmp_path / "good", dents=0)
    with pytest.raises(DatasetError, match="has no defective part"):
        make_experiment(tmp_path / "good")
    bad = save_set(tmp_path / "bad", train=0, good=0)
    with pytest.raises(BlemishError, match=r"good|train"):
        make_experiment(bad)


def test_several_categories_are_refused_with_the_way_out(tmp_path: Path) -> None:
    for name in ("bolt", "nut"):
        defective_set(tmp_path / "set" / name)
    with pytest.raises(DatasetError, match="choose one with --category"):
        make_experiment(tmp_path / "set")
    one = experiment_of(DataLocation(str(tmp_path / "set")), "nut", SupervisedDetector("mixed"))
    assert one.data.categories == ["nut"]


def test_a_detector_of_tiles_may_see_whole_pictures(tmp_path: Path) -> None:
    location = DataLocation(str(defective_set(tmp_path / "set")))
    for tile in (None, 0, 128):
        experiment = experiment_of(location, None, SupervisedDetector("mixed", tile=tile))
        assert experiment.job("", "k_fold", (), seed=0).run.tile == tile


def test_the_views_of_a_part_stay_together(tmp_path: Path) -> None:
    root = tmp_path / "set"
    save_views(root / "train/good", range(6))
    save_views(root / "test/dent", range(20, 26))
    location = DataLocation(str(root), part_pattern=VIEW_PATTERN)
    experiment = experiment_of(location, None, SupervisedDetector("mixed"), draws=1)
    planned: CurvePlan = plan_curve(experiment, [0, 3], folds=3)
    curve = curve_of(experiment, planned, results(planned.in_order(), tmp_path / "out"))
    assert [sum(map(int, (c.tn, c.fp, c.fn, c.tp))) for c in curve.mixed[0].decisions.draws] == [12]
