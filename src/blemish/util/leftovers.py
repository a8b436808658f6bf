"""Temporary files and folders beside what they become, and those that a killed process left.

A process holds a lock on what it writes; the system gives it back when the process ends, however.
What has such a name and no lock is left over, and the next process that writes there removes it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from pathlib import Path

_LONGEST = 200  # bytes of a name that a suffix and more may still follow; a file system takes 255
_NAME = re.compile(r"\..*\.[0-9a-f]{32}\.part", re.DOTALL)

_swept: set[str] = set()  # folders that this process has looked through


def beside(path: Path) -> Path:
    """A new name for what will become `path`."""
    start = os.fsdecode(os.fsencode(path.name)[:_LONGEST])
    return path.with_name(f".{start}.{uuid.uuid4().hex}.part")


def lock(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed; False where another process has it locked.

    True also where the system, or its disk, knows no such locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows: an open file cannot be removed there
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def sweep(folder: Path) -> None:
    """Remove what dead processes left in a folder; looks through each folder once."""
    place = os.path.abspath(folder)  # noqa: PTH100
    if place in _swept:
        return
    _swept.add(place)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[:1] == "." and _NAME.fullmatch(entry.name):
                _remove(Path(entry.path))


def _remove(path: Path) -> None:
    """Remove a temporary file or folder, unless a process writes it, or nobody can tell."""
    try:
        import fcntl
    except ImportError:
        with contextlib.suppress(OSError):
            path.unlink()  # folders stay: nothing tells whether they are written
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except OSError:
        pass  # it is locked, or the disk knows no locks
    finally:
        os.close(descriptor)
