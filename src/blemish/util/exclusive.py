"""A folder that one process at a time works in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from blemish.errors import ArtifactError, BlemishError

LOCK = "lock"  # the name of the file in the folder that is locked


@contextlib.contextmanager
def exclusive(folder: Path, busy: str) -> Iterator[None]:
    """Hold a folder, made if absent, for this process alone; a killed one holds nothing.

    Raises BlemishError, which begins with `busy`, where another process holds it, and ArtifactError
    where the folder cannot be written.
    """
    lock = FileLock(folder / LOCK)
    try:
        held = False
        while not held:  # its last holder may have removed it in the meantime
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
            held = (folder / LOCK).exists()
            if not held:
                lock.release()
    except Timeout:
        raise BlemishError(f"{busy}: wait for its end, or choose another place") from None
    except NotImplementedError:  # a disk that knows no locks
        pass
    except OSError as error:
        raise ArtifactError(
            f"{folder} could not be written: {error.strerror or error}; choose another place"
        ) from error
    try:
        yield
    finally:
        lock.release()
