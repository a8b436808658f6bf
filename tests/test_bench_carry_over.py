"""Kept results are carried over to the installed code once one made again agrees with them."""

from __future__ import annotations

import dataclasses
import importlib
import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from bench_results import leave, planted
from running import Cli

from blemish.benchmark.carry_over import (
    carry,
    disagreements,
    rerun_candidate,
    results_of_other_code,
)
from blemish.benchmark.code import Code
from blemish.benchmark.store import CarryOver, Result, read_results, write_result
from blemish.errors import BlemishError

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
OLD = Code("0.0.9", "a" * 16, "b" * 16)
TODAY = date(2026, 3, 1)
PROTOCOL = """
title = "plates"
source = "no paper"
seeds = 2

[[data]]
name = "plates"
folders = ["plates"]

[[splits]]
protocol = "pooled"

[[detectors]]
name = "padim"
size = 64

[[metrics]]
path = "image.auroc"
name = "I-AUROC"
"""

Carry = Callable[..., bool]


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(PROTOCOL, encoding="utf-8")
    return file


@pytest.fixture
def kept(cli: Cli, protocol: Path, plates: Path, tmp_path: Path) -> Path:
    """Two results of PaDiM as older code has left them."""
    folder = tmp_path / "kept"
    run = cli("bench", "run", protocol, "--data", plates.parent, "--out", folder)
    assert run.code == 0, run.err
    for result in read_results(folder):
        old = dataclasses.replace(result, key=f"old-{result.run.seed}", code=OLD)
        for ending in (".npz", ".maps.npz"):
            if (file := folder / f"{result.key}{ending}").exists():
                file.rename(folder / f"{old.key}{ending}")
        (folder / f"{result.key}.json").unlink()
        write_result(old, None)
    return folder


@pytest.fixture
def carry_folder(monkeypatch: pytest.MonkeyPatch) -> Carry:
    monkeypatch.syspath_prepend(BENCHMARKS)
    found: Carry = importlib.import_module("carry_results").carry_folder
    return found


def test_results_that_agree_are_carried_over(
    cli: Cli,
    protocol: Path,
    plates: Path,
    kept: Path,
    carry_folder: Carry,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = {result.run.seed: result for result in read_results(kept)}
    command = (kept, plates.parent, tmp_path / "again", None, str(protocol))
    assert carry_folder(*command)
    [again] = read_results(tmp_path / "again")
    told = capsys.readouterr().out
    assert told.startswith(f"padim ({OLD.source}, {OLD.method}): 2 results carried over; padim, ")
    after = read_results(kept)
    assert len(after) == 2
    for result in after:
        old = before[result.run.seed]
        assert (result.key, result.code) == (old.run.key, old.run.code)
        [step] = result.carried
        assert (step.from_key, step.from_code, step.agreed_with) == (old.key, OLD, again.key)
        assert (result.figures, result.cost, result.finished) == (
            *(old.figures, old.cost, old.finished),
        )
        assert result.scores().score.shape == (12,)
    assert not list(kept.glob("old-*"))
    assert len(list(kept.glob("*.maps.npz"))) == 1

    # They are now those of the installed code: none is made again, and the table says nothing.
    run = cli("bench", "run", protocol, "--data", plates.parent, "--out", kept, "--json", "-")
    assert json.loads(run.out)["made"] == 0
    table = cli("bench", "table", protocol, "--out", kept)
    assert (table.code, table.err) == (0, [])
    assert carry_folder(*command)
    assert "nothing to carry over" in capsys.readouterr().out


def test_results_that_do_not_agree_stay(
    plates: Path,
    protocol: Path,
    kept: Path,
    carry_folder: Carry,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for result in read_results(kept):
        assert result.figures is not None
        image = {**result.figures["image"], "auroc": 0.123}
        write_result(dataclasses.replace(result, figures={**result.figures, "image": image}), None)
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    again = tmp_path / "again"
    command = (kept, plates.parent, again)
    assert not carry_folder(*command, None, str(protocol))
    told = capsys.readouterr().out
    assert "2 results stay: of padim, plates, seed" in told
    assert "figures.image.auroc is 0.123, and " in told
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    # What was made again is there: no time is needed for it.
    made = {path: path.stat().st_mtime_ns for path in again.iterdir()}
    assert not carry_folder(*command, 0.0, str(protocol))
    assert "figures.image.auroc" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in again.iterdir()} == made
    assert not carry_folder(kept, plates.parent, tmp_path / "none", -1.0, str(protocol))
    assert "no time is left" in capsys.readouterr().out


def one(folder: Path, **changes: object) -> Result:
    made = leave(folder, "padim", planted(1.0))
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_what_a_run_costs_is_not_compared_and_every_figure_and_score_is(tmp_path: Path) -> None:
    kept = one(tmp_path / "kept", fit={"steps": 10})
    assert kept.figures is not None
    costs = {"seconds": 9.0, "images_per_second": 1.0, "model": "f" * 64}
    again = one(tmp_path / "again", fit={"steps": 10}, cost=None)
    again = dataclasses.replace(
        again, figures={**kept.figures, **costs, "defects": {"dent": 1}}, machine={}
    )
    kept = dataclasses.replace(kept, figures={**kept.figures, "seconds": 5.0, "model": "a" * 64})
    assert disagreements(kept, again) == []
    # What is new in the installed code is no difference; what it has lost is one.
    assert disagreements(again, kept)[0] == (
        "figures.defects.dent is 1, and nothing when it was made again"
    )
    high = kept.figures["image"]["auroc_interval"][1]
    image = {**kept.figures["image"], "auroc_interval": [0.0, high]}
    other = dataclasses.replace(again, figures={**kept.figures, "image": image}, fit={"steps": 9})
    low = kept.figures["image"]["auroc_interval"][0]
    assert disagreements(kept, other) == [
        f"figures.image.auroc_interval.0 is {low}, and 0.0 when it was made again",
        "fit.steps is 10, and 9 when it was made again",
    ]
    scores = planted(1.0)
    scores[3] += 1e-9
    leave(tmp_path / "again", "padim", scores)
    assert disagreements(kept, again) == [
        "1 of 80 scores have another score when it was made again"
    ]
    failed = dataclasses.replace(again, status="failed", reason="no room")
    assert disagreements(kept, failed) == ["it failed when it was made again: no room"]


def test_the_cheapest_run_is_made_again_unless_one_is_made(tmp_path: Path) -> None:
    group = [leave(tmp_path, "padim", planted(1.0), seed=seed) for seed in (1, 0, 2)]
    runs = [result.run for result in group]
    assert rerun_candidate(group, runs, ()).run.seed == 0
    assert rerun_candidate(group, runs[2:], ()).run.seed == 2
    assert rerun_candidate(group, runs, [runs[2].key]).run.seed == 2
    with pytest.raises(BlemishError, match="none of these runs can be made here"):
        rerun_candidate(group, (), ())


def test_a_run_that_its_budget_cut_short_is_not_made_again(tmp_path: Path) -> None:
    cut = leave(
        tmp_path, "cflow", planted(1.0), budget=60.0, fit={"steps": 9.0, "steps_planned": 10.0}
    )
    whole = leave(
        *(tmp_path, "cflow", planted(1.0)),
        seed=1,
        budget=60.0,
        fit={"steps": 10.0, "steps_planned": 10.0},
    )
    assert rerun_candidate([cut, whole], [cut.run, whole.run], ()) == whole
    with pytest.raises(BlemishError, match="its budget cut every run short"):
        rerun_candidate([cut], [cut.run], ())


def test_a_carrying_that_was_killed_goes_on(tmp_path: Path) -> None:
    """The new file is there, the old one too: it is gone afterwards, and nothing is made twice."""
    kept = leave(tmp_path, "padim", planted(1.0))
    [carried] = carry([kept], {}, "witness", TODAY)
    assert carried.carried == (CarryOver(kept.key, kept.code, "witness", "2026-03-01"),)
    leave(tmp_path, "padim", planted(1.0))
    there = {result.key: result for result in read_results(tmp_path)}
    assert len(there) == 2
    assert carry([kept], there, "witness", TODAY) == [carried]
    assert [result.key for result in read_results(tmp_path)] == [carried.key]
    assert results_of_other_code([carried]) == []


def test_a_result_of_the_installed_code_keeps_its_place(tmp_path: Path) -> None:
    kept = leave(tmp_path, "padim", planted(1.0))
    new = dataclasses.replace(kept, key=kept.run.key, code=kept.run.code)
    write_result(new, {n: getattr(kept.scores(), n) for n in vars(kept.scores())})
    there = {result.key: result for result in read_results(tmp_path)}
    assert carry([kept], there, "witness", TODAY) == []
    assert {result.key: result for result in read_results(tmp_path)} == there


def test_of_two_codes_the_newer_comes_first(tmp_path: Path) -> None:
    older = leave(tmp_path, "padim", planted(1.0), code="bbbb")
    newer = leave(
        *(tmp_path, "padim", planted(1.0)), code="aaaa", finished="2026-02-01T00:00:00+00:00"
    )
    failed = leave(tmp_path, "padim", planted(1.0), code="cccc", failed="no room")
    first = leave(tmp_path, "duet", planted(1.0))
    assert results_of_other_code([older, failed, newer, first]) == [[first], [newer], [older]]


def test_a_result_of_another_processor_agrees_by_way_of_the_earlier_code(
    protocol: Path, plates: Path, kept: Path, carry_folder: Carry, tmp_path: Path
) -> None:
    """Both codes on this processor come to the same; what the other one rounded does not count."""
    reference = shutil.copytree(kept, tmp_path / "reference")
    for result in read_results(kept):
        figures = json.loads(json.dumps(result.figures))
        figures["image"]["auroc"] -= 0.01
        machine = result.machine | {"processor": "another"}
        write_result(dataclasses.replace(result, figures=figures, machine=machine), None)
    command = (kept, plates.parent, tmp_path / "again", None, str(protocol))
    assert not carry_folder(*command)
    assert carry_folder(*command, reference)
    for result in read_results(kept):
        [step] = result.carried
        assert step.processor == read_results(reference)[0].machine["processor"]
        assert result.machine["processor"] == "another"


def test_a_reference_that_differs_carries_nothing(
    protocol: Path, plates: Path, kept: Path, carry_folder: Carry, tmp_path: Path
) -> None:
    for result in read_results(kept):
        figures = json.loads(json.dumps(result.figures))
        figures["image"]["auroc"] -= 0.01
        write_result(dataclasses.replace(result, figures=figures), None)
    reference = shutil.copytree(kept, tmp_path / "reference")
    for result in read_results(kept):
        machine = result.machine | {"processor": "another"}
        write_result(dataclasses.replace(result, machine=machine), None)
    command = (kept, plates.parent, tmp_path / "again", None, str(protocol))
    assert not carry_folder(*command, reference)
    assert all(not result.carried for result in read_results(kept))


def test_a_result_is_carried_over_twice(tmp_path: Path) -> None:
    """Whence it came first stays in it."""
    steps = (CarryOver("k", OLD, "w", "2026-01-01"),)
    kept = dataclasses.replace(leave(tmp_path, "padim", planted(1.0)), carried=steps)
    write_result(kept, None)
    carry(read_results(tmp_path), {}, "witness", TODAY)
    [result] = read_results(tmp_path)
    assert [step.from_key for step in result.carried] == ["k", kept.key]
    assert "carried" not in json.loads((tmp_path / f"{result.key}.json").read_text("utf-8"))["run"]
