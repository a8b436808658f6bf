"""Turn whatever a library raises while it reads a file into an error that a user is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from blemish.errors import BlemishError

_LONGEST = 200  # characters of a reason


@contextmanager
def translated(made: Callable[[str], BlemishError]) -> Iterator[None]:
    """Whatever is raised inside becomes `made(reason)`; a BlemishError stays as it is.

    All exceptions, because libraries that read damaged files raise any: polars one that is no
    Exception. What ends the program passes.
    """
    try:
        yield
    except (BlemishError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise made(reason_of(error)) from error


@contextmanager
def silenced() -> Iterator[None]:
    """What a library itself prints to standard error inside is lost: a panic of Rust is told twice.

    So is what other threads print meanwhile; for short calls only.
    """
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def reason_of(error: BaseException) -> str:
    """What an error says, in a line that fits into a sentence."""
    if isinstance(error, MemoryError):
        return "it needs more memory than is free"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return shortened(" ".join(str(said).partition("\n")[0].split()).rstrip(".;:"))


def shortened(text: str) -> str:
    """Text of which so much is left that a sentence stays one."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
