"""The folder that an unfinished training leaves behind, for the same training to go on with."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import blemish
from blemish.detectors.base import Detector
from blemish.errors import ArtifactError, BlemishError, BudgetExceeded
from blemish.training.plan import Plan
from blemish.util.exclusive import LOCK, exclusive
from blemish.util.files import replacing
from blemish.util.text_files import read_text

log = logging.getLogger("blemish")


def resume_key(data: str, detector: Detector, plan: Plan, start: Sequence[str]) -> str:
    """What a resumed training must have in common with the one that it goes on with, hashed.

    `data` is the fingerprint of the data set, `start` the key of what the training begins with.
    """
    values = [
        blemish.__version__,
        data,
        plan.detector,
        dataclasses.asdict(detector),
        {**dataclasses.asdict(plan), "cache": None},
        *start,
    ]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def resume_folder(path: Path, key: str, resume: bool) -> Iterator[Path]:
    """The folder `PATH.resume` for what a fit leaves behind, emptied unless it is to be resumed.

    It goes when bad input ends the training: then nothing can be resumed. One training at a time
    has it: BlemishError for another, and to resume a training with another key.
    """
    folder = path.with_name(path.name + ".resume")
    with exclusive(folder, f"another training writes {path}"):
        unfinished = [entry for entry in folder.iterdir() if entry.name != LOCK]
        if unfinished and not resume:
            for entry in unfinished:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            log.warning(
                "an unfinished training of %s was dropped (--resume would continue it)", path
            )
        note = folder / "key"
        way_out = "drop --resume to start anew"
        if resume and os.path.lexists(note) and read_text(note, way_out, BlemishError) != key:
            raise BlemishError(
                f"{folder} is of a training with other data or settings; give the same ones, or "
                "drop --resume to start anew"
            )
        with replacing(note) as file:
            file.write(key.encode())
        try:
            yield folder
        except (BudgetExceeded, ArtifactError):  # more time, or more room, and it goes on
            raise
        except BlemishError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
