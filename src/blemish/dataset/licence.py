"""The licence that lies beside the images."""

from __future__ import annotations

import os
from pathlib import Path

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
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.strip() for line in lines if line.strip()), None)
    return None
