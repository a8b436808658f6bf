"""The files of one's own that docs/extending.md shows, through the command line and the bench."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import h5py
import pytest
from outside_files import documented, save_documented
from plates import plate, save, save_set
from running import Cli, finished
from scans import recipe_at, save_scans

from blemish.benchmark.protocol import open_protocol
from blemish.benchmark.runs import Job, expand
from blemish.benchmark.store import read_results
from blemish.dataset import open_dataset
from blemish.dataset.splits import divide
from blemish.errors import BlemishError, DatasetError
from blemish.model.artifact import open_artifact

CHANGED = "\n# changed\n"


def record(file: Path) -> dict[str, str]:
    return {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def label(file: Path) -> str:
    return f"{file.name}@{record(file)['sha256'][:12]}"


def sorted_plates(root: Path) -> Path:
    """What the documented sorter leaves: six parts, each from two views."""
    for part in range(6):
        for view in "ab":
            folder = "rejected" if part == 5 else "accepted"
            save(root / folder / f"p{part}_{view}.png", plate(10 * part + ord(view)))
    return root


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of plates with room for a split; nobody changes it."""
    return save_set(tmp_path_factory.mktemp("parts") / "parts", train=12, good=6, dents=4)


def test_the_documentation_shows_a_file_of_each_kind() -> None:
    assert set(documented()) == {"scratch.py", "sorter.py", "every_nth.py"}


# Layouts


def test_a_layout_reads_what_it_is_told_to_and_the_data_set_names_it(
    cli: Cli, tmp_path: Path
) -> None:
    root, file = sorted_plates(tmp_path / "line"), save_documented(tmp_path / "mine", "sorter.py")
    told = tmp_path / "told.json"
    run = cli("data", "show", root, "--layout", file, "--json", told)
    assert run.code == 0, run.err
    shown = json.loads(told.read_text(encoding="utf-8"))
    assert (shown["layout"], shown["parts"], shown["views"]) == (label(file), 6, ["a", "b"])
    assert shown["splits"]["train"] == {"good": {"images": 10, "parts": 5}}
    assert open_dataset(root, layout=label(file)).layout == label(file)
    wrong = cli("data", "show", tmp_path / "mine", "--layout", file)
    wrong.refusal("has not the layout of a sorter, which is the folders accepted and rejected")


def test_a_model_of_such_a_set_names_the_layout_and_opens_without_it(
    cli: Cli, tmp_path: Path
) -> None:
    root, file = sorted_plates(tmp_path / "line"), save_documented(tmp_path, "sorter.py")
    model, named = tmp_path / "m.blemish", label(file)
    argv = ("--layout", file, "--size", "64", "--detector", "patchcore", "--set", "bank=20")
    run = cli("train", root, "-o", model, *argv, "--quiet")
    assert run.code == 0, run.err
    assert open_artifact(model).card.data.layout == named
    file.unlink()
    run = cli("inspect", model, root / "rejected", "--json", "-")
    assert run.code == 0, run.err
    assert json.loads(run.out)


# Generators


def test_a_set_with_defects_names_the_generator_and_its_hash(
    cli: Cli, parts: Path, tmp_path: Path
) -> None:
    file, out = save_documented(tmp_path, "scratch.py"), tmp_path / "out"
    run = cli("synth", "apply", parts, "-o", out, "--generator", file, "--set", "length=9")
    assert run.code == 0, run.err
    told = json.loads((out / "synthesis.json").read_text(encoding="utf-8"))
    assert (told["generator"], told["outside"]) == (label(file), record(file))
    assert told["settings"] == {"length": 9, "width": 2, "depth": 80.0}
    file.unlink()
    assert open_dataset(out).counts()["defects"] == {"scratch": 3}


def test_a_set_by_a_generator_of_the_package_says_nothing_of_outside(
    cli: Cli, parts: Path, tmp_path: Path
) -> None:
    run = cli("synth", "apply", parts, "-o", tmp_path / "out", "--generator", "random_walk")
    assert run.code == 0, run.err
    told = json.loads((tmp_path / "out" / "synthesis.json").read_text(encoding="utf-8"))
    assert told["generator"] == "random_walk"
    assert "outside" not in told


def test_a_file_called_good_makes_no_good_images(cli: Cli, parts: Path, tmp_path: Path) -> None:
    file = save_documented(tmp_path, "scratch.py").rename(tmp_path / "good.py")
    run = cli("synth", "apply", parts, "-o", tmp_path / "out", "--generator", file)
    assert run.code == 0, run.err
    assert open_dataset(tmp_path / "out").counts()["defects"] == {"defect_good": 3}


def test_a_preview_is_called_after_the_file(cli: Cli, parts: Path, tmp_path: Path) -> None:
    file = save_documented(tmp_path / "mine", "scratch.py")
    run = cli("synth", "preview", parts, "-o", tmp_path, "--generator", file, "--count", 2)
    assert run.code == 0, run.err
    assert (tmp_path / "scratch.png").exists()


@pytest.mark.parametrize("verb", ["preview", "apply"])
def test_a_generator_at_fault_is_one_sentence(
    cli: Cli, parts: Path, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "mine.py").write_text("import no_such_module\n", encoding="utf-8")
    argv = ("synth", verb, parts, "-o", tmp_path / "out", "--generator", tmp_path / "mine.py")
    cli(*argv).refusal("mine.py, line 1: it needs no_such_module, which is not installed")


def test_a_recipe_names_its_generator_beside_itself(tmp_path: Path) -> None:
    root = tmp_path / "recipe"
    save_scans(root, "train", [1])
    recipe = recipe_at(root, '[generator]\nname = "./scratch.py"\n')
    file = save_documented(root, "scratch.py")
    streams = []
    for workers in (1, 2):  # two: processes that were never told of the file
        out = tmp_path / f"{workers}.h5"
        run = finished(["prepare", "stream", recipe, "-o", out, "--workers", workers])
        assert run.code == 0, run.err
        streams.append(out.read_bytes())
    assert streams[0] == streams[1]
    with h5py.File(tmp_path / "1.h5") as held:
        assert json.loads(held.attrs["outside"]) == record(file)
        assert held["label"][()].sum() > 40


def test_a_stream_goes_on_with_the_same_generator_alone(cli: Cli, tmp_path: Path) -> None:
    root, out = tmp_path / "recipe", tmp_path / "s.h5"
    save_scans(root, "train", [1])
    recipe = recipe_at(root, '[generator]\nname = "scratch.py"\n')
    save_documented(root, "scratch.py")
    stopped = cli("prepare", "stream", recipe, "-o", out, "--workers", 1, "--budget", "0.001s")
    assert stopped.code != 0
    save_documented(root, "scratch.py", changed=CHANGED)
    again = cli("prepare", "stream", recipe, "-o", out, "--workers", 1)
    again.refusal("holds unfinished work on another recipe")


def test_a_detector_that_draws_defects_names_the_generator(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from blemish.detectors import open_detector

    file = save_documented(tmp_path, "scratch.py")
    assert open_detector("mixed", {"generator": str(file)}).generator == label(file)
    assert open_detector("mixed", {"generator": "nsa"}).generator == "nsa"
    with pytest.raises(BlemishError, match="does not exist"):
        open_detector("mixed", {"generator": str(tmp_path / "gone.py")})


# Split protocols


def test_a_split_file_names_the_protocol_and_opens_without_it(
    cli: Cli, parts: Path, tmp_path: Path
) -> None:
    file, out, told = save_documented(tmp_path, "every_nth.py"), tmp_path / "s", tmp_path / "t.json"
    argv = ("--protocol", file, "--set", "n=3", "--seed", "1", "-o", out, "--json", told)
    run = cli("data", "split", parts, *argv)
    assert run.code == 0, run.err
    for content in (json.loads(path.read_text(encoding="utf-8")) for path in (out, told)):
        assert (content["protocol"], content["outside"]) == (label(file), record(file))
        assert content["settings"] == {"n": 3}
    file.unlink()
    table = open_dataset(parts, split=out).table
    assert len(table) == 22
    assert len(open_dataset(parts, split=out).split("test").good()) == 6


def test_a_split_by_a_protocol_of_the_package_says_nothing_of_outside(
    cli: Cli, parts: Path, tmp_path: Path
) -> None:
    assert cli("data", "split", parts, "--protocol", "uiad", "-o", tmp_path / "s").code == 0
    assert "outside" not in json.loads((tmp_path / "s").read_text(encoding="utf-8"))


ANSWERS = {
    "None": "must answer with a DataFrame of the columns part and side",
    "parts": "must answer with a DataFrame of the columns part and side",
    'parts.select("part", side=pl.lit("trial"))': "answers with the side 'trial'; there are: train",
    'pl.concat([parts.select("part", side=pl.lit(s)) for s in ("train", "test")])': "on two sides",
    'pl.DataFrame({"part": ["x"], "side": ["test"]})': "with a part that it was not given",
}


@pytest.mark.parametrize(("answer", "message"), ANSWERS.items(), ids=range(len(ANSWERS)))
def test_what_no_protocol_may_answer_is_refused(
    parts: Path, tmp_path: Path, answer: str, message: str
) -> None:
    text = (
        documented()["every_nth.py"].partition("        good =")[0] + f"        return {answer}\n"
    )
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=f"split protocol .*mine.py .*{message}"):
        divide(open_dataset(parts), str(tmp_path / "mine.py"))


# The bench

BENCH = """
title = "mine"
source = "no paper"
[[data]]
name = "parts"
folders = ["parts"]
[[splits]]
name = "nth"
protocol = "every_nth.py"
settings = { n = 3 }
[[detectors]]
name = "patchcore"
size = 64
settings = { bank = 20 }
[[metrics]]
path = "image.auroc"
name = "I-AUROC"
"""


def bench_at(folder: Path, text: str = BENCH) -> Path:
    save_documented(folder, "every_nth.py")
    save_documented(folder, "scratch.py")
    file = folder / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return file


def jobs(file: Path, parts: Path) -> tuple[Job, ...]:
    return expand(open_protocol(str(file)), parts.parent).jobs


def test_a_bench_runs_a_split_from_outside_in_other_processes(
    cli: Cli, parts: Path, tmp_path: Path
) -> None:
    file, out = bench_at(tmp_path / "a"), tmp_path / "out"
    argv = ("bench", "run", file, "--data", parts.parent, "--out", out, "--quiet")
    run = cli(*argv, "--workers", 2, "--seeds", 2)
    assert run.code == 0, run.err
    named = label(tmp_path / "a" / "every_nth.py")
    results = read_results(out)
    assert [(one.status, one.run.split) for one in results] == [("done", named)] * 2
    (tmp_path / "a" / "every_nth.py").unlink()
    assert read_results(out)[0].run.key == results[0].key  # its key can be told without the file
    bench_at(tmp_path / "b")
    table = cli("bench", "table", tmp_path / "b" / "mine.toml", "--out", out)
    assert table.code == 0, table.err
    assert "I-AUROC" in table.out


def test_a_key_holds_the_content_of_a_file_from_outside_and_not_its_place(
    parts: Path, tmp_path: Path
) -> None:
    here, there = jobs(bench_at(tmp_path / "a"), parts), jobs(bench_at(tmp_path / "b"), parts)
    assert [job.run.key for job in here] == [job.run.key for job in there]
    assert here[0].files != there[0].files
    save_documented(tmp_path / "b", "every_nth.py", changed=CHANGED)
    [changed] = jobs(tmp_path / "b" / "mine.toml", parts)
    assert changed.run.key != here[0].run.key


def test_a_key_holds_the_generator_that_a_setting_names(parts: Path, tmp_path: Path) -> None:
    text = BENCH.replace('"patchcore"', '"mixed"').replace("bank = 20", 'generator = "scratch.py"')
    [before] = jobs(bench_at(tmp_path, text), parts)
    assert dict(before.run.settings) == {"generator": label(tmp_path / "scratch.py")}
    assert set(dict(before.files)) == {label(tmp_path / n) for n in ("scratch.py", "every_nth.py")}
    save_documented(tmp_path, "scratch.py", changed=CHANGED)
    [after] = jobs(tmp_path / "mine.toml", parts)
    assert before.run.key != after.run.key


def test_a_file_that_changes_while_a_bench_waits_fails_the_run(parts: Path, tmp_path: Path) -> None:
    from blemish.benchmark.execute import execute

    [job] = jobs(bench_at(tmp_path), parts)
    save_documented(tmp_path, "every_nth.py", changed=CHANGED)
    assert "every_nth.py has changed since the work began" in str(execute(job).reason)


def test_a_bench_reads_its_data_by_a_layout_from_outside(tmp_path: Path) -> None:
    root = sorted_plates(tmp_path / "root" / "parts")
    file = bench_at(tmp_path / "a", BENCH.replace('"parts"]', '"parts"]\nlayout = "sorter.py"'))
    save_documented(tmp_path / "a", "sorter.py")
    assert [job.run.category for job in jobs(file, root)] == ["parts"]
