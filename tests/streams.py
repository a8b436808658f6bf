"""HDF5 files for the tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from blemish.images.hdf5_file import close_files


def write(path: Path, values: Mapping[str, Any], **options: Any) -> Path:
    """A file with these arrays; with options, those of three or more dimensions a chunk an image.

    A mapping becomes a group.
    """
    close_files()  # HDF5 does not write what it has open
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            members = (
                {f"{name}/{key}": v for key, v in value.items()}
                if isinstance(value, Mapping)
                else {name: value}
            )
            for key, member in members.items():
                pixels = np.ndim(member) > 2 and options
                more = {"chunks": (1, *np.shape(member)[1:]), **options} if pixels else {}
                file.create_dataset(key, data=member, **more)
    return path


def noise(*shape: int, kind: Any = np.uint8, seed: int = 0) -> Any:
    """Pixels of any value that the type holds."""
    limit = 2 if kind is np.bool_ else np.iinfo(kind).max + 1
    return np.random.default_rng(seed).integers(0, limit, shape).astype(kind)


def masks(*foreground: int, side: int = 4) -> Any:
    """Masks [N, side, side] with so many pixels of 255 each."""
    stack = np.zeros((len(foreground), side * side), np.uint8)
    for mask, count in zip(stack, foreground, strict=True):
        mask[:count] = 255
    return stack.reshape(-1, side, side)


def cut(path: Path, share: float = 0.5) -> Path:
    """The file without its end."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
