"""JSON lines: one verdict a line, as `--json` has it, for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from blemish.production.lists import STANDARD_OUTPUT
from blemish.util.files import replacing

if TYPE_CHECKING:
    from blemish.production.entry import Entry
    from blemish.production.lists import About
    from blemish.production.totals import Totals

SUFFIX = ".jsonl"
HELP = "one verdict a line, as in --json; - writes them to standard output as they come"


@dataclass(frozen=True, eq=False)
class JsonLines:
    """Lines as they come, each flushed."""

    file: IO[bytes]

    def add(self, entry: Entry) -> None:
        """One line; in ASCII, so that nothing speaks to a terminal."""
        line = json.dumps(entry.to_json(), ensure_ascii=True, allow_nan=False)
        self.file.write(line.replace("\x7f", "\\u007f").encode() + b"\n")
        self.file.flush()

    def end(self, totals: Totals) -> None:
        """Nothing: every line is a verdict."""


@contextmanager
def write(path: Path, about: About) -> Iterator[JsonLines]:
    """Lines in the file, or on standard output for "-"."""
    if path == STANDARD_OUTPUT:
        sys.stdout.flush()
        yield JsonLines(sys.stdout.buffer)
        return
    with replacing(path) as file:
        yield JsonLines(file)
