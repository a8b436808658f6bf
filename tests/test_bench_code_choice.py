"""Of which code the results in a table are: the installed one, else the newest, or as asked."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from bench_results import leave, planted
from running import finished

import blemish
from blemish.benchmark.code import Code, this_code
from blemish.benchmark.code_choice import CodeChoice, choose_code
from blemish.benchmark.store import CarryOver, read_results, write_result
from blemish.errors import DatasetError

NOW = this_code("padim", "pooled")
FEBRUARY = "2026-02-01T00:00:00+00:00"
PROTOCOL = """
title = "plates"
source = "no paper"
seeds = 1

[[data]]
name = "plates"
folders = ["plates"]

[[detectors]]
name = "padim"
size = 64

[[metrics]]
path = "image.auroc"
name = "I-AUROC"
"""


def chosen(folder: Path, asked: str | None = None) -> CodeChoice:
    return choose_code(read_results(folder), asked)


def codes(choice: CodeChoice) -> set[tuple[str, str, str]]:
    return {(r.run.detector, r.code.source, r.code.method) for r in choice.results}


def test_a_setting_is_edited_run_and_reverted(plates: Path, tmp_path: Path) -> None:
    """The table is of the files as they are now; `--code` reaches the runs of the edited one."""
    source = tmp_path / "edited" / "blemish"
    here = Path(blemish.__file__).parent
    shutil.copytree(here, source, ignore=shutil.ignore_patterns("__pycache__"))
    detector, protocol, out = source / "detectors" / "padim.py", tmp_path / "p.toml", tmp_path / "o"
    protocol.write_text(PROTOCOL, encoding="utf-8")
    python = {"PYTHONPATH": str(source.parent)}

    def bench(verb: str, *more: object) -> dict[str, object]:
        run = finished(["bench", verb, protocol, "--out", out, "--json", "-", *more], **python)
        assert run.code == 0, run.err
        return {**json.loads(run.out), "said": run.err}

    def shown(*more: object) -> list[str]:
        [key] = bench("table", *more)["rows"][0]["cells"][0]["runs"]  # type: ignore[index]
        [result] = [r for r in read_results(out) if r.key == key]
        return [key, result.code.method]

    make = ("run", "--data", plates.parent)
    assert bench(*make)["made"] == 1
    first = shown()
    text = detector.read_text(encoding="utf-8")
    assert "top: int = setting(3," in text
    detector.write_text(
        text.replace("top: int = setting(3,", "top: int = setting(30,"), encoding="utf-8"
    )
    assert bench(*make)["made"] == 1
    edited = shown()
    assert edited[0] != first[0]
    detector.write_text(text, encoding="utf-8")
    again = bench(*make)
    assert (again["made"], again["earlier"]) == (0, 1)

    assert shown() == first
    assert bench("table")["said"] == []
    assert shown("--code", edited[1][:6]) == edited
    [said] = bench("table", "--code", edited[1])["said"]  # type: ignore[misc]
    assert said == (f"note: results shown are of other code than is installed: padim {edited[1]}")


def test_the_installed_code_comes_before_newer_results(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(1.0), code=NOW.source, method=NOW.method)
    leave(tmp_path, "padim", planted(1.0), code="aaaa", finished=FEBRUARY)
    choice = chosen(tmp_path)
    assert codes(choice) == {("padim", NOW.source, NOW.method)}
    assert choice.notes == (
        f"Results of other code versions are left out (1); these are of {NOW.source}.",
    )
    assert choice.other_code == ""
    older = chosen(tmp_path, "aa")
    assert codes(older) == {("padim", "aaaa", "m" * 16)}
    assert older.other_code == (
        "results shown are of other code than is installed: blemish 0.1 (aaaa)"
    )


def test_without_any_of_the_installed_code_the_newest_counts(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(1.0), code="aaaa", finished=FEBRUARY)
    leave(tmp_path, "padim", planted(1.0), code="bbbb")
    choice = chosen(tmp_path)
    assert codes(choice) == {("padim", "aaaa", "m" * 16)}
    assert "blemish 0.1 (aaaa)" in choice.other_code


def test_each_detector_has_a_code_of_its_own(tmp_path: Path) -> None:
    """Those of PaDiM are of the installed one and of two edits, those of PatchCore of an edit."""
    leave(tmp_path, "padim", planted(1.0), code=NOW.source, method=NOW.method)
    for method, finished_ in (("eeee", FEBRUARY), ("dddd", "2026-03-01T00:00:00+00:00")):
        leave(
            *(tmp_path, "padim", planted(1.0)),
            code=NOW.source, method=method, finished=finished_,
        )  # fmt: skip
    leave(tmp_path, "patchcore", planted(1.0), code=NOW.source, method="ffff")
    choice = chosen(tmp_path)
    others = {("patchcore", NOW.source, "ffff")}
    assert codes(choice) == {("padim", NOW.source, NOW.method)} | others
    left = "Results of other code versions are left out (2); these are of"
    assert choice.notes == (f"{left} {NOW.source}, padim's own of {NOW.method}.",)
    assert choice.other_code == (
        "results shown are of other code than is installed: patchcore ffff"
    )
    assert codes(chosen(tmp_path, "eee")) == {("padim", NOW.source, "eeee")} | others
    assert codes(chosen(tmp_path, NOW.source[:9])) == codes(choice)


def test_a_detectors_hash_chooses_the_source_that_has_it(tmp_path: Path) -> None:
    leave(tmp_path, "padim", planted(1.0), code=NOW.source, method=NOW.method)
    leave(tmp_path, "padim", planted(1.0), code="aaaa", method="eeee")
    assert codes(chosen(tmp_path, "ee")) == {("padim", "aaaa", "eeee")}
    with pytest.raises(DatasetError, match=r"code 'x' fits 0 .*aaaa.*; of detectors: padim"):
        chosen(tmp_path, "x")
    with pytest.raises(DatasetError, match="code '' fits 4 code versions"):
        chosen(tmp_path, "")


def test_results_that_were_carried_over_are_told(tmp_path: Path) -> None:
    kept = leave(tmp_path, "padim", planted(1.0))
    steps = (CarryOver("k", Code("0.0.9", "a", "b"), "w", "2026-01-01"),)
    write_result(dataclasses.replace(kept, carried=steps), None)
    leave(tmp_path, "duet", planted(1.0))
    [note] = chosen(tmp_path).notes
    assert note.startswith("1 results are of earlier code; ")


def test_no_results_are_of_no_code() -> None:
    assert choose_code([]) == CodeChoice(())


def test_codes_differ_by_their_hashes_alone() -> None:
    code = Code("1", "a", "b")
    assert code == dataclasses.replace(code, version="2")
    assert code != dataclasses.replace(code, method="c")
