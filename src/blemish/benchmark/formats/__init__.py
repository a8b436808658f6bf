"""How a table is written down, one file each: the file's name is the format's name.

A module holds `SUFFIX`, that of its files, and `render(table, links) -> text`, where `links` is
the way from the written file to the folder of results, or None where it is unknown.
"""

from __future__ import annotations

from blemish.benchmark.result_table import ResultTable
from blemish.discovery import Kind
from blemish.errors import BlemishError

FORMATS = Kind(__name__, "format")


def format_names() -> list[str]:
    """Every format there is a file for."""
    return FORMATS.names()


def format_of(file_name: str) -> str:
    """The format that a file's suffix stands for. Raises BlemishError for any other suffix."""
    suffixes = {FORMATS.module(name).SUFFIX: name for name in format_names()}
    for suffix, name in suffixes.items():
        if file_name.lower().endswith(suffix):
            return name
    known = ", ".join(sorted(suffixes))
    raise BlemishError(f"{file_name} has none of the suffixes {known}; say --format")


def render(table: ResultTable, name: str, links: str | None = None) -> str:
    """The table in the format of that name. Raises BlemishError for a name there is no file for."""
    text: str = FORMATS.module(name).render(table, links)
    return text
