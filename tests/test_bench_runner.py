"""The bench at work: results that survive anything, failures with their reasons, nothing twice."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from bench_jobs import execute, job, outcome, run
from plates import save_set
from running import Cli, finished, started

from blemish import training
from blemish.benchmark import execute as execute_module
from blemish.benchmark import runner
from blemish.benchmark.code import Code
from blemish.benchmark.execute import execute as really_execute
from blemish.benchmark.protocol import protocol_names
from blemish.benchmark.runner import (
    BenchProgress,
    RunTimes,
    cost_groups,
    other_code_notes,
    run_bench,
)
from blemish.benchmark.runs import Job
from blemish.benchmark.sources import DataLocation, open_category
from blemish.benchmark.store import Result, read_results, write_result
from blemish.benchmark.workers import JobQueue
from blemish.dataset import open_dataset
from blemish.errors import BlemishError, DatasetError
from blemish.training import Trained

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

[[detectors]]
name = "patchcore"
size = 64
settings = { bank = 50 }

[[detectors]]
name = "a_detector_to_come"

[[metrics]]
path = "image.auroc"
name = "I-AUROC"
"""


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(PROTOCOL, encoding="utf-8")
    return file


def log(folder: Path) -> list[str]:
    """Which runs `bench_jobs.execute` made, in their order."""
    file = folder / "log"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [line.rpartition(" ")[0] for line in lines]


def result(folder: Path, **changes: object) -> Result:
    made = outcome()
    values: dict[str, object] = {
        "key": run().key,
        "run": run(),
        "status": "done",
        "reason": None,
        "code": run().code,
        "figures": made.figures,
        "cost": made.cost,
        "machine": made.machine,
        "finished": "2026-01-01T00:00:00+00:00",
        "folder": folder,
    }
    return Result(**(values | changes))  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# The whole bench on plates.


def test_a_bench_from_end_to_end(cli: Cli, protocol: Path, plates: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = ["bench", "run", protocol, "--data", plates.parent, "--out", out]
    first = cli(*argv, "--json", tmp_path / "summary.json")
    assert first.code == 0, first.err
    assert f"{out}: 4 runs made" in first.out
    assert "missing detector: a_detector_to_come (not available in blemish" in first.err[0]
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert (summary["runs"], summary["done"], summary["left"]) == (4, 4, 0)

    results = read_results(out)
    assert sorted((r.run.detector, r.run.seed) for r in results) == [
        *(("padim", 0), ("padim", 1), ("patchcore", 0), ("patchcore", 1))
    ]
    test = open_dataset(plates).split("test")
    for one in results:
        assert one.figures is not None
        assert one.figures["image"]["n_defective"] == 6
        assert one.cost is not None
        assert set(one.cost) == {
            *("train_seconds", "evaluate_seconds", "peak_rss_mb", "latency_ms")
        }
        scores = one.scores()
        assert scores.image.tolist() == test.table["image"].to_list()
        assert scores.part.tolist() == test.table["part"].to_list()
        assert scores.view.tolist() == [""] * 12
        assert scores.label.tolist() == [label == "defective" for label in test.table["label"]]
        assert scores.score.dtype == np.float64
        assert scores.localised.dtype == np.int8
    by_run = {(r.run.detector, r.run.seed): r.scores().score for r in results}
    assert not np.array_equal(by_run["padim", 0], by_run["padim", 1]), "the seed changed nothing"

    before = contents(out)
    again = cli(*argv)
    assert (again.code, contents(out)) == (0, before)
    assert "0 runs made" in again.out
    assert "4 were there before" in again.out
    more = cli(*argv, "--seeds", 3, "--detectors", "padim", "--dry-run", "--quiet")
    assert "1 of 3 runs are to be made: about" in more.out
    assert contents(out) == before


def test_a_bench_that_is_killed_goes_on_to_the_same_results(
    cli: Cli, protocol: Path, plates: Path, tmp_path: Path
) -> None:
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    argv = ["bench", "run", protocol, "--data", plates.parent, "--seeds", 4, "--quiet", "--out"]
    places = {name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")}
    process = started([*argv, out], **places)
    while len(list(out.glob("*.json"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.kill()
    process.communicate()
    kept = {name: data for name, data in contents(out).items() if name.endswith(".json")}
    assert 2 <= len(kept) < 8

    while any(temporary.glob("blemish*")):  # its worker ends too, and takes its files along
        time.sleep(0.02)
    resumed = cli(*argv, out)
    assert resumed.code == 0
    assert f"{8 - len(kept)} runs made" in resumed.out
    assert kept.items() <= contents(out).items()
    assert cli(*argv, tmp_path / "straight").code == 0
    straight = {r.key: r for r in read_results(tmp_path / "straight")}
    assert len(straight) == 8
    for one in read_results(out):
        assert np.array_equal(one.scores().score, straight[one.key].scores().score)


def test_a_damaged_image_fails_its_runs_and_no_other(
    cli: Cli, protocol: Path, tmp_path: Path
) -> None:
    text = protocol.read_text(encoding="utf-8")
    protocol.write_text(text.replace('["plates"]', '["sets"]'), encoding="utf-8")
    for name in ("nut", "bolt"):
        save_set(tmp_path / "sets" / name, train=8, good=2, dents=2)
    cut = tmp_path / "sets/nut/test/good/100.png"
    cut.write_bytes(cut.read_bytes()[:500])
    out = tmp_path / "out"
    argv = ["bench", "run", protocol, "--data", tmp_path, "--out", out, "--seeds", 1]
    done = cli(*argv, "--detectors", "padim")
    assert done.code == 1
    failed, hint, closing = done.out.splitlines()
    assert failed.startswith("failed: padim, plates nut, seed 0: ")
    assert "100.png" in failed
    assert "--retry" in hint
    assert closing.startswith(f"{out}: 2 runs made")
    statuses = sorted((r.run.category, r.status) for r in read_results(out))
    assert statuses == [("bolt", "done"), ("nut", "failed")]
    [broken] = (r for r in read_results(out) if r.status == "failed")
    assert (broken.figures, broken.cost) == (None, None)
    assert broken.reason is not None
    assert "100.png" in broken.reason


def test_nothing_to_run(cli: Cli, protocol: Path, tmp_path: Path) -> None:
    argv = ["bench", "run", protocol, "--data", tmp_path]
    cli(*argv, "--quiet").refusal("nothing of small can be run", "blemish bench list")
    nowhere = tmp_path / "nowhere"
    cli("bench", "run", "dev", "--data", nowhere).refusal(nowhere, "is no folder; name the one")
    cli(*argv, "--workers", 0).refusal("--workers 0 must be 1 or more")
    cli(*argv, "--budget", "soon").refusal("--budget soon is no time")
    cli("bench", "run", "real-iad", "--data", tmp_path).refusal("no protocol 'real-iad'")


def test_the_list(cli: Cli, protocol: Path, plates: Path, tmp_path: Path) -> None:
    names = cli("bench", "list").out.splitlines()
    assert [line.split()[0] for line in names] == protocol_names()
    listed = cli("bench", "list", "real-iad-uiad").out
    assert "simplenet, destseg (not available), reverse_distillation" in listed
    assert "padim sees the centre crop of 224 px of 256 px" in listed
    lines = cli("bench", "list", protocol, "--data", plates.parent, "--out", tmp_path / "out").out
    assert "4 runs with what is there; 0 of them are made" in lines
    assert "missing detector: a_detector_to_come" in lines


# What a run leaves.


def test_a_run_of_other_images_than_here_fails(plates: Path) -> None:
    _, fingerprint = open_category(DataLocation(str(plates)), "plates")
    sound = dataclasses.replace(
        run("padim", "plates"), fingerprint=fingerprint, settings=(), split=None
    )
    assert really_execute(Job(sound, DataLocation(str(plates)))).reason is None
    other = dataclasses.replace(sound, fingerprint="0" * 64)
    reason = really_execute(Job(other, DataLocation(str(plates)))).reason
    assert reason is not None
    assert f"{plates} does not hold the same images here" in reason
    gone = really_execute(Job(sound, DataLocation(str(plates / "moved"))))
    assert gone.reason == f"{plates / 'moved'} does not exist; check the path."
    odd = dataclasses.replace(sound, settings=(("no_such_setting", "1"),))
    assert "has no setting 'no_such_setting'" in str(
        really_execute(Job(odd, DataLocation(str(plates)))).reason
    )


def test_a_run_with_an_image_that_cannot_be_read_fails(tmp_path: Path) -> None:
    """Rather than to score fewer images, which no table could tell from all of them."""
    root = save_set(tmp_path / "set", train=6, good=3, dents=3)
    (root / "test/good/101.png").write_bytes(b"")
    failed = really_execute(plates_run(root, category="set"))
    assert "101.png is empty" in str(failed.reason)
    assert failed.figures is None


def plates_run(plates: Path, **changes: object) -> Job:
    category = str(changes.get("category", "plates"))
    _, fingerprint = open_category(DataLocation(str(plates)), category)
    plain = {"fingerprint": fingerprint, "settings": (), "split": None}
    one = dataclasses.replace(run("padim", category), **(plain | changes))  # type: ignore[arg-type]
    return Job(one, DataLocation(str(plates)))


def test_a_run_has_the_budget_of_its_contestant(plates: Path) -> None:
    """One that cannot stop its fit early fails when the time is over, and says so."""
    failed = really_execute(plates_run(plates, budget=1e-6))
    assert failed.reason is not None
    assert failed.reason.startswith("the time budget of 1e-06 s ran out while")
    done = really_execute(plates_run(plates, budget=600.0))
    assert (done.reason, done.figures is None) == (None, False)


def test_a_result_keeps_the_plain_numbers_of_the_fit(
    plates: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a detector with a trained network will tell, planted into the card of another."""
    given = []

    def train(*args: object, budget: float | None) -> Trained:
        given.append(budget)
        made = training.train(*args, budget=budget)  # type: ignore[arg-type]
        facts = {"steps": 812, "steps_planned": 2000, "loss": 0.5, "finished": False}
        more = {"layers": ["a"], "name": "quick", "worst": float("nan")}
        return dataclasses.replace(made, card=dataclasses.replace(made.card, fit={**facts, **more}))

    monkeypatch.setattr(execute_module, "train", train)
    job = plates_run(plates, budget=600.0)
    made = really_execute(job)
    assert given == [600.0]
    assert made.fit == {"steps": 812, "steps_planned": 2000, "loss": 0.5}
    one = result(tmp_path, run=job.run, key=job.run.key, fit=made.fit)
    write_result(one, made.arrays)
    assert read_results(tmp_path) == [one]


# The runner, on jobs that cost nothing.


def test_a_worker_that_is_killed_fails_its_run_alone(tmp_path: Path) -> None:
    jobs = [
        job(detector, seed=seed, place=tmp_path)
        for seed, detector in enumerate(("quick", "killed", "quick", "quick"))
    ]
    made = run_bench(jobs, tmp_path / "out", execute=execute)
    assert [r.status for r in made.results] == ["done", "failed", "done", "done"]
    [failed] = made.failed
    assert "its process ended with exit code" in str(failed.reason)
    assert log(tmp_path) == ["quick nut 0", "quick nut 2", "quick nut 3"]
    assert (made.runs, made.earlier, made.left) == (4, 0, 0)


def test_failed_runs_are_made_again_on_demand(tmp_path: Path) -> None:
    jobs = [job("fails", place=tmp_path), job("quick", place=tmp_path)]
    out = tmp_path / "out"
    first = run_bench(jobs, out, execute=execute)
    assert [r.reason for r in first.results] == ["it was to fail", None]
    second = run_bench(jobs, out, execute=execute)
    assert (second.runs, len(second.failed)) == (0, 1)
    (tmp_path / "mended").touch()
    third = run_bench(jobs, out, execute=execute, retry=True)
    assert (third.runs, third.failed, third.earlier) == (1, [], 1)
    assert log(tmp_path) == ["quick nut 0", "fails nut 0"]


def test_two_workers_share_the_categories(tmp_path: Path) -> None:
    jobs = [
        job(category=name, seed=seed, place=tmp_path) for name in ("a", "b") for seed in range(20)
    ]
    made = run_bench(jobs, tmp_path / "out", execute=execute, workers=2)
    assert [r.run for r in made.results] == [one.run for one in jobs]
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 40
    assert len({line.split()[-1] for line in lines}) == 2


def test_a_queue_keeps_a_worker_at_its_group() -> None:
    queue = JobQueue(["a1", "a2", "b1", "b2", "b3"], lambda name: name[0])
    assert queue.take(None, []) == ("a1", "a")
    assert queue.take(None, ["a"]) == ("b1", "b")
    assert queue.take("a", ["b"]) == ("a2", "a")
    assert queue.take("b", ["a"]) == ("b2", "b")
    assert queue.take("a", ["b"]) == ("b3", "b")
    assert queue.take("a", []) is None


def test_no_run_starts_after_the_budget(tmp_path: Path) -> None:
    jobs = [job(seed=seed, place=tmp_path) for seed in range(3)]
    made = run_bench(jobs, tmp_path / "out", execute=execute, budget=1e-9)
    assert (made.runs, made.left, log(tmp_path)) == (0, 3, [])
    assert run_bench(jobs, tmp_path / "out", execute=execute, budget=600).left == 0


def test_a_run_that_is_asked_for_twice_is_made_once(tmp_path: Path) -> None:
    made = run_bench([job(place=tmp_path)] * 2, tmp_path / "out", execute=execute)
    assert (made.runs, len(made.results), log(tmp_path)) == (1, 1, ["quick nut 0"])


def test_the_progress_of_a_bench(tmp_path: Path) -> None:
    jobs = [job(seed=seed, place=tmp_path) for seed in range(2)]
    seen: list[BenchProgress] = []
    run_bench(jobs, tmp_path / "out", execute=execute, show=seen.append)
    told = [(s.done, s.running, s.seconds_left, s.last is not None) for s in seen]
    zero, one = ("quick, parts nut, seed 0",), ("quick, parts nut, seed 1",)
    assert told == [
        (0, zero, None, False),
        (0, zero + one, None, False),
        (1, one, 3.0, True),
        (2, (), 0.0, True),
    ]


def test_the_time_that_runs_take(tmp_path: Path) -> None:
    padim, duet = run("padim"), run("duet")
    rates = RunTimes([result(tmp_path, run=padim)])
    assert rates.total(runner.Counter([cost_groups(padim), cost_groups(padim)])) == 6.0
    assert rates.total(runner.Counter([cost_groups(duet)])) == 3.0  # the mean of all there are
    assert RunTimes([]).total(runner.Counter([cost_groups(duet)])) is None
    assert RunTimes([]).total(runner.Counter()) == 0.0


# A full disk.


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, flush, flushed = tmp_path / "out", os.fsync, []

    def full(handle: int) -> None:
        flushed.append(handle)
        if len(flushed) > 3:  # the second result's JSON
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    jobs = [job(seed=seed, place=tmp_path) for seed in range(4)]
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BlemishError, match=r"the disk is full; 1 runs of this call are kept in"):
        run_bench(jobs, out, execute=execute)
    monkeypatch.undo()
    assert len(read_results(out)) == 1
    assert not list(out.glob(".*"))
    made = run_bench(jobs, out, execute=execute)
    assert (made.runs, made.earlier, made.failed) == (3, 1, [])


def test_a_full_disk_in_a_worker_ends_the_bench_and_fails_no_run(tmp_path: Path) -> None:
    jobs = [job("quick", place=tmp_path), job("disk full", place=tmp_path)]
    with pytest.raises(BlemishError, match="free some space and give the same command again"):
        run_bench(jobs, tmp_path / "out", execute=execute)
    assert {r.status for r in read_results(tmp_path / "out")} <= {"done"}


# The store.


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    made = outcome()
    write_result(result(tmp_path / "out"), made.arrays)
    [found] = read_results(tmp_path / "out")
    assert found == result(tmp_path / "out")
    assert found.seconds == 3.0
    scores = found.scores()
    assert scores.score.tolist() == [0.25, 0.75]
    assert scores.label.tolist() == [False, True]
    failed = result(tmp_path / "out", status="failed", reason="why", figures=None, cost=None)
    write_result(failed, None)
    assert read_results(tmp_path / "out") == [failed]
    assert failed.seconds is None
    assert read_results(tmp_path / "nowhere") == []


def test_a_result_of_before_budgets_and_fits_is_read(tmp_path: Path) -> None:
    write_result(result(tmp_path), outcome().arrays)
    path = tmp_path / f"{run().key}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["run"].pop("budget", "absent") is None
    assert content.pop("fit", "absent") is None
    path.write_text(json.dumps({**content, "schema": 2}), encoding="utf-8")
    assert read_results(tmp_path) == [result(tmp_path)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:200], "is no result, or cut off"),
        (lambda text: "[]", "is no result; move it"),
        (lambda text: text.replace('"schema": 3', '"schema": 4'), "has schema 4, and this version"),
        (lambda text: text.replace('"figures"', '"numbers"'), "no result of this bench"),
        (lambda text: text.replace('"seed": 0', '"seeds": 0'), "no result of this bench"),
        (lambda text: text.replace('"done"', '"begun"'), "is not what its name says"),
    ],
)
def test_a_file_that_is_no_result(tmp_path: Path, damage: object, message: str) -> None:
    write_result(result(tmp_path), outcome().arrays)
    path = tmp_path / f"{run().key}.json"
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")  # type: ignore[operator]
    with pytest.raises(DatasetError, match=message) as refusal:
        read_results(tmp_path)
    assert str(path) in str(refusal.value)


def test_a_result_without_its_scores(tmp_path: Path) -> None:
    write_result(result(tmp_path), outcome().arrays)
    scores = tmp_path / f"{run().key}.npz"
    scores.write_bytes(scores.read_bytes()[:100])
    with pytest.raises(DatasetError, match="is no file of scores, or cut off"):
        read_results(tmp_path)[0].scores()
    scores.unlink()
    with pytest.raises(DatasetError, match=r"json has lost its scores, .*\.npz; delete it"):
        read_results(tmp_path)


def test_results_of_other_code_are_told_and_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    other = result(out, key="0" * 16, code=Code("0.0.9", "a" * 16, "b" * 16))
    write_result(other, outcome().arrays)
    assert other_code_notes(read_results(out)) == [
        f"1 results there are of other code, blemish 0.0.9 ({'a' * 16}): they stay, and are not "
        "mixed with those of this one"
    ]
    made = run_bench([job(place=tmp_path)], out, execute=execute)
    assert (made.runs, made.earlier) == (1, 0)
    assert len(read_results(out)) == 2

    now = run().code
    write_result(result(out, code=dataclasses.replace(now, method="c" * 16)), outcome().arrays)
    assert other_code_notes(read_results(out))[-1].startswith(
        f"1 results there are of other code, blemish {now.version} ({now.source}, its quick cccc"
    )


def test_the_command_in_a_process_of_its_own(protocol: Path, tmp_path: Path) -> None:
    done = finished(["bench", "list", protocol, "--json", "-"])
    assert json.loads(done.out)["detectors"] == {
        "padim": True,
        "patchcore": True,
        "a_detector_to_come": False,
    }
