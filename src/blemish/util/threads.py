"""How many threads work at once, and work that they share."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from blemish.errors import BlemishError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 8  # items under way per thread: enough to keep all busy while one of them is slow


def default_threads() -> int:
    """Threads when the caller names no number: `BLEMISH_THREADS`, or one per core."""
    named = os.environ.get("BLEMISH_THREADS", "0")
    if not re.fullmatch("[0-9]{1,4}", named):
        raise BlemishError(f"BLEMISH_THREADS is {named!r}; set it to a number of threads")
    return int(named) or os.cpu_count() or 1


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """The results of `work` in the order of the items, several at once, few of them in memory."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
