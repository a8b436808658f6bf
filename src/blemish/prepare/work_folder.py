"""A resumable work folder beside the output: interrupted work goes on where it stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blemish
from blemish.errors import DatasetError
from blemish.util.exclusive import LOCK, exclusive
from blemish.util.files import replacing
from blemish.util.text_files import read_json

_NAME = "made_of.json"


@contextlib.contextmanager
def work_folder(out: Path, made_of: dict[str, Any]) -> Iterator[Path]:
    """The folder for work that will become `out`; `made_of`, JSON values, is what decides it.

    What lies in it was made of the same. One process at a time has it. Raises DatasetError where
    `out` exists already, and where the folder holds work on something else, and BlemishError where
    another process works on it.
    """
    if out.exists():
        raise DatasetError(f"{out} exists; name another place, or remove it.")
    folder = out.with_name(f"{out.name}.part")
    with exclusive(folder, f"another process writes {out}"):
        text = json.dumps({**made_of, "version": blemish.__version__}, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        try:
            note = read_json(folder / _NAME, "note", "remove it.")
            found = note.get("sha256") if isinstance(note, dict) else None
        except DatasetError:
            found = None
        if (
            found is None
            and folder.exists()
            and any(entry.name != LOCK for entry in folder.iterdir())
        ):
            raise DatasetError(f"{folder} holds something else; remove it, or name another place.")
        if found not in (None, digest):
            raise DatasetError(
                f"{folder} holds unfinished work on another recipe, other plates, another seed or "
                "by another version; finish it with those, or remove it."
            )
        if found is None:
            with replacing(folder / _NAME) as file:
                file.write(json.dumps({"sha256": digest}).encode())
        yield folder
