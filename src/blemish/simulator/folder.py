"""The folder a simulated set is written to: it belongs to one recipe, which lies in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import blemish
from blemish.errors import DatasetError
from blemish.simulator.random_fields import Pixels
from blemish.util.files import replacing
from blemish.util.library_errors import shortened
from blemish.util.text_files import read_json

NOTE = "simulate.json"
EDITION = 1  # of the simulator: another edition draws other pictures from the same seeds


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the recipe into a new folder, or check that an old one belongs to the same recipe.

    Raises DatasetError where the folder holds something else.
    """
    mine = {"simulator": EDITION, "settings": json.loads(json.dumps(settings))}
    note = folder / NOTE
    if not note.is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DatasetError(f"{folder} holds something else; give another folder with -o.")
        text = json.dumps({**mine, "blemish": blemish.__version__}, indent=2) + "\n"
        with replacing(note) as file:
            file.write(text.encode("utf-8"))
        return
    found = read_json(note, "note of a simulated set", "give another folder with -o.")
    if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
        raise DatasetError(f"{note} is no note of a simulated set; give another folder with -o.")
    theirs = {key: found.get(key) for key in mine}
    if theirs != mine:
        raise DatasetError(
            f"{folder} holds a set of other settings ({_difference(theirs, mine)}); "
            "give another folder with -o, or the settings in its simulate.json to go on."
        )


def write_png(path: Path, pixels: Pixels) -> None:
    """Write grey values [h, w] or BGR [h, w, 3] so that the file is whole or not there."""
    quick = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # noise does not shrink further
    write_bytes(path, cv2.imencode(".png", pixels, quick)[1].tobytes())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that it is whole or not there."""
    with replacing(path) as file:
        file.write(data)


def seed_of(*numbers: int) -> int:
    """A seed that depends on all of these numbers, none of them negative."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def _difference(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> str:
    if theirs["simulator"] != mine["simulator"]:
        return "it was drawn by another edition of the simulator"
    old, new = theirs["settings"], mine["settings"]
    old = old if isinstance(old, dict) else {}
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return ", ".join(
        f"{shortened(key)} {shortened(str(old.get(key)))} there, {new.get(key)} here"
        for key in changed[:6]
    )
