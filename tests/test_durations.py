"""Lengths of time, read and said."""

from __future__ import annotations

import pytest

from blemish.errors import BlemishError
from blemish.util.durations import in_words, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("0.5s", 0.5)]
)
def test_a_time_is_read(text: str, seconds: float) -> None:
    assert seconds_of(text, "--budget") == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "0s", "-1m", "nan", "inf", "m", "1e999h", "10 minutes"]
)
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(BlemishError, match=f"--budget {text} is no time; write it like 90s"):
        seconds_of(text, "--budget")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.5, "0.5 s"), (90, "90 s"), (120, "2 min"), (5400, "90 min"), (7200, "2 h")],
)
def test_a_time_is_said_in_the_largest_unit_that_holds_it_whole(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
