"""Work that takes too long is told to stop, and left behind where it does not."""

from __future__ import annotations

import threading

import pytest

from blemish.util import time_limit
from blemish.util.time_limit import watched, within

LONG = 60.0


def test_work_in_time_returns_or_raises_as_ever() -> None:
    stopped: list[int] = []
    assert within(LONG, lambda: 3, lambda: stopped.append(1)) == 3
    with pytest.raises(ZeroDivisionError):
        within(LONG, lambda: 1 // 0, lambda: stopped.append(1))
    assert not stopped


def test_work_that_obeys_is_stopped() -> None:
    told = threading.Event()

    def work() -> None:
        told.wait()
        raise InterruptedError

    with pytest.raises(TimeoutError):
        within(0.01, work, told.set)
    assert told.is_set()


def test_work_that_does_not_obey_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "GRACE", 0.01)
    end, ended = threading.Event(), threading.Event()

    def work() -> None:
        end.wait()
        ended.set()

    with pytest.raises(TimeoutError):
        within(0.01, work, lambda: None)
    assert not ended.is_set()
    end.set()
    assert ended.wait(LONG)


def test_work_that_ends_as_it_is_told_counts() -> None:
    told = threading.Event()

    def work() -> int:
        told.wait()
        return 5

    assert within(0.01, work, told.set) == 5


def test_what_is_watched_is_told_when_it_is_late_and_only_then() -> None:
    told = threading.Event()
    with watched(LONG, lambda: None) as other, watched(0.01, told.set) as late:
        assert told.wait(LONG)
    assert late.late
    assert not other.late


def test_what_ended_is_not_told() -> None:
    told: list[str] = []
    with watched(0.02, lambda: told.append("ended")):
        pass
    later = threading.Event()
    with watched(0.04, later.set):
        assert later.wait(LONG)
    assert not told


def test_what_is_watched_raises_its_own() -> None:
    with pytest.raises(KeyError), watched(LONG, lambda: None):
        raise KeyError
    told = threading.Event()
    with watched(0.01, told.set):  # the watch goes on
        assert told.wait(LONG)
