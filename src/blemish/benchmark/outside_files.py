"""Files from outside in a bench: a run names them by their labels, a job says where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from blemish.discovery import Kind, is_path
from blemish.synthesis import GENERATORS

GENERATOR = "generator"  # the setting of a detector that names one


def place_in(name: str, folder: Path) -> str:
    """A path in a protocol's file is relative to the `folder` of that; a name stays as it is."""
    return str(folder.absolute() / name) if is_path(name) else name


def label_in(kind: Kind, name: str, folder: Path) -> str:
    """What a run calls what a protocol in `folder` names: a file from outside by its hash too."""
    return kind.label(place_in(name, folder))


def settings_in(settings: Mapping[str, str], folder: Path) -> dict[str, str]:
    """A detector's settings, of which one may name a generator from outside."""
    return {
        key: label_in(GENERATORS, text, folder) if key == GENERATOR else text
        for key, text in settings.items()
    }
