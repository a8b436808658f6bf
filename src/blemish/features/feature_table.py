"""A table of the features of all crops, computed once and then read in any order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from blemish.features.feature_stream import Batch, FeatureStream, Half

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Where the row of every crop lies; `valid` float32 [n, 4] and `image` int64 [n] as in a Batch.

    Rows stay on disk: in the cache, or in a temporary file where there is none. So memory is
    bounded, and a second fit on the same images starts at once. `close` closes the files.
    """

    stream: FeatureStream
    places: tuple[tuple[IO[bytes], int], ...]
    valid: Floats
    image: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls,
        stream: FeatureStream,
        images: Sequence[Path],
        seen: Callable[[int, int], None] = lambda done, total: None,
    ) -> FeatureTable:
        """The table of these images; `seen` is told how many of them are done, after each."""
        files: dict[Path | None, IO[bytes]] = {}  # None: what no cache keeps
        places: list[tuple[IO[bytes], int]] = []
        valid: list[Floats] = []
        owners: list[int] = []
        for index, row, entry in stream.rows(images):
            if owners and index != owners[-1]:
                seen(index, len(images))
            owners.append(index)
            valid.append(row[-4:].astype(np.float32))
            name = None if entry is None else entry.shard
            if name not in files:
                files[name] = _scratch() if name is None else name.open("rb")
            if entry is None:
                places.append((files[None], files[None].seek(0, 2)))
                files[None].write(row.data)
            else:
                places.append((files[name], entry.offset))
        seen(len(images), len(images))
        box = np.array(valid, np.float32).reshape(-1, 4)
        return cls(stream, tuple(places), box, np.array(owners, np.int64))

    def close(self) -> None:
        """Close the files."""
        for file in {file for file, _ in self.places}:
            file.close()

    def __len__(self) -> int:
        """Crops, not images."""
        return len(self.places)

    def take(self, crops: Sequence[int] | npt.NDArray[np.int64]) -> Batch:
        """The features of these crops, by number, in this order."""
        rows: list[Half] = []
        for crop in crops:
            file, offset = self.places[crop]
            row = np.empty(self.stream.width, np.float16)
            file.seek(offset)
            file.readinto(row.data)  # type: ignore[attr-defined]
            rows.append(row)
        return self.stream.batch(rows, [int(self.image[crop]) for crop in crops])


def _scratch() -> IO[bytes]:
    """A file that goes when it is closed."""
    return tempfile.TemporaryFile()
