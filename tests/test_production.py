"""A day's production: lists of verdicts, their totals, times and lots, and copies of rejects."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openpyxl
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import Cli, started

from blemish.dataset.taken import Taken, read_time
from blemish.inspector import Region, Verdict, ViewResult
from blemish.production.columns import COLUMNS
from blemish.production.entry import Entry
from blemish.production.lists import About, open_form, xlsx
from blemish.production.rejects import copy_reject
from blemish.production.stream import parts_of_lines
from blemish.production.totals import Totals
from blemish.util.csv_text import restored

ABOUT = About("plate.blemish", "ab" * 32, "cd" * 32, 2.0, "At most 1 % are rejected.")


def entry(
    part: str, decision: Any = "pass", *, score: float | None = 1.0, lot: str | None = None
) -> Entry:
    """A part with one picture, taken at noon."""
    image = f"/day/{part}"
    regions = (Region((2, 3, 6, 10), 20, (4, 5), 3.0),) if decision == "reject" else ()
    reason = "cut off" if score is None else None
    view = ViewResult(image, "top", score, None, regions, reason)
    verdict = Verdict(part, decision, score, 2.0, (view,), (), ABOUT.model_sha256)
    taken = {image: Taken(datetime(2026, 11, 30, 12), lot)}
    return Entry(verdict, ABOUT.graph_sha256, taken)


def written(name: str, path: Path, entries: list[Entry]) -> Totals:
    totals = Totals()
    with open_form(name).write(path, ABOUT) as growing:
        for one in entries:
            totals.add(one)
            growing.add(one)
        growing.end(totals)
    return totals


DAY = [
    entry("a.png", lot="A7"),
    entry("b.png", "reject", score=3.5, lot="A7"),
    entry("=1+1.png", "unreadable", score=None, lot="B1"),
]


# --- the lists


def test_a_csv_has_a_row_for_each_picture(tmp_path: Path) -> None:
    written("csv", path := tmp_path / "day.csv", DAY)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["decision"] for row in rows] == ["pass", "reject", "unreadable"]
    box = ("x", "y", "width", "height", "area")
    assert [rows[1][name] for name in box] == ["3", "2", "7", "4", "20"]
    assert (rows[1]["time"], rows[1]["lot"]) == ("2026-11-30T12:00:00", "A7")
    assert (rows[2]["score"], rows[2]["reason"]) == ("", "cut off")
    assert rows[2]["part"] == "'=1+1.png"  # no formula
    assert restored(rows[2]["part"]) == "=1+1.png"
    assert pl.read_csv(path)["score"].to_list() == [1.0, 3.5, None]


def test_lines_are_the_verdicts_of_json(tmp_path: Path) -> None:
    written("jsonl", path := tmp_path / "day.jsonl", DAY)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines == [json.loads(json.dumps(one.to_json())) for one in DAY]
    assert lines[1]["time"] == "2026-11-30T12:00:00"
    assert lines[1]["graph"] == ABOUT.graph_sha256


def test_a_workbook_has_rows_and_totals(tmp_path: Path) -> None:
    written("xlsx", path := tmp_path / "day.xlsx", DAY)
    book = openpyxl.load_workbook(path)
    rows = list(book["Pictures"].iter_rows(values_only=True))
    assert rows[0] == COLUMNS
    assert [row[COLUMNS.index("score")] for row in rows[1:]] == [1.0, 3.5, None]
    assert book["Pictures"]["A4"].data_type == "s"  # a text, no formula
    assert book["Pictures"]["A4"].value == "=1+1.png"
    totals = [row[:6] for row in book["Totals"].iter_rows(values_only=True)][:4]
    assert totals[1:] == [
        ("A7", 1, 1, 0, 0, 2),
        ("B1", 0, 0, 1, 0, 1),
        ("all parts", 1, 1, 1, 0, 3),
    ]


def test_a_full_sheet_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "MOST_ROWS", 3)
    written("xlsx", path := tmp_path / "day.xlsx", [entry(f"{n}.png") for n in range(5)])
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["Pictures", "Pictures 2", "Pictures 3", "Totals"]
    assert [book[name].max_row - 1 for name in book.sheetnames[:3]] == [2, 2, 1]


@pytest.mark.parametrize("name", ["csv", "jsonl", "xlsx"])
def test_a_list_is_whole_or_absent(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"day.{name}"
    path.write_bytes(b"yesterday")
    with contextlib.suppress(KeyboardInterrupt), open_form(name).write(path, ABOUT) as growing:
        growing.add(DAY[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == b"yesterday"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["csv", "jsonl", "xlsx"])
def test_a_list_of_nothing_can_be_opened(tmp_path: Path, name: str) -> None:
    written(name, path := tmp_path / f"day.{name}", [])
    assert path.exists()
    if name == "xlsx":
        assert openpyxl.load_workbook(path)["Pictures"].max_row == 1


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1, max_size=4))
def test_odd_names_come_back_from_a_csv(tmp_path_factory: Any, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("odd") / "day.csv"
    written("csv", path, [entry(name) for name in names])
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert [restored(row["part"]) for row in csv.DictReader(file)] == names


# --- times and lots


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-30T14:15:30", datetime(2026, 11, 30, 14, 15, 30)),
        ("2026-11-30 14:15", datetime(2026, 11, 30, 14, 15)),
        ("20261130_141530", datetime(2026, 11, 30, 14, 15, 30)),
        ("20261130141530123", datetime(2026, 11, 30, 14, 15, 30)),
        ("2026-11-30_14-15-30", datetime(2026, 11, 30, 14, 15, 30)),
        ("20261130", datetime(2026, 11, 30)),
        ("30.11.2026 14:15", datetime(2026, 11, 30, 14, 15)),
        ("1796048130", datetime.fromtimestamp(1796048130)),
        ("1796048130123", datetime.fromtimestamp(1796048130)),
    ],
)
def test_times_as_cameras_and_people_write_them(text: str, time: datetime) -> None:
    assert read_time(text) == time


def test_a_zone_stays() -> None:
    assert read_time("2026-11-30T14:15:30+01:00").isoformat() == "2026-11-30T14:15:30+01:00"


@given(st.text(max_size=20))
def test_whatever_the_text_it_is_a_time_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError, OverflowError):
        assert isinstance(read_time(text), datetime)


def test_time_and_lot_come_from_the_name(
    cli: Cli, plates: Path, model: Path, tmp_path: Path
) -> None:
    name = "L42_20261130-070809_nut1.png"
    shutil.copy(next((plates / "test/good").iterdir()), tmp_path / name)
    pattern = r"(?P<lot>L\d+)_(?P<time>[\d-]+)_(?P<part>nut\d+)"
    run = cli("inspect", model, tmp_path, "--part-pattern", pattern, "--jsonl", "-")
    line = json.loads(run.out)
    assert (line["part"], line["lot"], line["time"]) == ("nut1", "L42", "2026-11-30T07:08:09")


def test_time_and_lot_come_from_a_csv(cli: Cli, plates: Path, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "day"
    folder.mkdir()
    shutil.copy(next((plates / "test/good").iterdir()), folder / "a.png")
    (folder / "parts.csv").write_text("file,part,time,lot\na.png,nut1,30.11.2026 07:08,L42\n")
    line = json.loads(cli("inspect", model, folder, "--jsonl", "-").out)
    assert (line["part"], line["lot"], line["time"]) == ("nut1", "L42", "2026-11-30T07:08:00")


def test_without_either_the_time_is_the_file_s(
    cli: Cli, plates: Path, model: Path, tmp_path: Path
) -> None:
    shutil.copy(next((plates / "test/good").iterdir()), path := tmp_path / "a.png")
    os.utime(path, (1796048130, 1796048130))
    line = json.loads(cli("inspect", model, path, "--jsonl", "-").out)
    assert line["time"] == datetime.fromtimestamp(1796048130).isoformat()


def test_a_time_that_is_none_is_refused(
    cli: Cli, plates: Path, model: Path, tmp_path: Path
) -> None:
    shutil.copy(next((plates / "test/good").iterdir()), tmp_path / "nut1_soon.png")
    pattern = r"(?P<part>nut\d+)_(?P<time>\w+)\.png"
    cli("inspect", model, tmp_path, "--part-pattern", pattern).refusal("nut1_soon.png", "'soon'")


# --- the verb


def test_a_day_in_every_form(cli: Cli, plates: Path, model: Path, tmp_path: Path) -> None:
    names = ("csv", "xlsx", "jsonl")
    files = [word for name in names for word in (f"--{name}", tmp_path / f"day.{name}")]
    run = cli("inspect", model, plates / "test", *files, "--report", tmp_path / "page")
    assert run.code == 0
    lines = [json.loads(line) for line in (tmp_path / "day.jsonl").read_text().splitlines()]
    rows = list(csv.DictReader((tmp_path / "day.csv").open(encoding="utf-8-sig", newline="")))
    assert [row["decision"] for row in rows] == [line["decision"] for line in lines]
    assert openpyxl.load_workbook(tmp_path / "day.xlsx")["Pictures"].max_row == len(rows) + 1
    assert run.out.splitlines()[-1].startswith(f"{len(lines)} parts: ")
    page = (tmp_path / "page/report.html").read_text("utf-8")
    assert f"{len(lines)} parts inspected" in page
    assert str(plates) not in page


def test_two_outputs_to_one_file_are_refused(cli: Cli, model: Path, tmp_path: Path) -> None:
    cli("inspect", model, tmp_path, "--jsonl", "-", "--json", "-").refusal("both write -")
    cli("inspect", model, tmp_path, "--csv", tmp_path / "a.xlsx").refusal("must end in .csv")
    cli("inspect", model, tmp_path, "--xlsx", "-").refusal("--xlsx writes a file")
    cli("inspect", model).refusal("name pictures or folders")


def test_a_list_that_cannot_be_written_is_refused_before_the_work(
    cli: Cli, model: Path, plates: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    run = cli("inspect", model, plates / "test", "--csv", tmp_path / "file" / "day.csv")
    run.refusal("day.csv", "could not be written")
    assert run.out == ""


# --- standard input


def streamed(model: Path, lines: str, *more: object) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, lines of JSON and standard error of `inspect --stdin --jsonl -`."""
    argv = ["inspect", model, "--stdin", "--jsonl", "-", *more]
    process = started(argv, stdin=True)
    out, err = process.communicate(lines, timeout=300)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def test_pictures_are_named_line_by_line(model: Path, plates: Path) -> None:
    good = sorted((plates / "test/good").iterdir())[:2]
    code, verdicts, err = streamed(model, f"{good[0]}\n\n{plates / 'no.png'}\r\n{good[1]}\n")
    assert code == 2
    assert [one["part"] for one in verdicts] == [str(good[0]), str(plates / "no.png"), str(good[1])]
    assert [one["decision"] == "unreadable" for one in verdicts] == [False, True, False]
    assert "does not exist" in verdicts[1]["reason"]
    assert err.count("blemish: ") == 1


def test_a_verdict_comes_before_the_next_line_is_named(model: Path, plates: Path) -> None:
    image = next((plates / "test/good").iterdir())
    process = started(["inspect", model, "--stdin", "--jsonl", "-"], stdin=True)
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(2):
        process.stdin.write(f"{image}\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["part"] == str(image)
    process.stdin.close()
    assert process.wait(60) == 0


def test_lines_of_one_part_in_a_row_are_one_part(tmp_path: Path) -> None:
    pattern = r"(?P<part>n\d)_(?P<view>\w)_(?P<lot>L\d)"
    names = ["n1_a_L1.png", "n1_b_L1.png", "n2_a_L1.png", "none.png", "n1_a_L2.png"]
    for name in names:
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8), np.uint8))
    lines = [f"{tmp_path / name}\n".encode() for name in names]
    parts = list(parts_of_lines(lines, pattern))
    assert [(one.part, [view for view, _ in one.images]) for one in parts] == [
        ("n1", ["a", "b"]),
        ("n2", ["a"]),
        (str(tmp_path / "none.png"), []),
        ("n1", ["a"]),
    ]
    assert "matches no part" in parts[2].reason
    assert {taken.lot for taken in parts[3].taken.values()} == {"L2"}


@pytest.mark.parametrize("line", [b"\xff.png", b"a\0b.png", b"x" * 5000, b" ", b"a\tb.png"])
def test_a_line_that_names_nothing_is_a_verdict(line: bytes) -> None:
    [part] = parts_of_lines([line + b"\n"], None)
    assert not part.images or not part.images[0][1].exists()


# --- copies of rejects


def rejected(image: Path, decision: Any = "reject") -> Verdict:
    view = ViewResult(str(image), None, 3.0, None)
    return Verdict(image.name, decision, 3.0, 2.0, (view,), (), "")


def test_copies_never_overwrite_each_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder, content in (("a", b"one"), ("b", b"two")):
        (tmp_path / folder / "1.png").write_bytes(content)
    out = tmp_path / "rejects"
    for _ in range(2):  # another run copies nothing twice
        assert copy_reject(rejected(tmp_path / "a/1.png"), out) == []
        assert copy_reject(rejected(tmp_path / "b/1.png"), out) == []
    assert sorted(file.read_bytes() for file in out.iterdir()) == [b"one", b"two"]
    assert (out / "1.png").read_bytes() == b"one"


def test_only_rejects_are_copied_and_what_is_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"one")
    assert copy_reject(rejected(tmp_path / "1.png", "pass"), tmp_path / "out") == []
    assert not (tmp_path / "out").exists()
    [fault] = copy_reject(rejected(tmp_path / "gone.png"), tmp_path / "out")
    assert "gone.png could not be copied" in fault


def test_copies_do_not_land_where_they_would_be_inspected(
    cli: Cli, model: Path, plates: Path
) -> None:
    run = cli("inspect", model, plates / "test", "--copy-rejects", plates / "test/rejects")
    run.refusal("would be inspected")
    assert not (plates / "test/rejects").exists()
