"""Copies of image files in a new folder: hard links, copies, or decoded PNG files."""

from __future__ import annotations

import os
import shutil
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from blemish.dataset.paths import is_image_file
from blemish.errors import DatasetError
from blemish.images import read_image
from blemish.util.files import inside, leads_out, open_regular

CopyMethod = Literal["link or copy", "link", "copy"]
ShowCount = Callable[[int, int], None]


def copy_images(
    root: Path,
    images: pl.DataFrame,
    folder: Path,
    placing: CopyMethod,
    progress: ShowCount | None = None,
) -> dict[str, int]:
    """Put every image (old name, new name) below `folder`; the numbers linked, copied, decoded.

    An image that is no file of its own is decoded into a PNG file. Raises DatasetError for a file
    that cannot be read, and where a link is asked for and not possible.
    """
    made: set[str] = set()
    done: Counter[str] = Counter(linked=0, copied=0, decoded=0)
    for number, (image, new) in enumerate(images.iter_rows(), 1):
        parent, slash, _ = new.rpartition("/")
        if slash and parent not in made:
            inside(folder, parent).mkdir(parents=True, exist_ok=True)
            made.add(parent)
        if leads_out(new):  # `inside` looks for links too, which is slow for 150,000 names
            raise DatasetError(f"{image!r} is no name for a file below {folder}; rename it.")
        if is_image_file(image):
            done[link_or_copy(root / image, folder / new, placing)] += 1
        else:
            write_png(folder / new, read_image(root / image))
            done["decoded"] += 1
        if progress:
            progress(number, images.height)
    return dict(done)


def link_or_copy(source: Path, target: Path, placing: CopyMethod) -> str:
    """Hard-link or copy one file; says which."""
    if placing != "copy":
        try:
            if not stat.S_ISREG(source.stat().st_mode):
                raise OSError("it is no file")
            # Where the source is a symbolic link, the new name is for the file it leads to.
            os.link(os.path.realpath(source) if source.is_symlink() else source, target)
        except OSError as error:
            if placing == "link" and source.is_file():
                raise DatasetError(
                    f"{source} can have no second name there: {error.strerror}; choose a folder "
                    "on the same disk, or --copy."
                ) from error
        else:
            return "linked"
    try:
        file = open_regular(source)
    except OSError as error:
        raise DatasetError(f"{source} cannot be read: {error.strerror}.") from error
    with file, target.open("xb") as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
    return "copied"


def draw_mask(mask: NDArray[np.bool_], target: Path) -> None:
    """Write a mask bool [H, W] as a PNG file of 0 and 255."""
    target.parent.mkdir(parents=True, exist_ok=True)
    write_png(target, mask.astype(np.uint8) * np.uint8(255))


def write_png(target: Path, pixels: NDArray[Any]) -> None:
    """Write pixels uint8 or uint16, grey or RGB, as a new PNG file; DatasetError for others."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{target.name} has {pixels.dtype} pixels, which no PNG file can hold.")
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    with target.open("xb") as file:
        file.write(cv2.imencode(".png", np.ascontiguousarray(bgr))[1].tobytes())
