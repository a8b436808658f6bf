"""The one writer of CSV: what it writes is read back as it was."""

from __future__ import annotations

import csv
import io

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blemish.util.csv_text import csv_bytes, defused, restored

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5), st.sampled_from(",;\t"))
def test_rows_come_back(rows: list[tuple[str, str]], separator: str) -> None:
    written = csv_bytes(["file", "part"], rows, separator=separator).decode()
    read = list(csv.reader(io.StringIO(written, newline=""), delimiter=separator))
    assert read == [["file", "part"], *map(list, rows)]


def test_polars_reads_odd_names() -> None:
    names = [' a"b.png', "a,b.png ", "'=1", "a\nb", "ü"]
    frame = pl.read_csv(csv_bytes(["file", "n"], [(name, "1") for name in names]))
    assert frame["file"].to_list() == names


@given(TEXTS)
def test_a_defused_text_is_no_formula_and_can_be_restored(text: str) -> None:
    harmless = defused(text)
    assert isinstance(harmless, str)
    assert harmless[:1] not in tuple("=+-@\t")
    assert restored(harmless) == text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_a_spreadsheet_gets_no_formula(start: str) -> None:
    text = csv_bytes(["part"], [(f"{start}1+1",)], for_spreadsheet=True)
    assert text.decode("utf-8-sig").splitlines()[1].strip('"').startswith("'")


def test_numbers_stay_numbers() -> None:
    assert csv_bytes(["x"], [(-1.5,)], for_spreadsheet=True).endswith(b"x\n-1.5\n")
