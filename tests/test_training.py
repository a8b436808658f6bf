"""Training: what is held out, what the threshold promises, and the same model every time."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contexts import an_hour_later
from image_bytes import png16
from plates import (
    VIEW_PATTERN,
    dented,
    plate,
    save,
    save_good,
    save_views,
)
from running import Cli, Run

from blemish.calibration.promise import Promise
from blemish.dataset import open_dataset
from blemish.detectors.base import Clock
from blemish.errors import BudgetExceeded, DatasetError, ImageError
from blemish.inspector import Inspector
from blemish.model.artifact import open_artifact
from blemish.model.card import Card, DataCounts
from blemish.training import Plan, train
from blemish.training.hold_out import hold_out_parts

QUICK = Plan(detector="patchcore", settings={"bank": "50"}, size=64)
ARGUMENTS = ("--size", 64, "--detector", "patchcore", "--set", "bank=50")


def held_parts(card: Card) -> set[str]:
    """The parts on whose scores the threshold was set."""
    return {entry.part for entry in card.calibration.scores}


# Who learns, and who sets the threshold.


def test_parts_that_set_the_threshold_teach_nothing(tmp_path: Path) -> None:
    save_views(tmp_path / "good", range(15))
    data = open_dataset(tmp_path / "good", part_pattern=VIEW_PATTERN)
    card = train(data, tmp_path / "m.blemish", QUICK).card
    learnt, held = set(card.data.trained_parts), held_parts(card)
    assert learnt & held == set()
    assert learnt | held == set(data.parts)
    assert len(held) == 3
    assert card.data.trained_on == DataCounts(24, 12)
    assert card.data.held_out == DataCounts(6, 3)
    assert card.data.held_out_by == "seeded hold-out"
    calibration = card.calibration
    assert calibration.required_views == ("side", "top")
    part_scores = [max(score for _, score, _ in entry.views) for entry in calibration.scores]
    assert calibration.threshold == max(part_scores)
    assert [len(entry.views) for entry in calibration.scores] == [2, 2, 2]


def test_a_validation_split_sets_the_threshold(tmp_path: Path) -> None:
    save_good(tmp_path / "set/train/good", range(10))
    save_good(tmp_path / "set/validation/good", range(50, 55))
    card = train(open_dataset(tmp_path / "set"), tmp_path / "m.blemish", QUICK).card
    assert held_parts(card) == {f"validation/good/{seed:03}.png" for seed in range(50, 55)}
    assert card.data.trained_on.images == 10
    assert card.data.held_out_by == "validation split"


@pytest.mark.parametrize(
    ("promise", "share", "held"),
    [
        (Promise(0.01, 0.95), None, 4),  # 299 would do, far more than there are: a fifth
        (Promise(0.30, 0.95), None, 9),  # as many as the promise needs
        (Promise(0.25, 0.95), None, 4),  # 11 would do, but that is more than half
        (Promise(0.90, 0.50), None, 4),  # one would do: still a fifth
        (Promise(0.01, 0.95), 0.4, 8),  # as many as are asked for
    ],
)
def test_how_many_parts_are_held_out(
    plates: Path, promise: Promise, share: float | None, held: int
) -> None:
    learnt, rest = hold_out_parts(open_dataset(plates), promise, share=share)
    assert (len(learnt), len(rest)) == (20 - held, held)


def test_the_test_split_has_no_part_in_a_model(plates: Path, tmp_path: Path) -> None:
    """Neither its good pictures nor its defects move a threshold."""
    save_good(tmp_path / "alone/train/good", range(20))
    models = []
    for root in (plates, tmp_path / "alone"):
        card = train(open_dataset(root), tmp_path / "m.blemish", QUICK).card
        assert all(part.startswith("train/good/") for part in held_parts(card))
        models.append((open_artifact(tmp_path / "m.blemish").model, card.calibration))
    assert models[0] == models[1]


def test_too_few_parts_are_an_error_that_says_how_many(tmp_path: Path) -> None:
    data = open_dataset(save_good(tmp_path / "good", range(2)))
    with pytest.raises(DatasetError, match=r"2 good part.* at least 3 are needed"):
        train(data, tmp_path / "m.blemish", QUICK)


def test_a_model_learns_one_category(tmp_path: Path) -> None:
    for category in ("bolt", "nut"):
        save_good(tmp_path / "shop" / category / "train/good", range(6))
    data = open_dataset(tmp_path / "shop")
    with pytest.raises(DatasetError, match=r"2 categories \(bolt, nut.*--category"):
        train(data, tmp_path / "m.blemish", QUICK)
    card = train(data.category("nut"), tmp_path / "m.blemish", QUICK).card
    assert all(part.startswith("nut/") for part in card.data.trained_parts)


# The same model every time.


def test_training_twice_is_the_same_model(plates: Path, tmp_path: Path) -> None:
    data = open_dataset(plates)
    plan = Plan(size=64, cache=tmp_path / "cache")
    first = train(data, tmp_path / "1.blemish", plan)
    again = train(data, tmp_path / "2.blemish", plan)  # from the cache
    alone = train(data, tmp_path / "3.blemish", replace(plan, cache=None))
    paths = [first.path, again.path, alone.path]
    assert len({open_artifact(path).model for path in paths}) == 1
    assert first.card.calibration == again.card.calibration == alone.card.calibration
    assert list((tmp_path / "cache").rglob("*.index"))
    other = train(data, tmp_path / "4.blemish", replace(plan, seed=1))
    assert held_parts(other.card) != held_parts(first.card)


def test_the_order_of_the_files_does_not_matter(plates: Path, tmp_path: Path) -> None:
    data = open_dataset(plates)
    turned = data.take(np.arange(len(data))[::-1])
    held = [held_parts(train(d, tmp_path / "m", QUICK).card) for d in (data, turned)]
    assert held[0] == held[1]


def test_a_model_of_its_card(model: Path, plates: Path) -> None:
    card = open_artifact(model).card
    assert card.schema == 1
    assert card.detector.name == "duet"
    assert len(card.backbone.sha256) == 64
    assert card.data.fingerprint == open_dataset(plates).fingerprint()
    assert card.recipe.to_json() == {
        **{"height": 64, "width": 64, "resize": "squash"},
        **{"window": None, "tile": None, "overlap": 0.25, "margin": 0},
    }
    assert 0 < card.latency_ms.p50 <= card.latency_ms.max
    assert set(card.versions) == {"blemish", "python", "numpy", "onnxruntime"}
    json.dumps(card.to_json(), allow_nan=False)


def test_a_centre_crop_that_cannot_be_made_is_refused(
    cli: Cli, plates: Path, tmp_path: Path
) -> None:
    def refused(*options: object) -> Run:
        return cli("train", plates, "-o", tmp_path / "m.blemish", *ARGUMENTS, *options)

    refused("--crop", 96).refusal("--crop 96 must be a multiple of 32, at most the size, 64")
    refused("--crop", 40).refusal("--crop 40")
    refused("--crop", 32, "--tile", 64).refusal("centre crop", "tiles", "leave out one of the two")
    assert not (tmp_path / "m.blemish").exists()
    assert refused("--crop", 64).code == 0  # all of it
    assert open_artifact(tmp_path / "m.blemish").card.recipe.margin == 0


def test_a_model_with_a_centre_crop_replays(cli: Cli, plates: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.blemish"
    assert cli("train", plates, "-o", model, *ARGUMENTS, "--crop", 32).code == 0
    artifact = open_artifact(model)
    recipe = artifact.card.recipe
    assert (recipe.height, recipe.width, recipe.margin) == (32, 32, 16)
    Inspector.of(artifact)


# A time budget.


def test_a_budget_that_runs_out_keeps_what_was_done(cli: Cli, plates: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.blemish"
    arguments = ("train", plates, "-o", model, *ARGUMENTS)
    with an_hour_later():
        run = cli(*arguments, "--budget", "10m")
    run.refusal("the time budget of 600 s ran out", "--resume")
    assert not model.exists()
    assert cli(*arguments, "--resume", "--budget", "10m").code == 0
    expected = tmp_path / "straight.blemish"
    assert cli("train", plates, "-o", expected, *ARGUMENTS).code == 0
    assert open_artifact(model).model == open_artifact(expected).model


@pytest.mark.parametrize("detector", ["patchcore", "duet"])
def test_a_budget_may_run_out_anywhere(
    plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detector: str
) -> None:
    """Clocks that move by one second at every look make each budget end at another place."""
    looks: Counter[Clock] = Counter()

    def elapsed(clock: Clock) -> float:
        looks[clock] += 1
        return looks[clock]

    monkeypatch.setattr(Clock, "elapsed", property(elapsed))
    data, plan = open_dataset(plates), Plan(detector, size=64)
    straight = train(data, tmp_path / "straight.blemish", plan)
    words = set()
    for budget in count(0.5):
        try:
            resumed = train(data, tmp_path / "m.blemish", plan, budget=budget, resume=True)
            break
        except BudgetExceeded as error:
            words.add(str(error).partition(" ran out while ")[2].partition(";")[0])
    assert "reading the data set" in words
    assert len(words) >= 3, words
    assert open_artifact(resumed.path).model == open_artifact(straight.path).model
    assert resumed.card.calibration == straight.card.calibration


# 16-bit images.


def deep(seed: int, *, dent: bool = False) -> Any:
    """The plate of that seed in the middle of the range of a 12-bit camera, uint16 [H, W]."""
    picture = dented(seed) if dent else plate(seed)
    return (1000 + 10 * picture[..., 0].astype(np.uint16)).astype(np.uint16)


def test_16_bit_images_have_one_window_that_stays(cli: Cli, tmp_path: Path) -> None:
    for seed in range(12):
        file = tmp_path / f"good/{seed}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(png16(deep(seed), colour_type=0))
    model = tmp_path / "m.blemish"
    assert cli("train", tmp_path / "good", "-o", model, *ARGUMENTS).code == 0
    artifact = open_artifact(model)
    window = artifact.card.recipe.window
    assert window is not None
    pixels = np.stack([deep(seed) for seed in range(12)])
    assert 1000 < window.low < pixels.min() + 100
    assert pixels.max() - 100 < window.high < 5000
    inspector = Inspector.of(artifact)

    (tmp_path / "good.png").write_bytes(png16(deep(100), colour_type=0))
    (tmp_path / "bad.png").write_bytes(png16(deep(200, dent=True), colour_type=0))
    good, bad = (inspector.inspect(tmp_path / name) for name in ("good.png", "bad.png"))
    assert bad.decision == "reject"
    assert bad.score > 1.5 * good.score
    # The window does not follow the picture: the same part in half the light is another picture.
    (tmp_path / "dim.png").write_bytes(png16(deep(100) // 2, colour_type=0))
    assert inspector.look(tmp_path / "dim.png").score > good.score

    plain = save(tmp_path / "eight.png", plate(100))
    with pytest.raises(ImageError, match=r"eight\.png is 8-bit, but the model .* window"):
        inspector.look(plain)
    cli("inspect", model, plain).refusal(plain, "save it in the depth of the others")


# Estimates.


def test_a_cross_fitted_threshold_is_called_an_estimate(
    cli: Cli, plates: Path, tmp_path: Path
) -> None:
    model = tmp_path / "m.blemish"
    promise = ("--max-fpr", "50%", "--confidence", "50%")  # 20 held-out parts would prove it
    run = cli("train", plates, "-o", model, *ARGUMENTS, *promise, "--cross-fit", 4, "--strict")
    assert run.code == 1
    assert "an estimate" in run.out
    assert "no false-reject rate is proven" in run.out
    card = open_artifact(model).card
    assert card.calibration.method == "cross-fitted estimate"
    assert card.calibration.provisional is True
    assert len(held_parts(card)) == 20  # every part is scored by a model that has not seen it
    assert card.data.trained_on.parts == 20
    assert card.data.held_out.parts == 0
    assert card.data.held_out_by == "cross-fitting in 4 folds"


def test_the_folds_of_a_cross_fit_are_honest(plates: Path, tmp_path: Path) -> None:
    """A part scored by a model that learnt from it would score far lower."""
    plan = replace(QUICK, cross_fit=4, settings={"bank": "2000"})
    trained = train(open_dataset(plates), tmp_path / "m.blemish", plan)
    inspector = Inspector.open(trained.path)
    for entry in trained.card.calibration.scores:
        [[_, score, _]] = entry.views
        assert inspector.look(plates / entry.part).score < 0.7 * score


# Calibration.


def test_a_calibration_on_new_parts_changes_the_card_alone(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    good = save_good(tmp_path / "good", range(300, 330))
    out = tmp_path / "new.blemish"
    run = cli("calibrate", model, good, "-o", out, "--max-fpr", "10%")
    assert run.code == 0
    assert "at most 9.5" in run.out
    before, after = open_artifact(model), open_artifact(out)
    assert after.model == before.model
    assert after.golden == before.golden
    scores = [Inspector.of(before).look(image).score for image in sorted(good.iterdir())]
    assert after.card.calibration.threshold == max(scores)
    assert after.card.calibration.good_parts == 30
    assert after.card.calibration.provisional is False
    assert after.card.data.held_out == DataCounts(30, 30)
    assert after.card.data.trained_parts == before.card.data.trained_parts
    assert after.sha256 != before.sha256


def test_a_calibration_in_place(cli: Cli, model: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.blemish"
    own.write_bytes(model.read_bytes())
    assert cli("calibrate", own, save_good(tmp_path / "good", range(300, 303))).code == 0
    assert open_artifact(own).card.calibration.good_parts == 3


def test_parts_that_were_trained_on_are_refused(
    cli: Cli, model: Path, plates: Path, tmp_path: Path
) -> None:
    words = ("were used to train", "has not seen")
    before = model.read_bytes()
    cli("calibrate", model, plates).refusal(plates, *words)
    # The same pictures under other names, and seen from another folder.
    cli("calibrate", model, plates / "train/good").refusal(plates / "train/good", *words)
    mixed = save_good(tmp_path / "mixed", range(300, 330))
    learnt = open_artifact(model).card.data.trained_parts[0]
    (mixed / "copy.png").write_bytes((plates / learnt).read_bytes())
    cli("calibrate", model, mixed).refusal("copy.png", *words)
    assert model.read_bytes() == before


def test_held_out_parts_may_set_the_threshold_again(
    cli: Cli, model: Path, plates: Path, tmp_path: Path
) -> None:
    card = open_artifact(model).card
    for part in held_parts(card):
        save(tmp_path / "held" / part.rpartition("/")[2], plate(int(part[-7:-4])))
    out = tmp_path / "m.blemish"
    assert cli("calibrate", model, tmp_path / "held", "-o", out).code == 0
    again = open_artifact(out).card.calibration
    assert again.threshold == card.calibration.threshold


def test_other_pictures_with_the_same_file_names_are_other_parts(cli: Cli, tmp_path: Path) -> None:
    save_good(tmp_path / "monday", range(10))
    model, friday = tmp_path / "m.blemish", tmp_path / "friday"
    assert cli("train", tmp_path / "monday", "-o", model, *ARGUMENTS).code == 0
    for seed in range(10):
        save(friday / f"{seed:03}.png", plate(500 + seed))
    assert cli("calibrate", model, friday).code == 0


def test_a_part_with_a_number_is_the_same_in_every_picture(cli: Cli, tmp_path: Path) -> None:
    save_views(tmp_path / "monday", range(10))
    model = tmp_path / "m.blemish"
    by_number = ("--part-pattern", VIEW_PATTERN)
    assert cli("train", tmp_path / "monday", "-o", model, *ARGUMENTS, *by_number).code == 0
    learnt = open_artifact(model).card.data.trained_parts[0]
    for view in ("top", "side"):
        save(tmp_path / "friday" / f"{learnt}_{view}.png", plate(900))
        save(tmp_path / "friday" / f"777_{view}.png", plate(901))
    run = cli("calibrate", model, tmp_path / "friday", *by_number)
    run.refusal(f"{learnt} of {tmp_path / 'friday'}", "were used to train")
