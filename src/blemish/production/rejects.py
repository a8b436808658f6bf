"""Copies of the pictures of rejected parts, in a folder for people to look at."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from blemish.errors import ArtifactError, BlemishError
from blemish.images import hdf5, read_image
from blemish.inspector import Verdict
from blemish.util.files import harmless, inside, lies_in, open_regular, read_regular, replacing


def copy_reject(verdict: Verdict, folder: Path) -> list[str]:
    """Copy every picture of a rejected part into `folder`; returns why some could not be.

    A copy keeps its picture's name and bytes. Where another picture has that name, a piece of the
    hash of its content is added, so that nothing is overwritten, and nothing is there twice. An
    image in an HDF5 file becomes a PNG. Parts with another decision are not copied.
    """
    if verdict.decision != "reject":
        return []
    faults = []
    for view in verdict.views:
        try:
            _copy(Path(view.image), folder)
        except (BlemishError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            faults.append(f"{view.image} could not be copied to {folder}: {reason}")
    return faults


def refuse_inside(folder: Path, places: list[Path]) -> None:
    """Raise ArtifactError for a folder in one that is inspected: copies would be inspected next."""
    real = str(folder.resolve())
    for place in places:
        if place.is_dir() and lies_in(real, str(place.resolve())):
            raise ArtifactError(
                f"{folder} lies in {place}, which is inspected: its copies would be inspected the "
                "next time; name a folder outside"
            )


def _copy(image: Path, folder: Path) -> None:
    if hdf5.file_and_name(image):
        stem, data = f"{image.parents[1].stem}_{image.name}", _png(read_image(image))
        _place(folder, stem, ".png", data)
        return
    with open_regular(image) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        path = _free(folder, image.stem, image.suffix, digest)
        if path is not None:
            file.seek(0)
            with replacing(path) as copy:
                shutil.copyfileobj(file, copy)


def _place(folder: Path, stem: str, suffix: str, data: bytes) -> None:
    path = _free(folder, stem, suffix, hashlib.sha256(data).hexdigest())
    if path is not None:
        with replacing(path) as copy:
            copy.write(data)


def _free(folder: Path, stem: str, suffix: str, digest: str) -> Path | None:
    """Where content of that sha256 goes; None where it is already."""
    for name in (f"{stem}{suffix}", f"{stem}-{digest[:8]}{suffix}", f"{stem}-{digest}{suffix}"):
        path = inside(folder, harmless(name))
        if not path.exists():
            return path
        if hashlib.sha256(read_regular(path)).hexdigest() == digest:
            return None
    raise ArtifactError(f"{folder} holds other pictures of that name; name another folder")


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    if pixels.ndim == 3:
        pixels = pixels[:, :, ::-1]
    return np.asarray(cv2.imencode(".png", pixels)[1]).tobytes()
