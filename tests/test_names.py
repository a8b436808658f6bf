"""One rule of names: text in UTF-8 without control characters, in every verb and every output."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plates import plate, save, save_good, save_set
from running import Cli, finished

from blemish.calibration.views import decide
from blemish.cli._shared import json_text
from blemish.cli._terminal import PlainStream
from blemish.dataset import open_dataset
from blemish.errors import BlemishError, DatasetError
from blemish.images import image_names
from blemish.inspector import Inspector
from blemish.util.names import escaped, is_name, path_of, printable, wrong_name

FINE = [
    *(" lead.png", "tail .png", "qu'o\"te.png", "a,b;c.png", "gl[1]*?.png", "ü 漢.png"),
    *("#%&$(x).png", "-o.png", "x" * 251 + ".png"),
]
WRONG = [b"\xff.png", b"a\nb.png", b"a\tb.png", b"\x1b[31m.png", b"\xc2\x9b2J.png", b"a\r.png"]


def put(folder: Path, name: bytes, number: int) -> None:
    """A plate under a name that may be no text."""
    try:
        shutil.copy(save(folder / "plain.png", plate(number)), folder / os.fsdecode(name))
    except OSError as error:
        pytest.skip(f"this file system refuses such a name: {error}")
    finally:
        (folder / "plain.png").unlink()


def hostile_set(root: Path) -> Path:
    """A sound data set, with a picture of each wrong name among the good ones."""
    save_set(root, train=6, good=3, dents=3)
    for number, name in enumerate(WRONG):
        put(root / ("train/good" if number % 2 else "test/good"), name, 500 + number)
    return root


# The rule itself.


@given(st.text())
def test_what_is_escaped_is_a_name(text: str) -> None:
    assert is_name(escaped(text))
    assert escaped(escaped(text)) == escaped(text)
    assert printable(text).isprintable()
    if is_name(text):
        assert escaped(text) == text


@given(st.binary().filter(lambda data: b"\0" not in data))
def test_a_name_of_any_bytes_can_be_shown(data: bytes) -> None:
    name = os.fsdecode(data)
    assert is_name(escaped(name))
    escaped(name).encode("utf-8")
    assert is_name(name) == (escaped(name) == name)


def test_names_are_told_apart() -> None:
    texts = [os.fsdecode(name) for name in WRONG]
    assert len({escaped(text) for text in texts}) == len(WRONG)
    assert not any(map(is_name, texts))
    assert all(map(is_name, FINE))
    assert escaped(os.fsdecode(b"\xff\n")) == "\\xff\\n"


def test_a_wrong_name_is_known_by_what_it_is_listed_as(tmp_path: Path) -> None:
    for number, name in enumerate(WRONG):
        put(tmp_path, name, number)
    save(tmp_path / "a\\b.png", plate(9))
    with pytest.raises(DatasetError, match="is not read for its name"):
        image_names(tmp_path)
    for name in image_names(tmp_path, any_name=True):
        assert (wrong_name(tmp_path / name) is None) == (name == "a\\b.png")
    assert wrong_name(tmp_path / "a\\c.png") is None


@pytest.mark.parametrize("name", [b"\xff", b"a\nb"])
def test_a_folder_on_the_way_counts_too(tmp_path: Path, name: bytes) -> None:
    inner = tmp_path / os.fsdecode(name)
    try:
        save(inner / "good/a.png", plate(1))
    except OSError as error:
        pytest.skip(f"this file system refuses such a name: {error}")
    [listed] = image_names(tmp_path, any_name=True)
    assert wrong_name(tmp_path / listed) is not None
    with pytest.raises(DatasetError, match="rename it"):
        open_dataset(inner)


# The verbs.


def test_fine_names_are_fine_everywhere(cli: Cli, model: Path, tmp_path: Path) -> None:
    root = save_set(tmp_path / "set", train=4, good=2, dents=2)
    for number, name in enumerate(FINE):
        for place in ("train/good", "test/good"):
            save(root / place / name, plate(700 + number + 50 * (place == "test/good")))
    new = root / "test/good"
    run = cli("inspect", model, new, "--json", "-", "--heatmaps", tmp_path / "maps")
    assert run.code == 0, run.err
    assert {Path(v["views"][0]["image"]).name for v in json.loads(run.out)} >= set(FINE)
    assert len(list((tmp_path / "maps").iterdir())) == len(FINE) + 2
    for number, name in enumerate(FINE):
        alone = cli("inspect", model, "--json", tmp_path / f"{number}.json", "--", new / name)
        assert alone.code == 0
    for verb in (
        ("evaluate", model, root, "--report", tmp_path / "report"),
        ("train", root, "-o", tmp_path / "m.blemish", "--size", 64),
        ("data", "check", root),
        ("data", "convert", root, "--to", "mvtec", "-o", tmp_path / "again"),
        ("data", "convert", root, "--to", "csv", "--copy", "-o", tmp_path / "table"),
        ("data", "split", root, "--protocol", "k_fold", "--set", "k=2", "-o", tmp_path / "s.json"),
    ):
        assert cli(*verb).code == 0, verb
    assert len(open_dataset(next((tmp_path / "table").glob("*.csv")))) == len(open_dataset(root))


STOPPING = {
    "train": ("train", "{root}", "-o", "{out}/m.blemish", "--size", "64"),
    "calibrate": ("calibrate", "{model}", "{root}", "-o", "{out}/m.blemish"),
    "data show": ("data", "show", "{root}"),
    "data stats": ("data", "stats", "{root}"),
    "data convert": ("data", "convert", "{root}", "--to", "mvtec", "-o", "{out}/set"),
    "data split": ("data", "split", "{root}", "--protocol", "uiad", "-o", "{out}/s.json"),
    "synth preview": ("synth", "preview", "{root}", "--generator", "cutpaste", "-o", "{out}"),
    "synth apply": ("synth", "apply", "{root}", "--generator", "cutpaste", "-o", "{out}/set"),
    "label audit": ("label", "audit", "{root}", "-o", "{out}"),
    "export": ("export", "{model}", "--to", "onnx", "--images", "{root}", "-o", "{out}/e"),
}


@pytest.mark.parametrize("verb", STOPPING)
def test_what_learns_or_writes_pictures_stops_and_names_it(
    cli: Cli, model: Path, tmp_path: Path, verb: str
) -> None:
    root, out = hostile_set(tmp_path / "set"), tmp_path / "out"
    out.mkdir()
    run = cli(*(word.format(root=root, out=out, model=model) for word in STOPPING[verb]))
    sentence = run.refusal("is not read for its name", "rename it")
    assert sentence.isprintable()
    assert not any(out.rglob("*.blemish"))


def test_data_check_lists_every_such_name(cli: Cli, tmp_path: Path) -> None:
    run = cli("data", "check", hostile_set(tmp_path / "set"), "--json", "-")
    assert run.code == 1
    found = json.loads(run.out)["findings"]
    wrong = [finding for finding in found if finding["kind"] == "wrong names"]
    assert len(wrong) == len(WRONG)
    assert not any(finding["kind"] == "unreadable" for finding in found)


def test_inspect_and_evaluate_give_a_verdict(cli: Cli, model: Path, tmp_path: Path) -> None:
    root = hostile_set(tmp_path / "set")
    run = cli("inspect", model, root, "--json", "-", "--heatmaps", tmp_path / "maps")
    assert run.code == 2
    decisions = [verdict["decision"] for verdict in json.loads(run.out)]
    assert decisions.count("unreadable") == len(WRONG)
    assert len(decisions) == len(image_names(root, any_name=True))
    run = cli("evaluate", model, root, "--json", "-", "--report", tmp_path)
    assert run.code == 2
    assert json.loads(run.out)["decision"]["unreadable"] == len(WRONG) // 2
    assert "\x1b" not in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_name_as_an_argument(model: Path, tmp_path: Path, name: bytes) -> None:
    put(tmp_path, name, 1)
    save_good(tmp_path / "good", range(4))
    path = str(tmp_path / os.fsdecode(name))
    run = finished(["inspect", model, path, tmp_path / "good", "--json", "-"])
    assert run.code == 2
    assert [v["decision"] for v in json.loads(run.out)].count("unreadable") == 1
    assert all(line.isprintable() for line in run.err)
    for verb in ("data show", "evaluate", "train"):
        more = {"evaluate": [str(model)]}.get(verb, [])
        out = ["-o", str(tmp_path / "m.blemish")] if verb == "train" else []
        refused = finished([*verb.split(), *more, path, *out])
        assert refused.refusal("rename it").isprintable()


@pytest.mark.parametrize(
    "settings",
    [
        {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        {"LC_ALL": "C", "LANG": "C", "PYTHONIOENCODING": ""},
    ],
)
def test_a_terminal_that_knows_no_unicode(
    model: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    save(tmp_path / "ü漢.png", plate(104))
    put(tmp_path, b"\xff.png", 1)
    run = finished(["inspect", model, tmp_path, "--json", "-"], **settings)
    assert run.code == 2
    assert {verdict["part"] for verdict in json.loads(run.out)} == {"ü漢.png", "\\xff.png"}
    assert finished(["inspect", model, tmp_path], **settings).code == 2


# What a table names, a terminal does not obey.


def test_nothing_that_a_table_says_is_a_command_to_the_terminal(
    cli: Cli, model: Path, tmp_path: Path
) -> None:
    save_good(tmp_path, range(6))
    hostile = "x\x1b[31m\x9b2J\u202e"
    rows = {
        "image": [f"{seed:03}.png" for seed in range(6)],
        "split": ["test"] * 6,
        "label": ["good"] * 3 + ["defective"] * 3,
        "defect": [None] * 3 + [hostile] * 3,
        "part": [f"{hostile}{number // 2}" for number in range(6)],
        "view": [hostile, "a"] * 3,
        "category": [hostile] * 6,
    }
    pl.DataFrame(rows).write_parquet(tmp_path / "t.parquet")
    for verb in (["data", "show"], ["data", "check"], ["data", "stats"], ["evaluate", model]):
        run = cli(*verb, tmp_path / "t.parquet")
        assert all(line.isprintable() for line in run.out.splitlines()), verb
        assert all(line.isprintable() for line in run.err)
    shown = json.loads(cli("data", "show", tmp_path / "t.parquet", "--json", "-").out)
    assert shown["categories"] == [hostile]


def test_a_picture_that_a_table_names_keeps_the_rule(cli: Cli, model: Path, tmp_path: Path) -> None:
    save_good(tmp_path, range(3))
    put(tmp_path, b"a\nb.png", 7)
    images = ["000.png", "001.png", "a\nb.png"]
    pl.DataFrame({"image": images, "label": ["good"] * 3, "split": ["test"] * 3}).write_parquet(
        tmp_path / "t.parquet"
    )
    cli("data", "show", tmp_path / "t.parquet").refusal("a\\nb.png", "rename it")
    run = cli("evaluate", model, tmp_path / "t.parquet", "--json", "-")
    assert json.loads(run.out)["decision"]["unreadable"] == 1


@given(st.text(), st.booleans())
def test_json_is_printable_and_says_what_it_said(text: str, ascii_only: bool) -> None:
    written = json_text({"name": text}, ascii_only=ascii_only)
    assert json.loads(written) == {"name": text}
    assert written.replace("\n", "").isprintable()
    assert printable(written, keep="\n") == written
    assert written.isascii() or not ascii_only


@given(st.text())
def test_a_plain_stream_passes_on_lines_and_text_alone(text: str) -> None:
    class Kept:
        text = ""

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

    kept = Kept()
    PlainStream(kept, "\n\t").write(text)  # type: ignore[arg-type]
    assert kept.text.replace("\n", "").replace("\t", "").isprintable()


# The same from Python.


@pytest.mark.parametrize("name", ["a\0b.png", "\udcff.png", "a\nb.png", "x" * 300])
def test_a_name_that_no_file_has(model: Path, name: str) -> None:
    assert Inspector.open(model).inspect(name).decision == "unreadable"
    with pytest.raises(DatasetError):
        open_dataset(name)
    with pytest.raises(BlemishError):
        path_of(name, "it")


def test_the_rule_of_decisions_knows_unreadable_views() -> None:
    assert decide({}, 1.0, unreadable=[""]) == "unreadable"
