"""Read arrays from files that a user can name: whole, or refused in one sentence.

Nothing in them is run, and no more memory is taken than the file limit allows.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from blemish.errors import BlemishError, DatasetError
from blemish.util.file_limit import refusal
from blemish.util.files import open_regular
from blemish.util.library_errors import translated

Arrays = dict[str, npt.NDArray[Any]]


def read_arrays(
    path: Path,
    what: str,
    way_out: str,
    error: type[BlemishError] = DatasetError,
    *,
    names: Sequence[str] | None = None,
) -> Arrays:
    """The arrays of a .npz file, or those of these names, by name.

    Raises `error` for a file that is damaged, holds objects, lacks a name, or would take too much.
    """
    with (
        translated(lambda reason: error(f"{path} is no {what}, or cut off ({reason}); {way_out}")),
        open_regular(path) as file,
    ):
        refused = archive_refusal(file)
        if refused is not None:
            raise error(f"{path} holds arrays that {refused}")
        return arrays_of(file, names)


def arrays_of(file: IO[bytes], names: Sequence[str] | None = None) -> Arrays:
    """The arrays of an open .npz file. Raises whatever numpy, zipfile and zlib raise."""
    file.seek(0)
    with np.load(file, allow_pickle=False) as held:
        if not isinstance(held, np.lib.npyio.NpzFile):
            raise ValueError("it is no .npz file")
        return {name: np.asarray(held[name]) for name in (held.files if names is None else names)}


def map_array(
    path: Path, what: str, way_out: str, error: type[BlemishError] = DatasetError
) -> npt.NDArray[Any]:
    """The array of a .npy file, mapped, read only."""
    with translated(lambda reason: error(f"{path} is no {what}, or cut off ({reason}); {way_out}")):
        open_regular(path).close()
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError("it is no .npy file")
        return found


def archive_refusal(file: IO[bytes]) -> str | None:
    """Why the members of a zip are not unpacked; zipfile reads no more than they declare."""
    if (refused := refusal(os.fstat(file.fileno()).st_size)) is not None:
        return refused
    with zipfile.ZipFile(file) as archive:
        return refusal(sum(entry.file_size for entry in archive.infolist()))
