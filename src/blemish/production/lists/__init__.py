"""Lists of verdicts, one module for each form, known by the module's name.

A form has `SUFFIX` (of its files), `HELP`, and `write(path, about) -> VerdictList`. A new module in
this folder is a new form, and an option of `blemish inspect`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from blemish.discovery import Kind

if TYPE_CHECKING:
    from blemish.production.entry import Entry
    from blemish.production.totals import Totals

FORMS = Kind(__name__, "form of a list")
STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True)
class About:
    """What is said of the model beside a list: its file's name, hashes, and its promise."""

    model: str
    model_sha256: str
    graph_sha256: str
    threshold: float
    promise: str


class VerdictList(Protocol):
    """A list that grows by one part at a time."""

    def add(self, entry: Entry) -> None:
        """Add the pictures of a part."""

    def end(self, totals: Totals) -> None:
        """Add what only the end tells."""


class Form(Protocol):
    """What a module in this folder offers."""

    SUFFIX: str
    HELP: str

    def write(self, path: Path, about: About) -> AbstractContextManager[VerdictList]:
        """A list in a file that is whole or absent; an error inside leaves what was there before.

        Raises ArtifactError where the file cannot be written.
        """


def open_form(name: str) -> Form:
    """The form of that name."""
    return cast(Form, FORMS.module(name))
