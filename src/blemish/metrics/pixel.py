"""Pixel AUROC, AUPRO, and shares above one threshold, over any number of maps.

Exact at distinct values, in bounded memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from blemish.errors import DatasetError, ImageError

_BACKGROUND = np.dtype(np.float32)
_DEFECT = np.dtype([("value", np.float32), ("weight", np.float64)])


class PixelScores:
    """Collects maps and masks, then ranks every defect pixel among all background pixels.

    Both metrics are areas under a curve that climbs over the background ranks. A defect pixel
    lifts the curve from the share of background above its value (`above`) to the share at or
    above it (`at_least`), in a straight line where values tie. So each pixel adds an area of its
    own, a function of two counts, and counts add up over blocks of background of any size.

    memory_limit (bytes) bounds the blocks; what does not fit goes to a folder of its own below
    `folder` (default: the system's temporary folder), which leaving the `with` block removes.
    Background is read once for every memory_limit / 128 defect pixels.
    """

    def __init__(self, folder: Path | None = None, *, memory_limit: int = 256 << 20) -> None:
        self._spill = _SpillFolder(folder)
        background_room = max(1, memory_limit // 4 // _BACKGROUND.itemsize)
        defect_room = max(1, memory_limit // 128)
        self._background = _SortedRuns(
            self._spill, "background", _BACKGROUND, background_room, np.ndarray.sort
        )
        self._defects = _SortedRuns(self._spill, "defects", _DEFECT, defect_room, _sort_by_value)
        self._components = 0
        self._areas: dict[float, tuple[float, float]] = {}

    def __enter__(self) -> Self:
        """Return the collection itself; the spill folder is made when it is first needed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the spill folder and all that it holds."""
        self._spill.remove()

    def add(
        self, anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_], *, name: str = "the image"
    ) -> None:
        """Add one image: its anomaly map float32 [H, W] and its mask bool [H, W] (may be empty).

        Raises ImageError, with `name`, for NaN in the map and for other types or sizes.
        """
        _check(anomaly_map, mask, name)
        self._areas.clear()
        if not mask.any():
            self._background.extend(anomaly_map.ravel())
            return
        count, component, statistics, _ = cv2.connectedComponentsWithStats(
            np.ascontiguousarray(mask).view(np.uint8), connectivity=8, ltype=cv2.CV_32S
        )
        self._components += count - 1
        defects = np.empty(int(np.count_nonzero(mask)), _DEFECT)
        defects["value"] = anomaly_map[mask]
        defects["weight"] = 1.0 / statistics[component[mask], cv2.CC_STAT_AREA]
        self._defects.extend(defects)
        self._background.extend(anomaly_map[~mask])

    def auroc(self) -> float | None:
        """Area under the ROC curve of all pixels; None without defect or background pixels."""
        if not self._background.count or not self._defects.count:
            return None
        return self._both_areas(0.3)[0]

    def aupro(self, limit: float = 0.3) -> float | None:
        """Area under the per-region overlap curve up to false-positive rate `limit`, over `limit`.

        Regions are 8-connected per image and weigh the same; the false-positive rate counts the
        background of all images, defective ones included (MVTec AD). Every distinct value is a
        threshold; between them, and at `limit`, the curve is linear. None without a region or
        without background. `limit` lies in (0, 1].
        """
        if not self._background.count or not self._defects.count:
            return None
        return self._both_areas(limit)[1]

    def pro_at(self, threshold: float) -> float | None:
        """Mean over the regions of the share of each that lies above one threshold.

        Regions as in `aupro`, which it must not be taken for: a low threshold gives 1 on any map,
        so `fpr_at` belongs beside it. None without a region.
        """
        if not self._components:
            return None
        level = _at_most(threshold)
        found = sum(float(run["weight"][run["value"] > level].sum()) for run in self._defects)
        return found / self._components

    def fpr_at(self, threshold: float) -> float | None:
        """Share of the background of all images above one threshold; None without background."""
        if not self._background.count:
            return None
        level = _at_most(threshold)
        above = sum(len(run) - int(run.searchsorted(level, "right")) for run in self._background)
        return above / self._background.count

    def _both_areas(self, limit: float) -> tuple[float, float]:
        """AUROC and AUPRO from one reading of the pixels; kept until the next map is added."""
        if limit not in self._areas:
            total = self._background.count
            roc = pro = 0.0
            for defects in self._defects:
                above, at_least = self._ranks(defects["value"])
                roc += float(np.sum(_area_before(total, above, at_least)))
                overlap = _area_before(limit * total, above, at_least)
                pro += float(np.sum(overlap * defects["weight"]))
            self._areas[limit] = (
                roc / (total * self._defects.count),
                pro / (total * limit * self._components),
            )
        return self._areas[limit]

    def _ranks(self, values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many background pixels lie above each value, and how many at or above it."""
        above = np.zeros(len(values), np.int64)
        at_least = np.zeros(len(values), np.int64)
        for run in self._background:
            above += len(run) - run.searchsorted(values, "right")
            at_least += len(run) - run.searchsorted(values, "left")
        return above, at_least


def _at_most(threshold: float) -> np.float32:
    """The largest float32 that is not above: the same float32 values lie above either."""
    level = np.float32(threshold)
    return level if float(level) <= threshold else np.nextafter(level, np.float32(-np.inf))


def _area_before(
    limit: float, above: NDArray[np.int64], at_least: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Area, left of `limit`, under a line that climbs from 0 at `above` to 1 at `at_least`."""
    whole = limit - (above + at_least) / 2
    cut = np.maximum(limit - above, 0) ** 2 / (2 * np.maximum(at_least - above, 1))
    return np.where(at_least <= limit, whole, cut)


def _check(anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_], name: str) -> None:
    if anomaly_map.ndim != 2 or anomaly_map.dtype != np.float32:
        raise ImageError(
            f"The anomaly map of {name} is {anomaly_map.dtype} {anomaly_map.shape}; "
            "give float32 of shape (height, width)."
        )
    if mask.shape != anomaly_map.shape or mask.dtype != np.bool_:
        raise ImageError(
            f"The mask of {name} is {mask.dtype} {mask.shape}; "
            f"give bool of the map's shape {anomaly_map.shape}."
        )
    if np.isnan(anomaly_map).any():
        raise ImageError(f"The anomaly map of {name} holds NaN; look for NaN pixels in the image.")


def _sort_by_value(records: NDArray[Any]) -> None:
    records[:] = records[np.argsort(records["value"])]


class _SpillFolder:
    """A folder that is made when it is first needed and removed with all that it holds."""

    def __init__(self, parent: Path | None) -> None:
        self._parent = parent
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def path(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="blemish-", dir=self._parent)
        return Path(self._folder.name)

    def remove(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()


class _SortedRuns:
    """Records in blocks of at most `room`; each full block is sorted and written to a file."""

    def __init__(
        self,
        spill: _SpillFolder,
        name: str,
        dtype: np.dtype[Any],
        room: int,
        sort: Callable[[NDArray[Any]], None],
    ) -> None:
        self._spill = spill
        self._name = name
        self._block = np.empty(room, dtype)
        self._sort = sort
        self._filled = self._in_order = 0
        self._files: list[Path] = []
        self.count = 0

    def extend(self, records: NDArray[Any]) -> None:
        self.count += len(records)
        while len(records):
            taken = records[: len(self._block) - self._filled]
            self._block[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            records = records[len(taken) :]
            if self._filled == len(self._block):
                self._write()

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """All blocks, each sorted; valid until the next `extend`."""
        for file in self._files:
            yield np.fromfile(file, self._block.dtype)
        block = self._block[: self._filled]
        if self._in_order < self._filled:
            self._sort(block)
            self._in_order = self._filled
        if len(block):
            yield block

    def _write(self) -> None:
        self._sort(self._block)
        try:
            file = self._spill.path() / f"{self._name}-{len(self._files)}.bin"
            self._block.tofile(file)
        except OSError as error:
            raise DatasetError(
                f"Pixel scores cannot be written ({error}); free some disk space there "
                "or give another folder."
            ) from error
        self._files.append(file)
        self._filled = self._in_order = 0
