"""The licence that lies beside the images."""

from __future__ import annotations

import os
from pathlib import Path

from blemish.util.files import open_regular

_READ = 1 << 16  # bytes, in which its first line must end

NAMES = ("license", "licence", "license.txt", "licence.txt", "license.md", "licence.md")


def licence_files(root: Path) -> list[Path]:
    """The licences in `root`, sorted; links are not followed."""
    with os.scandir(root) as entries:
        named = [entry for entry in entries if entry.name.lower() in NAMES]
        found = [entry.path for entry in named if entry.is_file(follow_symlinks=False)]
    return [Path(file) for file in sorted(found)]


def read_terms(root: Path) -> str | None:
    """The first line of the licence in `root` that says something."""
    for file in licence_files(root):
        lines = (line.strip() for line in _start(file).splitlines())
        return next((line for line in lines if line), None)
    return None


def _start(file: Path) -> str:
    """The start of a text without control characters, empty where it cannot be read."""
    try:
        with open_regular(file) as opened:
            text = opened.read(_READ).decode("utf-8", "replace")
    except OSError:
        return ""
    return "".join(c for c in text if c.isprintable() or c.isspace())
