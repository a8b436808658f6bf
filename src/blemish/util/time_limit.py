"""Work that is stopped when it takes too long."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")

GRACE = 2.0  # seconds that work may take to stop once it is told to


def within(seconds: float, work: Callable[[], Value], stop: Callable[[], None]) -> Value:
    """What `work` returns or raises; TimeoutError where it takes longer than `seconds`.

    It is told so by `stop`, from another thread. Work that does not obey is left behind, in a
    thread that ends with the process: there is no way to end it alone.
    """
    returned: list[Value] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(work())
        except BaseException as error:  # whatever it is, it belongs to who waits for it
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    in_time = False
    try:
        thread.join(seconds)
        in_time = not thread.is_alive()
    finally:  # Ctrl-C comes here too
        if not in_time:
            stop()
    thread.join(GRACE)
    if returned:
        return returned[0]
    if in_time:
        raise raised[0]
    raise TimeoutError


@dataclass(eq=False)
class Watched:
    """Work under way: when it is told to stop, and whether it was."""

    due: float
    stop: Callable[[], None]
    late: bool = False


@contextlib.contextmanager
def watched(seconds: float, stop: Callable[[], None]) -> Iterator[Watched]:
    """Call `stop`, from another thread, once the block takes longer than `seconds`.

    Quicker than `within`, which gives every work a thread: one thread watches over all.
    """
    one = Watched(time.monotonic() + seconds, stop)
    _WATCH.begin(one)
    try:
        yield one
    finally:
        _WATCH.end(one)


class _Watch:
    """The thread that watches, which is there as long as there is something to watch."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way: set[Watched] = set()
        self._wakes: float | None = None  # None without a thread

    def begin(self, one: Watched) -> None:
        with self._changed:
            self._under_way.add(one)
            if self._wakes is None:
                self._wakes = one.due
                threading.Thread(target=self._watch, daemon=True).start()
            elif one.due < self._wakes:
                self._changed.notify()

    def end(self, one: Watched) -> None:
        with self._changed:
            self._under_way.discard(one)

    def _watch(self) -> None:
        with self._changed:
            while self._under_way:
                now = time.monotonic()
                for one in [one for one in self._under_way if one.due <= now]:
                    one.late = True
                    one.stop()
                    self._under_way.discard(one)
                if self._under_way:
                    self._wakes = min(one.due for one in self._under_way)
                    self._changed.wait(self._wakes - now)
            self._wakes = None


_WATCH = _Watch()
