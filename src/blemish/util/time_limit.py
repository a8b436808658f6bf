"""Work that is stopped when it takes too long."""

from __future__ import annotations

import threading
from collections.abc import Callable
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
