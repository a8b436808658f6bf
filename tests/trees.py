"""Trees of empty files: a layout is read from names alone."""

from __future__ import annotations

from pathlib import Path

import pytest


def tree(root: Path, *names: str) -> Path:
    """Empty files of these names below `root`."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def link(place: Path, target: Path) -> None:
    """A symbolic link, or the test is skipped where the system has none."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(target, target_is_directory=target.is_dir())
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error}")
