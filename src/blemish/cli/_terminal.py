"""What a command prints: text that a terminal only shows, whatever names and words it holds."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from blemish.util.names import printable


class PlainStream:
    """A text stream on which nothing but the ends of lines, and what is in `keep`, is a command."""

    def __init__(self, stream: TextIO, keep: str) -> None:
        self._stream = stream
        self._keep = keep

    def write(self, text: str) -> int:
        """Write text, with \\x1b for an escape; returns the characters that were taken."""
        self._stream.write(printable(text, keep=self._keep))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        """All else is the stream's own."""
        return getattr(self._stream, name)


@contextlib.contextmanager
def plain_streams() -> Iterator[None]:
    """Standard output and standard error as `PlainStream`, for as long as a command runs."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console may not know every file name
            stream.reconfigure(errors="backslashreplace")
    out: Any = PlainStream(sys.stdout, "\n\t")
    error: Any = PlainStream(sys.stderr, "\n\t\r")  # progress returns to the start of its line
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        yield
