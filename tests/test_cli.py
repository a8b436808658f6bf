"""The command line: exit codes, one sentence for a mistake, and JSON where it is asked for."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from plates import save_good
from running import Cli, finished

import blemish
import blemish.cli
from blemish.cli import main, verbs
from blemish.errors import ImageError
from blemish.model.artifact import open_artifact

QUICK = ("--size", 64, "--detector", "patchcore", "--set", "bank=50")


def test_the_whole_way_in_a_process_of_its_own(plates: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.blemish"
    train = finished(["train", plates, "-o", model, *QUICK])
    assert (train.code, train.err) == (0, [])
    assert "learnt from 16 images of 16 good parts" in train.out
    assert "299 good parts" in train.out
    evaluate = finished(["evaluate", model, plates])
    assert evaluate.code == 0
    assert "images: 6 good, 6 defective; AUROC 1.0000" in evaluate.out
    mistake = finished(["inspect", model, tmp_path / "nothing.png"])
    mistake.refusal("nothing.png", "does not exist")


def commands(package: ModuleType, *before: str) -> Iterator[tuple[str, ...]]:
    """Every verb, and the verbs of those that have some."""
    for name in verbs(package):
        yield (*before, name)
        module = importlib.import_module(f"{package.__name__}.{name}")
        if hasattr(module, "__path__"):
            yield from commands(module, *before, name)


@pytest.mark.parametrize("command", list(commands(blemish.cli)), ids=" ".join)
def test_every_verb_explains_itself(cli: Cli, command: tuple[str, ...]) -> None:
    run = cli(*command, "--help")
    assert run.code == 0
    assert f"usage: blemish {' '.join(command)}" in run.out


def test_a_verb_with_verbs_asks_for_one(cli: Cli) -> None:
    cli("data").refusal("VERB", "`blemish data --help`")


def test_the_version(cli: Cli) -> None:
    assert cli("--version").out == f"blemish {blemish.__version__}\n"


def test_debug_shows_the_traceback(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match="0 bytes"):
        main(["inspect", str(model), str(tmp_path), "--debug"])


# Mistakes in the command.

MISTAKES = {
    ("--max-fpr", "nonsense"): ("nonsense", "write it like 1%"),
    ("--max-fpr", "0"): ("'0'", "above 0"),
    ("--max-fpr", "100%"): ("'100%'", "below 1"),
    ("--confidence", "nan"): ("nan", "write it like"),
    ("--hold-out", "150%"): ("150%", "below 1"),
    ("--budget", "soon"): ("--budget soon", "90s, 10m or 1.5h"),
    ("--budget", "0s"): ("--budget 0s",),
    ("--set", "bank"): ("--set bank", "KEY=VALUE"),
    ("--set", "colour=red"): ("'colour'", "it has: ", "bank"),
    ("--set", "bank=many"): ("'many'", "its default is 2000"),
    ("--detector", "magic"): ("'magic'", "there are: ", "padim", "patchcore"),
    ("--preset", "magic"): ("'magic'", "it has: "),
    ("--layout", "magic"): ("'magic'", "the layouts are", "mvtec"),
    ("--category", "magic"): ("'magic'", "it has plates"),
    ("--size", "65"): ("--size 65", "multiple of 32"),
    ("--tile", "-1"): ("--tile -1", "0 or more"),
    ("--tile", "15"): ("--tile 15 is too small", "16 pixels or more"),
    ("--tile", "1" + 20 * "0"): ("at most 2^48",),
    ("--size", "9" * 5000): ("--size", "invalid int value"),
    ("--colour", "red"): ("unrecognized arguments: --colour red", "`blemish --help`"),
    ("--preset", "\x1b[2J"): ("\\x1b[2J",),
    ("--cross-fit", "1"): ("1 folds", "at least two"),
    ("--cross-fit", "50"): ("50 folds", "20 parts"),
    ("--parts", "none.csv"): ("none.csv", "cannot be read"),
    ("--part-pattern", "(?P<part>"): ("(?P<part>", "not valid"),
    ("--part-pattern", "x"): ("lacks a group",),
}


@pytest.mark.parametrize(("option", "words"), MISTAKES.items(), ids=" ".join)
def test_a_mistake_is_one_sentence(
    cli: Cli, plates: Path, tmp_path: Path, option: tuple[str, str], words: tuple[str, ...]
) -> None:
    run = cli("train", plates, "-o", tmp_path / "m.blemish", "--size", 64, *option)
    assert len(run.refusal(*words)) < 1000
    assert not (tmp_path / "m.blemish").exists()


@pytest.mark.parametrize("command", list(commands(blemish.cli)), ids=" ".join)
def test_no_verb_takes_a_number_that_cannot_be(cli: Cli, command: tuple[str, ...]) -> None:
    """Whatever else it is given, which is not looked at before."""
    actions = [action for action in options_of(command) if action.type in (int, float)]
    for action in actions:
        given = [word for other in options_of(command) for word in needed(other, action)]
        wrong = ("nan", "inf") if action.type is float else ("-1", str(10**20), "x", "9" * 5000)
        for number in wrong:
            run = cli(*command, *given, f"{action.option_strings[-1]}={number}")
            run.refusal(action.option_strings[-1])


def options_of(command: Sequence[str]) -> list[argparse.Action]:
    parser: Any = blemish.cli.parser()
    for word in command:
        [verbs_] = [one for one in parser._actions if isinstance(one.choices, dict)]
        parser = verbs_.choices[word]
    return list(parser._actions)


def needed(option: argparse.Action, other: argparse.Action) -> list[str]:
    """Words for an argument that a verb cannot do without."""
    if option is other or not option.required:
        return []
    return [*option.option_strings[-1:], next(iter(option.choices or ["x"]))]


def test_a_data_set_that_is_not_there(cli: Cli, model: Path, tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    for argv in (["train", lost, "-o", tmp_path / "m.blemish"], ["evaluate", model, lost]):
        cli(*argv).refusal(lost, "does not exist")


def test_a_folder_in_the_model_s_place(cli: Cli, plates: Path, tmp_path: Path) -> None:
    cli("train", plates, "-o", tmp_path, *QUICK).refusal(tmp_path)


# A gate that fails is 1, not 2.


def test_strict_fails_where_the_promise_is_not_proven(
    cli: Cli, plates: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.blemish"
    run = cli("train", plates, "-o", out, *QUICK, "--strict")
    assert run.code == 1
    assert "provisional" in run.out
    assert out.exists()


def test_strict_passes_where_it_is(cli: Cli, plates: Path, tmp_path: Path) -> None:
    # At most half of the good parts, at 50 %: one held-out part would do.
    promise = ("--max-fpr", "50%", "--confidence", "50%")
    run = cli("train", plates, "-o", tmp_path / "m.blemish", *QUICK, "--strict", *promise)
    assert run.code == 0
    assert "With 50 % confidence" in run.out


def test_a_calibration_can_be_strict_too(cli: Cli, model: Path, tmp_path: Path) -> None:
    good = save_good(tmp_path / "good", range(300, 330))
    out = tmp_path / "m.blemish"
    assert cli("calibrate", model, good, "-o", out, "--strict").code == 1
    assert cli("calibrate", model, good, "-o", out, "--strict", "--max-fpr", "10%").code == 0


def test_data_check_fails_on_an_error_and_strictly_on_any_finding(
    cli: Cli, plates: Path, tmp_path: Path
) -> None:
    assert cli("data", "check", plates, "--strict").code == 0
    root = shutil.copytree(plates, tmp_path / "set")
    shutil.copy(root / "test/good/100.png", root / "train/good/100.png")
    run = cli("data", "check", root)
    assert run.code == 0
    assert "same picture" in run.out
    assert cli("data", "check", root, "--strict").code == 1
    for image in sorted((root / "train/good").iterdir())[1:]:
        image.unlink()
    run = cli("data", "check", root, "--json", "-")
    assert run.code == 1
    told = json.loads(run.out)
    assert told["findings"][0]["severity"] == "error"
    assert told["images"] == len(list(root.glob("t*/*/*.png")))
    assert told["images_per_second"] > 0
    assert list(told["shortcuts"]) == ["set"]
    quick = cli("data", "check", root, "--quick", "--json", "-")
    assert quick.code == 1
    told = json.loads(quick.out)
    assert told["findings"][0]["kind"] == "too few to train"
    assert told["shortcuts"] is told["images_per_second"] is None


# JSON.


def test_standard_output_holds_json_and_nothing_else(
    cli: Cli, plates: Path, model: Path, tmp_path: Path
) -> None:
    good = save_good(tmp_path / "good", range(300, 303))
    out = tmp_path / "m.blemish"
    commands: list[list[object]] = [
        ["train", plates, "-o", out, *QUICK],
        ["calibrate", model, good, "-o", out],
        ["evaluate", model, plates, "--report", tmp_path / "report"],
        ["inspect", model, good],
        ["export", model, "--to", "onnx", "-o", tmp_path / "onnx"],
        ["data", "show", plates],
        ["data", "check", plates],
        ["data", "stats", plates],
        ["detectors"],
        ["backbone", "list"],
        ["cache", "show"],
    ]
    for command in commands:
        run = cli(*command, "--json", "-")
        assert (run.code, run.err) == (0, []), command
        json.loads(run.out)
        file = tmp_path / "figures.json"
        silent = cli(*command, "--json", file)
        assert silent.code == 0
        assert type(json.loads(file.read_text(encoding="utf-8"))) is type(json.loads(run.out))
        file.unlink()


def test_inspect_takes_json_anywhere(cli: Cli, plates: Path, model: Path, tmp_path: Path) -> None:
    image, file = plates / "test/good/100.png", tmp_path / "out.json"
    expected = json.loads(cli("inspect", model, image, "--json", "-").out)
    assert [verdict["part"] for verdict in expected] == ["100.png"]
    for argv in (["--json", model, image], [model, "--json", image], [model, image, "--json"]):
        assert json.loads(cli("inspect", *argv).out) == expected
    for argv in ([model, image, "--json", file], ["--json", file, model, image]):
        run = cli("inspect", *argv)
        assert run.out.startswith("pass")
        assert json.loads(file.read_text(encoding="utf-8")) == expected
        file.unlink()


def test_json_that_cannot_be_written(cli: Cli, plates: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "out.json"
    run = cli("inspect", model, plates / "test/good", "--json", target)
    run.refusal(target, "choose another place")


def test_train_writes_its_card_as_json(cli: Cli, plates: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.blemish"
    card = json.loads(cli("train", plates, "-o", out, *QUICK, "--json", "-").out)
    kept = open_artifact(out).card
    assert kept.to_json() == {"schema": 1, **card}
    assert card["detector"]["settings"]["bank"] == 50


# What inspect prints.


def test_inspect_prints_a_line_for_each_part(cli: Cli, plates: Path, model: Path) -> None:
    run = cli("inspect", model, plates / "test")
    words = [line.split()[:2] for line in run.out.splitlines()]
    assert [name for _, name in words] == sorted(name for _, name in words)
    assert {d for d, name in words if name.startswith("dent/")} == {"reject"}
    assert sum(d == "pass" for d, name in words if name.startswith("good/")) >= 4
    assert run.code == 0  # the exit code tells errors, not verdicts


def test_inspect_draws_heat_maps(cli: Cli, plates: Path, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    assert cli("inspect", model, plates / "test/dent", "--heatmaps", folder).code == 0
    assert len(list(folder.rglob("*.*"))) == 6


def test_evaluate_writes_a_report(cli: Cli, plates: Path, model: Path, tmp_path: Path) -> None:
    run = cli("evaluate", model, plates, "--report", tmp_path / "report")
    assert f"report: {tmp_path / 'report' / 'report.html'}" in run.out
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000


def test_the_cache_is_shown_and_cleared(cli: Cli, plates: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert cli("train", plates, "-o", tmp_path / "m.blemish", *QUICK, "--cache", folder).code == 0
    shown = json.loads(cli("cache", "show", "--cache", folder, "--json", "-").out)
    assert len(shown["shelves"]) == 2  # features, and what is known of each picture
    assert shown["bytes"] > 16 * 64 * 2
    freed = json.loads(cli("cache", "clear", "--cache", folder, "--json", "-").out)
    assert freed["freed"] == shown["bytes"]
    assert "0 MiB in 0 shelves" in cli("cache", "show", "--cache", folder).out


def test_detectors_and_their_settings_are_listed(cli: Cli) -> None:
    out = cli("detectors").out
    assert out.count("(default)") == 1
    assert "--set bank=2000" in out
    assert "efficientnet_lite0  sha256 " in cli("backbone", "list").out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("train", "x", "-o", "m.blemish"), "blemish: stopped; --resume goes on where it stopped"),
        (
            ("prepare", "simulate", "-o", "x", "--modality", "dark_field"),
            "blemish: stopped; the same command goes on where it stopped",
        ),
        (("detectors",), "blemish: stopped"),
    ],
)
def test_what_is_stopped_from_the_keyboard_says_how_to_go_on(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], words: str
) -> None:
    def stop(options: object) -> int:
        raise KeyboardInterrupt

    verb = importlib.import_module(f"blemish.cli.{'.'.join(argv[: 1 + (argv[0] == 'prepare')])}")
    monkeypatch.setattr(verb, "run", stop)
    run = cli(*argv)
    assert (run.code, run.err) == (130, [words])


def test_a_table_without_rows_is_checked(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("image\n", encoding="utf-8")
    checked = cli("data", "check", tmp_path / "none.csv")
    assert checked.code in (0, 2)
    assert not any("Traceback" in line for line in checked.err)
