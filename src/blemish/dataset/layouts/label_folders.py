"""Folders whose names say good or defective, directly in the data set: `OK` and `NG`, `gut` ...

The names are those of `folder_words.toml`. Nothing on disk says what trains and what tests: the
good pictures can be learnt from, and a model is tested on all but those that it knows.
"""

from __future__ import annotations

from pathlib import Path

from blemish.dataset.folder_labels import LAYOUT, Answers, labelled
from blemish.dataset.folder_words import MASK_FOLDERS, meaning_of
from blemish.dataset.layouts import folder
from blemish.dataset.paths import sub_folders
from blemish.dataset.table import Dataset
from blemish.errors import DatasetError

EXPECTS = "folders that are called good and defective, such as OK and NG, with or without kinds"


def recognises(path: Path) -> bool:
    """True where each folder in `path`, but for masks, is called good or defective."""
    names = [inner.name for inner in sub_folders(path)]
    said = [meaning_of(name) for name in names if name.lower() not in MASK_FOLDERS]
    return bool(said) and all(meaning in ("good", "defective") for meaning in said)


def read(path: Path) -> Dataset:
    """Good pictures in the split "train", defective in "test". Raises as `folder_labels.labelled`.

    A folder in a defective one is the kind of defect; masks lie in masks/NG/a.png or NG/masks.
    """
    if not recognises(path):
        raise DatasetError(f"{path} has not the layout {LAYOUT}, which is {EXPECTS}.")
    return labelled(folder.read(path), Answers())
