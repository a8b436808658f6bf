"""Read what an interrupted fit left, or say that it is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blemish.errors import BlemishError
from blemish.util.array_files import Arrays, read_arrays
from blemish.util.library_errors import translated

_WAY_OUT = "drop --resume to start anew"


@contextmanager
def reading_checkpoint(path: Path) -> Iterator[None]:
    """Whatever goes wrong inside becomes a BlemishError that names the checkpoint."""
    with translated(
        lambda reason: BlemishError(f"{path} is a damaged checkpoint ({reason}); {_WAY_OUT}")
    ):
        yield


@contextmanager
def kept_arrays(path: Path) -> Iterator[Arrays]:
    """The arrays of a checkpoint; what does not fit inside is told as `reading_checkpoint` does."""
    with reading_checkpoint(path):
        yield read_arrays(path, "checkpoint", _WAY_OUT, BlemishError)
