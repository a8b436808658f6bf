"""What is found by a file's name: in the package, at a path, and by an entry point."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outside_files import save_distribution, save_documented
from running import finished

from blemish import discovery
from blemish.benchmark.figures import FIGURES
from blemish.benchmark.formats import FORMATS
from blemish.dataset.layouts import LAYOUTS
from blemish.dataset.splits import PROTOCOLS, open_protocol
from blemish.discovery import Kind, is_path
from blemish.errors import BlemishError, DatasetError
from blemish.simulator.defects import DEFECTS
from blemish.simulator.modalities import MODALITIES
from blemish.synthesis import GENERATORS, open_generator
from blemish.synthesis.conformance import check_generator

KINDS = (DEFECTS, FIGURES, FORMATS, GENERATORS, LAYOUTS, MODALITIES, PROTOCOLS)
IMPORTED = (LAYOUTS, PROTOCOLS, GENERATORS)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that distributions are installed in, for the time of one test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def saved(folder: Path, text: str, name: str = "mine.py") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return str(file)


# The package's own


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.word)
def test_every_file_of_a_package_is_found_and_read_without_an_import(kind: Kind) -> None:
    assert kind.own_names()
    for name in kind.own_names():
        source = kind.source(name)
        assert (source.name, source.label, source.outside) == (name, name, False)
        assert source.path.stem == name
        assert source.about()
        assert kind.record(name) is None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.word)
def test_a_name_that_is_none_is_refused_with_the_nearest(kind: Kind) -> None:
    near = kind.own_names()[0]
    with pytest.raises(kind.error) as refusal:
        kind.module(near + "s")
    words = str(refusal.value)
    assert words.startswith(f"there is no {kind.word} '{near}s'; {kind.listing} ")
    assert words.endswith(f"; did you mean {near!r}?")
    assert all(name in words for name in kind.own_names())
    assert not kind.has(near + "s")


@pytest.mark.parametrize("name", ["base", "_chance", "visible", "conformance"])
def test_a_file_that_is_something_else_is_no_generator(name: str) -> None:
    with pytest.raises(BlemishError, match=f"there is no generator '{name}'; there are: cutpaste"):
        open_generator(name)


def test_nothing_but_what_may_come_from_outside_is_a_path(tmp_path: Path) -> None:
    file = saved(tmp_path, "SUFFIX = '.mine'\n")
    with pytest.raises(BlemishError, match=r"there is no format '.*mine\.py'; there are: csv"):
        FORMATS.module(file)


# By a path


@given(st.text(min_size=1))
def test_a_path_is_what_a_name_of_a_file_in_python_cannot_be(name: str) -> None:
    assert is_path(f"{name}.py")
    assert is_path(f"./{name}")
    assert not is_path(name) or not name.isidentifier()


def test_a_label_holds_the_name_and_the_hash_and_is_no_path(tmp_path: Path) -> None:
    file = saved(tmp_path, "A = 1\n")
    sha256 = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert GENERATORS.label(file) == f"mine.py@{sha256[:12]}"
    assert GENERATORS.record(file) == {"file": "mine.py", "sha256": sha256}
    assert not is_path(GENERATORS.label(file))
    assert GENERATORS.source(GENERATORS.label(file)).path == Path(file)


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    first = GENERATORS.module(saved(tmp_path / "a", "A = 1\n"))
    second = GENERATORS.module(saved(tmp_path / "b", "A = 2\n"))
    assert (first.A, second.A) == (1, 2)


def test_two_files_of_one_content_each_know_their_place(tmp_path: Path) -> None:
    places = [saved(tmp_path / name, "PLACE = __file__\n") for name in "ab"]
    assert [GENERATORS.module(place).PLACE for place in places] == places


def test_a_file_runs_once_until_it_changes_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = saved(tmp_path, "A = object()\n")
    first = GENERATORS.module(file)
    assert GENERATORS.module(file) is first
    saved(tmp_path, "A = 'changed'\n")
    assert GENERATORS.module(file).A == "changed"
    assert os.listdir(tmp_path) == ["mine.py"]  # noqa: PTH208


def test_what_runs_is_what_was_hashed(tmp_path: Path) -> None:
    file = saved(tmp_path, "A = 'before'\n")
    label = GENERATORS.label(file)
    saved(tmp_path, "A = 'after'\n")
    assert GENERATORS.module(label).A == "before"
    assert GENERATORS.module(file).A == "after"


def test_looking_up_a_file_runs_nothing(tmp_path: Path) -> None:
    file = saved(tmp_path, '"""A doubtful one."""\n\nraise SystemExit(3)\n')
    assert GENERATORS.source(file).about() == "A doubtful one."
    with pytest.raises(BlemishError, match=r"mine\.py, line 3: SystemExit: 3; mend the file"):
        GENERATORS.module(file)


def test_a_module_that_failed_can_be_asked_for_again(tmp_path: Path) -> None:
    file = saved(tmp_path, "raise ValueError\n")
    for _ in range(2):
        with pytest.raises(BlemishError, match=r"mine\.py, line 1: ValueError"):
            GENERATORS.module(file)


FAULTS = {
    "x = = 1\n": r"mine\.py, line 1: invalid syntax; mend the file",
    "x = 1\ny = 'a\n": r"mine\.py, line 2: unterminated string literal",
    "x = 1\n\nimport no_such_module\n": r"line 3: it needs no_such_module, which is not installed",
    "from math import no_such_name\n": r"line 1: ImportError: cannot import name 'no_such_name'",
    "from blemish.errors import Gone\n": r"line 1: ImportError: cannot import name 'Gone'",
    "import blemish.gone\n": r"line 1: ModuleNotFoundError: No module named 'blemish.gone'; mend",
    "x = 1\nx.gone\n": r"mine\.py, line 2: AttributeError: .*; mend the file",
    "def f():\n    1 / 0\n\nf()\n": r"mine\.py, line 2: ZeroDivisionError: division by zero; mend",
    "x = 1\0\n": "mine.py",
}


@pytest.mark.parametrize("kind", IMPORTED, ids=lambda kind: kind.word)
@pytest.mark.parametrize(("text", "message"), FAULTS.items(), ids=range(len(FAULTS)))
def test_a_file_at_fault_is_told_with_its_line(
    tmp_path: Path, kind: Kind, text: str, message: str
) -> None:
    with pytest.raises(BlemishError, match=message) as refusal:
        kind.module(saved(tmp_path, text))
    assert "\n" not in str(refusal.value)


def made_nothing(path: Path) -> None:
    pass


def made_pipe(path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(path)


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (made_nothing, "mine.py does not exist; name a Python file that holds a generator"),
    "folder": (Path.mkdir, "mine.py is a folder; name a Python file that holds a generator"),
    "pipe": (made_pipe, "mine.py is no regular file; name a Python file"),
    "bytes": (
        lambda path: path.write_bytes(b"# one\n# caf\xe9\n"),
        "mine.py, line 2: this is no UTF-8; save it as UTF-8",
    ),
}


@pytest.mark.parametrize(("make", "message"), PLACES.values(), ids=PLACES)
def test_what_is_no_file_of_python_is_told(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "mine.py")
    with pytest.raises(BlemishError, match=re.escape(message)):
        GENERATORS.module(str(tmp_path / "mine.py"))


def test_a_file_may_have_a_mark_of_its_encoding_and_lines_of_windows(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_bytes(b"\xef\xbb\xbfA = '\xc3\xa9'\r\n")
    assert GENERATORS.module(str(file)).A == "é"


CLASSES = {
    "A = 1\n": "must hold one class with a method assign, and holds none",
    "class A:\n    def assign(self): ...\nclass B(A): ...\n": "and holds A and B",
    "class A:\n    def assign(self): ...\n": "A in .*mine.py must be a dataclass",
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int\n"
    "    def assign(self): ...\n": "n in .*mine.py must have a default",
}


@pytest.mark.parametrize(("text", "message"), CLASSES.items(), ids=range(len(CLASSES)))
def test_a_file_holds_one_class_of_settings(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BlemishError, match=message):
        open_protocol(saved(tmp_path, text))


def test_a_class_whose_name_begins_with_an_underscore_is_a_help(tmp_path: Path) -> None:
    file = save_documented(tmp_path, "every_nth.py", changed="\n\nclass _Base(EveryNth): ...\n")
    assert type(open_protocol(str(file), {"n": "3"})).__name__ == "EveryNth"


def test_settings_of_a_file_are_read_as_those_of_any(tmp_path: Path) -> None:
    file = str(save_documented(tmp_path, "every_nth.py"))
    with pytest.raises(BlemishError, match=r"every_nth\.py has no setting 'm'; it has: n"):
        open_protocol(file, {"m": "3"})


def test_a_layout_that_lacks_something_is_none(tmp_path: Path) -> None:
    from blemish.dataset import open_dataset

    with pytest.raises(DatasetError, match=r"mine.py is no layout: it lacks EXPECTS and read"):
        open_dataset(tmp_path, layout=saved(tmp_path, "def recognises(path): ...\n"))
    text = "EXPECTS = ''\ndef recognises(path): ...\ndef read(path): ...\n"
    with pytest.raises(DatasetError, match=r"mine.py is no layout: its `read` returns no Dataset"):
        open_dataset(tmp_path, layout=saved(tmp_path, text))


# By an entry point


def test_an_entry_point_is_listed_read_and_opened_by_its_name(site: Path) -> None:
    file = save_documented(site / "mine", "scratch.py")
    (site / "mine" / "__init__.py").write_text("raise ImportError('too early')\n", encoding="utf-8")
    save_distribution(site, "blemish.generators", "scratch = mine.scratch")
    assert GENERATORS.names() == [*GENERATORS.own_names(), "scratch"]
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    record = {"file": "scratch.py", "sha256": sha256, "distribution": "mine 1.0"}
    assert GENERATORS.record("scratch") == record
    assert GENERATORS.source("scratch").about().startswith("A dark horizontal scratch")
    with pytest.raises(BlemishError, match="too early"):
        open_generator("scratch")
    (site / "mine" / "__init__.py").write_text("", encoding="utf-8")
    assert type(open_generator("scratch", {"length": "9"})).__name__ == "Scratch"
    assert type(open_generator(GENERATORS.label("scratch"))).__name__ == "Scratch"
    sys.modules.pop("mine.scratch")
    sys.modules.pop("mine")


def test_an_entry_point_hides_no_name_of_the_package(site: Path) -> None:
    saved(site, "raise SystemExit\n", "other_nsa.py")
    save_distribution(site, "blemish.generators", "nsa = other_nsa")
    assert GENERATORS.names() == GENERATORS.own_names()
    assert GENERATORS.source("nsa").outside is False
    assert type(open_generator("nsa")).__name__ == "Nsa"


def test_a_label_whose_file_is_gone_says_so(site: Path) -> None:
    saved(site, "A = 1\n", "other_file.py")
    save_distribution(site, "blemish.generators", "other = other_file")
    assert GENERATORS.has("other")
    for label in ("other@0123456789ab", "mine.py@0123456789ab"):
        assert not GENERATORS.has(label)
        with pytest.raises(BlemishError, match=f"generator '{label}' came from outside; name its"):
            open_generator(label)


ENTRIES = {
    "a = gone_module": "the entry point 'a' of mine 1.0 names 'gone_module', which is no Python",
    "a = other:Thing": "names 'other:Thing'; it must name a module, as 'other'",
    "a = math": "which is no Python file; install mine 1.0 anew",
}


@pytest.mark.parametrize(("entry", "message"), ENTRIES.items(), ids=range(len(ENTRIES)))
def test_an_entry_point_that_names_no_file_is_told(site: Path, entry: str, message: str) -> None:
    save_distribution(site, "blemish.generators", entry)
    with pytest.raises(BlemishError, match=re.escape(message)):
        open_generator("a")


def test_a_name_that_two_distributions_bring_is_told(site: Path) -> None:
    save_distribution(site, "blemish.generators", "a = one")
    save_distribution(site, "blemish.generators", "a = two", name="yours", version="2.1")
    with pytest.raises(BlemishError, match=r"mine 1\.0 and yours 2\.1 bring a generator 'a' each"):
        open_generator("a")


# What finding costs


@pytest.mark.parametrize("module", ["blemish", "blemish.cli", "blemish.synthesis"])
def test_an_import_reads_no_entry_points(module: str) -> None:
    run = finished([], code=f"import sys, {module}; print('importlib.metadata' in sys.modules)")
    assert (run.out, run.err) == ("False\n", [])


def test_a_name_of_the_package_needs_no_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(group: str) -> None:
        raise AssertionError(group)

    monkeypatch.setattr(discovery, "entry_points", refused)
    assert GENERATORS.has("nsa")
    assert GENERATORS.module("nsa").__name__ == "blemish.synthesis.nsa"
    assert GENERATORS.label("nsa") == "nsa"


def test_an_other_process_is_told_where_files_lie(tmp_path: Path) -> None:
    file = saved(tmp_path, "A = 1\n")
    label = GENERATORS.label(file)
    files = discovery.files_seen([label, "nsa", ""])
    assert files == {label: file}
    discovery.see_again(files)
    saved(tmp_path, "A = 2\n")
    with pytest.raises(
        BlemishError, match=f"mine.py has changed since the work began: it was {label}"
    ):
        discovery.see_again(files)


# The contract of a generator holds for one from outside


def test_the_documented_generator_keeps_the_contract(tmp_path: Path) -> None:
    check_generator(str(save_documented(tmp_path, "scratch.py")))
