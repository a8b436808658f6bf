"""How much memory the content of one file may take: what a header declares is not believed.

Whoever reads a file asks `refusal` before memory is taken for what the file declares.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from blemish.errors import BlemishError

NAME = "BLEMISH_FILE_LIMIT"
DEFAULT = 4 << 30
_LITTLE = 16 << 20  # bytes that any machine has: the memory is not looked at, which takes 25 µs

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_MEMORY = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def file_limit() -> int:
    """Bytes that the content of one file may take: `BLEMISH_FILE_LIMIT`, such as "8GB".

    By default half of the memory at hand, at most 4 GiB. Raises BlemishError for a limit that is no
    size.
    """
    named = os.environ.get(NAME)
    if named is None:
        return min(DEFAULT, memory_at_hand() // 2)
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([KMGT]?B|)\s*", named.upper())
    if found is None or not float(found[1]):
        raise BlemishError(f'{NAME} is "{named}"; set it to a size such as 8GB')
    return int(float(found[1]) * _UNITS[found[2]])


def refusal(needed: int) -> str | None:
    """Why content of `needed` bytes is not read, and the way on; None where it may be.

    It goes on from the file's name: "x.png declares 9 pixels, which " + the refusal.
    """
    if needed <= _LITTLE and NAME not in os.environ:
        return None
    limit = file_limit()
    if needed <= limit:
        return None
    return (
        f"would take {_size(needed)} of memory, more than the {_size(limit)} that one file may; "
        f"if it is meant to be so large, set {NAME}={_size_above(needed)} and run again"
    )


def memory_at_hand() -> int:
    """Bytes of memory that are free, or that the control group leaves; 8 GiB where none is told."""
    told = [value for value in (_free_memory(), _group_memory()) if value is not None]
    return min(told, default=8 << 30)


def _free_memory() -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMORY.read_text("ascii"), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return int(found[1]) * 1024 if found else None


def _group_memory() -> int | None:
    try:
        most, used = (
            int((_GROUP / name).read_text("ascii")) for name in ("memory.max", "memory.current")
        )
    except (OSError, ValueError):  # no group, or one without a limit: "max"
        return None
    return max(0, most - used)


def _size(bytes_: int) -> str:
    return f"{bytes_ / 1e9:.1f} GB" if bytes_ >= 1e8 else f"{bytes_ / 1e6:.1f} MB"


def _size_above(bytes_: int) -> str:
    return f"{bytes_ // 10**9 + 1}GB"
