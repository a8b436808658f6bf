"""A warm start: what it keeps, who sets the threshold again, and before beside after."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from plates import dent_mask, dented, plate, save, save_dented, save_good
from running import Cli

from blemish.calibration.promise import Promise
from blemish.cli import main
from blemish.dataset import open_dataset
from blemish.dataset.defect_images import open_defects
from blemish.errors import DatasetError
from blemish.features.cache import picture_name
from blemish.model.artifact import Artifact, open_artifact, write_artifact
from blemish.model.card import (
    BackboneEntry,
    Card,
    DefectKindChange,
    DetectorEntry,
    ModelComparison,
    WarmStartEntry,
)
from blemish.training import train
from blemish.training.copies import Copies
from blemish.training.hold_out import hold_out_again, hold_out_parts
from blemish.training.model_comparison import compare, sentences
from blemish.training.warm_start import open_warm_start, plan_of
from blemish.util.progress import Progress

pytest.importorskip("torch")

SHAPE = (64, 64)
QUICK = ["--detector", "mixed", "--size", "64", "--tile", "64", "--max-fpr", "20%"]
SETTINGS = ("steps=2", "batch=4", "patch_size=64", "held_out=0")
QUICK += [word for setting in SETTINGS for word in ("--set", setting)]


def known(model: Path) -> tuple[set[str], set[str]]:
    """The parts that a model learnt from, and those that set its threshold."""
    card = open_artifact(model).card
    held = {entry.part for entry in card.calibration.scores}
    return set(card.data.trained_parts), held


@dataclass(frozen=True)
class Line:
    """A data set, its model that was taught two dents, new defects, and the model of these."""

    data: Path
    model: Path
    new: Path
    model2: Path
    said: dict[str, Any]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    root = tmp_path_factory.mktemp("line")
    save_good(root / "set/train/good", range(12), SHAPE)
    save_good(root / "set/test/good", range(100, 103), SHAPE)
    save_dented(root / "set", range(200, 204), SHAPE)
    for seed in (300, 301):
        save(root / f"set/train/dent/{seed}.png", dented(seed, SHAPE))
    for seed in (310, 311):
        save(root / f"new/scratch/{seed}.png", dented(seed, SHAPE))
        save(root / f"new/ground_truth/scratch/{seed}_mask.png", dent_mask(seed, SHAPE))
    save(root / "new/from_the_test.png", dented(200, SHAPE))
    save(root / "new/known.png", dented(300, SHAPE))
    first, second, said = root / "1.blemish", root / "2.blemish", root / "said.json"
    assert main(["train", str(root / "set"), "-o", str(first), *QUICK, "--quiet"]) == 0
    more = ["--from", str(first), "--defects", str(root / "new"), "--json", str(said)]
    assert main(["train", str(root / "set"), "-o", str(second), *more, "--quiet"]) == 0
    return Line(root / "set", first, root / "new", second, json.loads(said.read_text()))


# What the next model is made of.


def test_no_defect_is_forgotten(line: Line) -> None:
    card = Card.from_json(line.said)
    taught = card.data.taught
    assert taught is not None
    assert (taught.images, taught.parts) == (5, 5)
    assert taught.defects == {"dent": 2, "scratch": 2, "unknown": 1}
    assert card.continued_from == WarmStartEntry(
        open_artifact(line.model).sha256, 3, {"scratch": 2, "unknown": 1}
    )
    assert [entry.kind for entry in card.defects] == ["dent", "dent", None, *2 * ["scratch"]]
    assert [entry.mask for entry in card.defects] == [False, False, False, True, True]
    pictures = [*line.data.glob("train/dent/*"), *line.new.glob("*/3*.png"), *line.new.glob("f*")]
    names = {entry.image for entry in card.defects}
    assert names == {picture_name(path) for path in pictures} == set(taught.pictures)
    assert names <= set(card.data.trained_images)
    old, new = (open_artifact(path) for path in (line.model, line.model2))
    for name in [name for name in old.members if name.startswith("defects/")]:
        assert new.members[name] == old.members[name]


def test_the_network_goes_on(line: Line) -> None:
    old, new = (open_artifact(path) for path in (line.model, line.model2))
    assert old.model != new.model
    for entry in ("detector", "recipe", "backbone"):
        assert getattr(old.card, entry) == getattr(new.card, entry)


def test_the_same_parts_set_the_threshold_again(line: Line) -> None:
    learnt, held = known(line.model)
    learnt2, held2 = known(line.model2)
    assert held2 == held
    assert learnt <= learnt2
    assert not held2 & learnt2


def test_a_model_is_recalibrated_with_what_it_keeps(cli: Cli, line: Line, tmp_path: Path) -> None:
    save_good(tmp_path / "more", range(400, 405), SHAPE)
    out = tmp_path / "3.blemish"
    assert cli("calibrate", line.model2, tmp_path / "more", "-o", out).code == 0
    again = open_artifact(out)
    assert again.members == open_artifact(line.model2).members
    assert again.card.comparison is None  # the threshold was another


def test_a_training_that_was_stopped_goes_on_to_the_same_model(line: Line, tmp_path: Path) -> None:
    start = open_warm_start(line.model, open_defects(line.new))
    plan = plan_of(start, {}, settings={})
    data, out = open_dataset(line.data), tmp_path / "2.blemish"

    def stop(progress: Progress) -> None:
        if progress.what != "looking for copies":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, out, plan, start=start, progress=stop)
    assert not out.exists()
    assert list((tmp_path / "2.blemish.resume/taught").glob("*.png"))
    train(data, out, plan, start=start, resume=True)
    assert open_artifact(out).model == open_artifact(line.model2).model
    assert not (tmp_path / "2.blemish.resume").exists()


# Before and after.


def test_what_is_taught_tests_no_more(line: Line) -> None:
    compared = line.said["comparison"]
    assert compared["taken_out"] == ["test/dent/200.png"]
    assert (compared["parts"], compared["good"], compared["defective"]) == (6, 3, 3)
    assert compared["kinds"]["dent"]["parts"] == 3


def test_a_part_that_is_taught_by_name_tests_no_more_from_any_view(line: Line) -> None:
    start = open_warm_start(line.model, open_defects(line.new))
    data = open_dataset(line.data, part_pattern=r"(?P<part>\d\d)\d\.png")  # 10, 20, 30 ...
    part = start.new.table.with_columns(part=pl.lit("10"))
    rest = replace(start, new=start.new.with_table(part)).usable(data)
    assert set(data.split("test").parts) == {"10", "20"}  # 20 has a picture that is taught
    assert not len(rest.split("test"))
    assert len(rest) == len(data.split("train"))


class Judge:
    """An inspector that has made up its mind."""

    threshold = 0.5

    def __init__(self, rejected: set[str], required: tuple[str, ...] = ()) -> None:
        self.rejected, self.required_views = rejected, required

    def look(self, image: Path) -> Any:
        score = float(image.stem in self.rejected)
        return type("Look", (), {"score": score, "peak": score})()


def judged(root: Path, before: set[str], after: set[str], *required: str) -> ModelComparison:
    judges: Any = (Judge(before, required), Judge(after, required))
    return compare(*judges, open_dataset(root).split("test"))


def test_escapes_and_false_rejects_before_and_after(tmp_path: Path) -> None:
    save_good(tmp_path / "train/good", range(3), SHAPE)
    save_good(tmp_path / "test/good", range(100, 110), SHAPE)
    save_dented(tmp_path, range(200, 208), SHAPE)
    for seed in (300, 301):
        save(tmp_path / f"test/crack/{seed}.png", dented(seed, SHAPE))
    found = judged(
        tmp_path,
        {"100", "101", "200", "300", "301"},
        {"101", "102", "300", *map(str, range(201, 208))},
    )
    assert found.escapes is not None
    assert found.false_rejects is not None
    assert found.kinds is not None
    assert (found.escapes.before, found.escapes.after) == (7, 2)
    assert found.escapes.gone == tuple(f"test/dent/{seed}.png" for seed in range(201, 208))
    assert found.escapes.new == ("test/crack/301.png", "test/dent/200.png")
    assert found.escapes.p == pytest.approx(2 * (1 + 9 + 36) / 2**9)
    assert found.false_rejects.gone == ("test/good/100.png",)
    assert found.false_rejects.new == ("test/good/102.png",)
    assert found.kinds["crack"] == DefectKindChange(2, (0, 1))
    assert sentences(replace(found, taken_out=("tile1", "tile2")), tmp_path) == [
        "On the same 20 test parts: recovers 7 of 7 escapes, 2 new ones (exact McNemar p = 0.18); "
        "false rejects 2 -> 2 of 10 good parts (p = 1).",
        "Escapes by kind of defect: crack 0 -> 1 of 2, dent 7 -> 1 of 8.",
        "New escapes: test/crack/301.png, test/dent/200.png.",
        "2 test parts were taken out: the model has learnt from them.",
    ]


def test_without_a_test_nothing_is_compared(tmp_path: Path) -> None:
    save_good(tmp_path / "train/good", range(3), SHAPE)
    found = judged(tmp_path, set(), set())
    assert found == ModelComparison(0, 0, 0)
    [line] = sentences(found, tmp_path)
    assert "Nothing could be compared" in line
    assert "test/<defect>" in line


def test_a_test_of_one_label_says_what_it_cannot_tell(tmp_path: Path) -> None:
    save_good(tmp_path / "train/good", range(3), SHAPE)
    save_good(tmp_path / "test/good", range(100, 102), SHAPE)
    [line] = sentences(judged(tmp_path, set(), {"100"}), tmp_path)
    assert "none of them is defective" in line
    assert "false rejects 0 -> 1 of 2 good parts" in line


def test_a_part_that_lacks_a_view_is_judged_by_the_others(tmp_path: Path) -> None:
    """No model passes it, which makes it no defect that was found."""
    save_good(tmp_path / "train/good", range(3), SHAPE)
    save_dented(tmp_path, [200, 201], SHAPE)
    found = judged(tmp_path, {"200"}, {"200"}, "top")
    assert found.escapes is not None
    assert found.escapes.before == found.escapes.after == 1
    assert found.incomplete == 1
    assert "1 of these parts lacks a view" in sentences(found, tmp_path)[-1]


# Who sets the threshold of a model that goes on.

PROMISE = Promise(0.01, 0.95)


def test_new_good_parts_fill_up_what_is_held_out(tmp_path: Path) -> None:
    save_good(tmp_path / "good", range(10), SHAPE)
    learnt, held = hold_out_parts(open_dataset(tmp_path / "good"), PROMISE)
    save_good(tmp_path / "good", range(50, 65), SHAPE)
    grown = open_dataset(tmp_path / "good")
    before = {"seen": set(learnt.parts), "before": set(held.parts)}
    more, held2 = hold_out_again(grown, PROMISE, **before)
    assert set(held2.parts) > set(held.parts)
    assert len(held2.parts) == 5  # a fifth of 25
    assert not set(held2.parts) & set(learnt.parts)
    assert set(more.parts) | set(held2.parts) == set(grown.parts)


def test_what_a_model_has_learnt_sets_no_threshold(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = open_dataset(save_good(tmp_path / "good", range(20), SHAPE))
    held = hold_out_parts(data, PROMISE)[1].parts
    left = hold_out_again(data, PROMISE, seen=set(data.parts) - {held[0]}, before=held)[1]
    assert left.parts == [held[0]]
    assert "only 1 good parts" in caplog.text
    with pytest.raises(DatasetError, match="has learnt from every good part"):
        hold_out_again(data, PROMISE, seen=data.parts, before=held)


def test_parts_of_new_defects_leave_the_threshold(line: Line) -> None:
    """A part that a defect is taught of, by its own name, sets no threshold any more."""
    start = open_warm_start(line.model, open_defects(line.new))
    number = Path(min(known(line.model)[1])).stem
    data = open_dataset(line.data, part_pattern=r"(?P<part>\w+)\.png")
    part = start.new.table.with_columns(part=pl.lit(number))
    of_part = replace(start, new=start.new.with_table(part))
    for going_on, is_held in ((start, True), (of_part, False)):
        copies = Copies.among(data)
        learnt, held = going_on.hold_out(data, plan_of(start, {}, settings={}), data, copies)
        assert (number in held.parts, number in learnt.parts) == (is_held, not is_held)


# Bad input.


def refusal(cli: Cli, line: Line, *words: object, **other: Path) -> Any:
    """A continuation with something else in place of what it takes."""
    taken = {"data": line.data, "model": line.model, "new": line.new, **other}
    argv = ["train", taken["data"], "--from", taken["model"], "--defects", taken["new"]]
    return cli(*argv, "-o", line.data.parent / "never.blemish", *words)


def test_a_model_that_does_not_learn_from_defects(cli: Cli, line: Line, model: Path) -> None:
    refusal(cli, line, model=model).refusal(model, "duet", "does not learn from defects", "mixed")


def test_what_is_taught_is_nothing_new(cli: Cli, line: Line, tmp_path: Path) -> None:
    save(tmp_path / "old/again.png", dented(300, SHAPE))
    words = ("nothing new", "all 1 pictures are taught")
    refusal(cli, line, new=tmp_path / "old").refusal(*words)
    (tmp_path / "none").mkdir()
    refusal(cli, line, new=tmp_path / "none").refusal("none", "no picture of a defect")
    refusal(cli, line, new=tmp_path / "nowhere").refusal("nowhere", "does not exist")


def test_what_is_taught_but_not_kept_is_learnt_again_beside_new_ones(
    line: Line, tmp_path: Path
) -> None:
    artifact = open_artifact(line.model2)
    kept = [entry for entry in artifact.card.defects if entry.kind != "scratch"]
    forgetful = changed(artifact, tmp_path / "m", defects=tuple(kept))
    scratches = save(tmp_path / "new/a.png", dented(310, SHAPE)).parent
    with pytest.raises(DatasetError, match="nothing new"):
        open_warm_start(forgetful, open_defects(scratches))
    save(scratches / "b.png", dented(777, SHAPE))
    save(scratches / "c.png", dented(777, SHAPE))
    start = open_warm_start(forgetful, open_defects(scratches))
    assert start.new.table["image"].to_list() == ["a.png", "b.png"]
    assert start.already == 2


def test_pictures_that_find_no_room_in_the_model_are_counted(cli: Cli, tmp_path: Path) -> None:
    """Seven pictures of one scratch, of which a model keeps five."""
    good = save_good(tmp_path / "good", range(12), SHAPE)
    lines = ["image,split,label,part"]
    lines += [f"good/{file.name},train,good," for file in sorted(good.iterdir())]
    for view in range(7):
        save(tmp_path / f"{view}.png", dented(320 + view, SHAPE))
        lines.append(f"{view}.png,train,defective,scratch7")
    table, model = tmp_path / "data.csv", tmp_path / "m.blemish"
    table.write_text("\n".join(lines), encoding="utf-8")
    run = cli("train", table, "-o", model, *QUICK, "--json", "-")
    assert run.code == 0, run.err
    assert "2 pictures of defects are learnt but not kept in the model" in " ".join(run.err)
    assert [entry.part for entry in open_artifact(model).card.defects] == ["scratch7"] * 5


def test_a_picture_is_good_or_defective(cli: Cli, line: Line, tmp_path: Path) -> None:
    refusal(cli, line, new=line.data).refusal("calls pictures good", "/good/", str(line.data))
    save(tmp_path / "torn/dent/a.png", plate(3, SHAPE))
    refusal(cli, line, new=tmp_path / "torn").refusal("calls pictures good", "003.png")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--detector", "duet"), ("--detector duet contradicts", "mixed")),
        (("--size", "128"), ("--size 128", "64")),
        (("--tile", "32"), ("--tile 32", "64")),
        (("--seed", "3"), ("--seed 3", "goes on with 0")),
        (("--max-fpr", "1%"), ("--max-fpr", "0.2")),
        (("--cross-fit", "3"), ("--cross-fit 3",)),
        (("--view-scales",), ("--view-scales",)),
        (("--set", "hidden=8"), ("hidden=8", "hidden=64", "steps alone")),
        (("--preset", "paper"), ("--preset paper", "contradicts")),
    ],
)
def test_an_option_that_contradicts_the_model(
    cli: Cli, line: Line, words: tuple[str, ...], said: tuple[str, ...]
) -> None:
    refusal(cli, line, *words).refusal(*said)


def test_a_setting_by_its_former_name_contradicts_the_model_too(cli: Cli, line: Line) -> None:
    warning, refused = refusal(cli, line, "--set", "decay=0.5").err
    assert "setting decay of detector mixed is called weight_decay now" in warning
    assert "--set weight_decay=0.5 contradicts --from" in refused


def test_a_model_of_whole_pictures_goes_on_with_whole_pictures(
    cli: Cli, line: Line, tmp_path: Path
) -> None:
    start, model = tmp_path / "whole.blemish", tmp_path / "next.blemish"
    assert cli("train", line.data, "-o", start, *QUICK, "--tile", 0).code == 0
    goes_on = ["--from", start, "--defects", line.new]
    assert cli("train", line.data, "-o", model, *goes_on, "--tile", 0).code == 0
    for path in (start, model):
        assert open_artifact(path).card.recipe.tile is None
    refused = cli("train", line.data, "-o", model, *goes_on, "--tile", 64)
    refused.refusal("--tile 64 contradicts", "goes on with 0")


def test_an_option_that_says_the_same_is_taken(line: Line) -> None:
    start = open_warm_start(line.model, open_defects(line.new))
    plan = plan_of(start, {"--size": 64, "--seed": 0}, settings={"steps": "7", "batch": "4"})
    detector: Any = start.detector_for(plan)
    assert (detector.steps, detector.batch) == (7, 4)
    assert start.already == 1


def test_neither_option_comes_alone(cli: Cli, line: Line) -> None:
    out = ("-o", line.data.parent / "never.blemish")
    cli("train", line.data, *out, "--from", line.model).refusal("--from needs --defects")
    cli("train", line.data, *out, "--defects", line.new).refusal("--defects needs --from")


def test_the_model_to_go_on_from_stays(cli: Cli, line: Line) -> None:
    before = line.model.read_bytes()
    argv = ["train", line.data, "--from", line.model, "--defects", line.new, "-o", line.model]
    cli(*argv).refusal("is the model to go on from")
    assert line.model.read_bytes() == before


def changed(artifact: Artifact, path: Path, **card: Any) -> Path:
    write_artifact(path, artifact.model, replace(artifact.card, **card), artifact.members)
    return path


def test_a_model_that_cannot_be_gone_on_from(cli: Cli, line: Line, tmp_path: Path) -> None:
    artifact = open_artifact(line.model)
    entry = replace(artifact.card.defects[0], member="defects/9999.png")
    lost = changed(artifact, tmp_path / "lost", defects=(entry,))
    refusal(cli, line, model=lost).refusal("lost", "9999.png")
    foreign = changed(artifact, tmp_path / "foreign", backbone=BackboneEntry("b", "0"))
    refusal(cli, line, model=foreign).refusal("another file of the backbone")
    evil, mark = tmp_path / "evil.py", tmp_path / "mark"
    evil.write_text(f"open({str(mark)!r}, 'w')\n", encoding="utf-8")
    own = artifact.card.detector.settings
    for entry in (
        DetectorEntry(str(evil), own),
        DetectorEntry("mixed", {**own, "generator": str(evil)}),
    ):
        code = changed(artifact, tmp_path / "code", detector=entry)
        refusal(cli, line, model=code).refusal("evil.py", "is not run")
    assert not mark.exists()
    settings = {**artifact.card.detector.settings, "magic": 1}
    newer = changed(artifact, tmp_path / "newer", detector=DetectorEntry("mixed", settings))
    refusal(cli, line, model=newer).refusal("magic", "use the version")
    other = {**artifact.card.detector.settings, "hidden": 8}
    shape = changed(artifact, tmp_path / "shape", detector=DetectorEntry("mixed", other))
    refusal(cli, line, model=shape).refusal("other settings of the network")
    damaged = bytearray(line.model.read_bytes())
    damaged[damaged.index(artifact.members["defects/0001.png"]) + 50] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    refusal(cli, line, model=tmp_path / "damaged").refusal("is damaged")


def test_without_good_parts_nothing_goes_on(cli: Cli, line: Line, tmp_path: Path) -> None:
    save_dented(tmp_path / "bad", [1, 2], SHAPE)
    run = refusal(cli, line, data=tmp_path / "bad")
    run.refusal("no good image")


def test_a_new_picture_of_another_depth(cli: Cli, line: Line, tmp_path: Path) -> None:
    deep = dented(5, SHAPE).astype("uint16") * 257
    save(tmp_path / "deep/a.png", deep)
    refusal(cli, line, new=tmp_path / "deep").refusal("a.png", "uint16")
