"""What a bench will take: told by runs alike, or by measured rates."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from bench_results import leave, planted
from running import Cli

from blemish.benchmark import forecast as module
from blemish.benchmark.forecast import MeasuredRates, Rate, forecast, measured_rates
from blemish.benchmark.protocol import DataSource, DetectorConfig, Metric, Protocol, SplitChoice
from blemish.benchmark.runs import Job, expand
from blemish.detectors import detector_names

RATE = Rate(size=256, start=2.0, train_image=0.1, test_image=0.01)


@pytest.fixture(autouse=True)
def _rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that took half of this one's time."""
    known = MeasuredRates("another machine", 0.01, {"padim": RATE})
    monkeypatch.setattr(module, "measured_rates", lambda: known)
    monkeypatch.setattr(module, "backbone_seconds", lambda: 0.02)


def jobs(plates: Path, *detectors: str, size: int = 256) -> list[Job]:
    protocol = Protocol(
        name="dev",
        title="plates",
        source="no paper",
        data=(DataSource("plates", ("plates",)),),
        detectors=tuple(DetectorConfig(name, name, size=size) for name in detectors),
        metrics=(Metric("image.auroc", "I-AUROC"),),
        splits=(SplitChoice(protocol="pooled"),),
        seeds=2,
    )
    return list(expand(protocol, plates.parent).jobs)


def test_a_run_costs_by_its_images_and_pixels() -> None:
    assert RATE.seconds(100, 1000, 256) == pytest.approx(2 + 10 + 10)
    assert RATE.seconds(100, 1000, 512) == pytest.approx(2 + 4 * 20)
    assert RATE.seconds(0, 0, 512) == 2


def test_measured_rates_are_stretched_to_this_machine(plates: Path) -> None:
    asked = jobs(plates, "padim")
    run = asked[0].run
    train, test = module._images(asked[0].location, run.category, run.split, run.split_settings)
    assert (train, test) == (20, 12)
    told = forecast(asked, [])
    assert told.seconds == pytest.approx(2 * 2 * RATE.seconds(train, test, 256))
    assert told.source.startswith("the rates of another machine; this machine takes 2.00 times")
    small = forecast(jobs(plates, "padim", size=128), [])
    assert small.seconds is not None
    assert small.seconds < told.seconds
    cropped = [
        dataclasses.replace(one, run=dataclasses.replace(one.run, crop=128)) for one in asked
    ]
    assert forecast(cropped, []).seconds == pytest.approx(small.seconds)


def test_runs_that_were_made_here_tell_more(plates: Path, tmp_path: Path) -> None:
    made = [leave(tmp_path, "padim", planted(1.0), data="plates", category="plates")]
    told = forecast(jobs(plates, "padim"), made)
    assert (told.seconds, told.source) == (2 * made[0].seconds, "the runs that were made here")
    # One detector's runs say nothing of another's.
    assert forecast(jobs(plates, "padim", "patchcore"), made).seconds is None


def test_a_detector_without_a_rate_is_named(plates: Path) -> None:
    told = forecast(jobs(plates, "padim", "patchcore"), [])
    assert (told.seconds, told.unknown) == (None, ("patchcore",))
    assert told.source == "no rate of patchcore is known"


def with_budget(asked: list[Job], seconds: float) -> list[Job]:
    return [
        dataclasses.replace(one, run=dataclasses.replace(one.run, budget=seconds)) for one in asked
    ]


def test_a_budget_bounds_the_training_of_a_run(plates: Path) -> None:
    asked = jobs(plates, "padim")
    free = forecast(asked, []).seconds
    training, testing = 2 * RATE.training(20, 256), 2 * RATE.testing(12, 256)
    assert free == pytest.approx(2 * (training + testing))
    assert forecast(with_budget(asked, 100.0), []).seconds == pytest.approx(free)
    assert forecast(with_budget(asked, 1.0), []).seconds == pytest.approx(2 * (1.0 + testing))


def test_a_detector_without_a_rate_is_counted_with_its_budget(plates: Path) -> None:
    told = forecast(with_budget(jobs(plates, "patchcore"), 60.0), [])
    assert (told.seconds, told.unknown) == (120.0, ("patchcore",))
    assert "no rate of patchcore is known: their budgets, without evaluation" in told.source
    mixed = [*with_budget(jobs(plates, "patchcore"), 60.0), *jobs(plates, "patchcore", size=64)]
    assert forecast(mixed, []).seconds is None


def test_a_run_without_a_budget_tells_nothing_of_one_with_it(plates: Path, tmp_path: Path) -> None:
    made = [leave(tmp_path, "padim", planted(1.0), data="plates", category="plates")]
    assert forecast(jobs(plates, "padim"), made).source == "the runs that were made here"
    told = forecast(with_budget(jobs(plates, "padim"), 1.0), made)
    assert told.source.startswith("the rates of another machine")


def test_nothing_to_make_takes_no_time() -> None:
    assert forecast([], []).seconds == 0


def test_the_package_brings_rates() -> None:
    """`benchmarks/scaling.py --write` measures them."""
    known = measured_rates()
    assert {"padim", "patchcore", "duet"} <= known.rates.keys() <= set(detector_names())
    assert 0 < known.backbone_seconds < 1
    for name, rate in known.rates.items():
        assert min(rate.train_image, rate.test_image) > 0, name
        assert rate.seconds(1000, 1000, rate.size) > rate.start


def test_the_command(cli: Cli, plates: Path, tmp_path: Path) -> None:
    argv = ["bench", "run", "dev", "--data", plates.parent, "--out", tmp_path / "out"]
    protocol = tmp_path / "own.toml"
    protocol.write_text(
        'title = "plates"\nsource = "no paper"\n[[data]]\nname = "plates"\nfolders = ["plates"]\n'
        '[[detectors]]\nname = "padim"\n[[metrics]]\npath = "image.auroc"\nname = "I-AUROC"\n',
        encoding="utf-8",
    )
    argv[2] = protocol
    told = cli(*argv, "--dry-run", "--quiet")
    assert told.code == 0, told.err
    assert "1 of 1 runs are to be made: about 8 s, one after the other" in told.out
    assert "(the rates of another machine" in told.out
    assert not (tmp_path / "out").exists()
