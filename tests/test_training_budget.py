"""A network's training under a time budget, through the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from contexts import an_hour_later
from running import Cli, Run

pytest.importorskip("torch")

from blemish.detectors import network
from blemish.detectors.base import Clock, FittedDetector
from blemish.inspector import Inspector
from blemish.model.artifact import open_artifact
from blemish.training.fit_budget import FitBudget

Train = Callable[..., Run]

SETTINGS = ("steps=12", "hidden=8", "grid_stride=8", "patches=64")


@pytest.fixture
def train(cli: Cli, plates: Path, tmp_path: Path) -> Train:
    def run(name: str, *options: str) -> Run:
        sets = [word for setting in SETTINGS for word in ("--set", setting)]
        return cli(
            *("train", plates, "-o", tmp_path / name, "--detector", "simplenet", "--size", "64"),
            *sets,
            *options,
        )

    return run


@pytest.fixture
def strikes(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the time of a training be over after so many steps."""

    def at(step: int) -> None:
        def is_over(self: network.Training, done: int, seconds: float) -> bool:
            return self.context.clock.budget is not None and done >= step

        monkeypatch.setattr(network.Training, "_is_over", is_over)

    return at


def model(path: Path) -> bytes:
    return open_artifact(path).model


def test_a_budget_yields_a_model_that_says_how_far_it_came_and_can_be_gone_on_with(
    train: Train, strikes: Callable[[int], None], tmp_path: Path
) -> None:
    train("whole")
    strikes(5)
    told = train("short", "--budget", "10m").out
    assert "The budget ended its training after 5 of 12 steps: --resume goes on." in told
    fit = open_artifact(tmp_path / "short").card.fit
    assert (fit["steps"], fit["steps_planned"]) == (5, 12)
    assert (tmp_path / "short.resume").is_dir()
    assert model(tmp_path / "short") != model(tmp_path / "whole")

    told = train("short", "--resume").out
    assert "The budget ended" not in told
    assert model(tmp_path / "short") == model(tmp_path / "whole")
    assert not (tmp_path / "short.resume").exists()


def test_a_model_cut_short_is_a_model(
    train: Train, strikes: Callable[[int], None], plates: Path, tmp_path: Path
) -> None:
    strikes(1)
    train("short", "--budget", "10m")
    inspector = Inspector.open(tmp_path / "short")
    look = inspector.look(sorted((plates / "train" / "good").iterdir())[0])
    assert look.score < 1e6
    assert inspector.threshold < 1e6


def test_a_budget_too_short_for_one_step_is_told(train: Train, tmp_path: Path) -> None:
    with an_hour_later():
        train("none", "--budget", "10m").refusal("the time budget of 600 s ran out")
    assert not (tmp_path / "none").exists()


def test_fits_share_what_is_left_beside_the_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "left", property(lambda clock: clock.budget))
    fitted = FittedDetector(b"", 1, 1)
    budget = FitBudget(Clock(80.0), to_come=3, reserve=20.0)
    assert budget.seconds() == 20
    budget.made(fitted)
    assert budget.seconds() == 30
    assert FitBudget(Clock(80.0), to_come=3).seconds() == 80  # no use for a share
    assert FitBudget(Clock(None), to_come=3, reserve=20.0).seconds() is None


def test_what_follows_a_fit_that_was_cut_short_takes_its_time() -> None:
    budget = FitBudget(Clock(80.0), to_come=2)
    budget.made(FittedDetector(b"", 1, 1, {"steps": 1, "steps_planned": 2}))
    assert (budget.finished, budget.clock.budget) == (False, 80)
    budget.made(FittedDetector(b"", 1, 1))
    assert (budget.finished, budget.clock.budget) == (False, None)
